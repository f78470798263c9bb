"""The engine: one step of one rank, layer by layer, in chunks of atoms, around ghost exchanges."""
