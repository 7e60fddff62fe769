"""What reading a file of torch.save raises if it was cut or overwritten, or is something else."""

import struct
import zipfile
from pickle import UnpicklingError

# Errors of the disk itself are OSError, which is not among these.
DAMAGED = (
    *(zipfile.BadZipFile, UnpicklingError, RuntimeError, EOFError, MemoryError, OverflowError),
    *(LookupError, ValueError, TypeError, AttributeError, AssertionError, struct.error),
)
