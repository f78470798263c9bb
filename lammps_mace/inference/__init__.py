"""The engine's inside: a model as per-layer functions on chunks of atoms."""
