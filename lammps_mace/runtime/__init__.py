"""What is set before JAX starts: device, threads, precision, cache."""
