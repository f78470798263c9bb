"""Lowering: from a model to the layers that the engine runs."""
