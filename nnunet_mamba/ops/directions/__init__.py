"""A map scanned in several directions, as one function: composed of torch's operators, or fused on a CPU."""
