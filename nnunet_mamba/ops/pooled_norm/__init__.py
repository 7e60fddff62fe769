"""Group norm and max-pooling of a map as one function: composed of torch's operators, or fused on a CPU."""
