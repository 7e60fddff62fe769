"""A convolution from few channels to few: torch's operator, or direct loops on a CPU."""
