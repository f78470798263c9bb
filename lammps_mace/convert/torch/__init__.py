"""Checkpoints of the mace-torch library, read without torch; nothing of a file is executed."""
