"""The two sizes that every CPU kernel is built on; whatever allocates memory for a kernel needs them without numba."""

# Channels that a kernel computes with at once.
LANES = 16
# Tokens that a kernel keeps in the cache at a time.
CHUNK = 64
