"""What families of models share: linear maps, activations, polynomials."""
