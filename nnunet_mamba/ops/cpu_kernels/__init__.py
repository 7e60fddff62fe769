"""What the CPU kernels of all operators are made of: lanes, products, the state's recurrence, tasks, cache, threads."""
