"""What the library logs about its choices, as notes on standard error."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from nnunet_mamba.cli.options.option_names import with_option_names


@contextmanager
def notes_on_stderr() -> Iterator[None]:
    """Print what the library logs about its choices while the block runs."""
    handler = _NoteHandler(logging.INFO)
    logger = logging.getLogger("nnunet_mamba")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _NoteHandler(logging.Handler):
    """Print records as notes, on what standard error is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        # Which kernels run where is what nnunet-mamba scan-backends tells.
        if record.name.startswith("nnunet_mamba.ops") and record.levelno < logging.WARNING:
            return
        print(f"Note: {with_option_names(record.getMessage())}", file=sys.stderr)
