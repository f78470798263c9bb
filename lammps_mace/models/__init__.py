"""Model families, a folder each, and what they share."""
