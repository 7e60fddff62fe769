"""The parts of kernel_figures.py."""
