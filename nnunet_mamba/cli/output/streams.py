"""How every command ends: one line and an exit code, also without a reader, without room, or on Ctrl-C."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

# What a shell reports of programs that the signals SIGINT and SIGPIPE ended.
INTERRUPTED = 130
READER_GONE = 141


class _RememberingFile(io.FileIO):
    """A stream that remembers its first error, and lets its writers go on as if there were none.

    Whatever a command does after it has lost its reader, such as training, is not lost with it.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.error: OSError | None = None

    def write(self, content: "bytes | bytearray | memoryview") -> int | None:  # type: ignore[override]
        if self.error is None:
            try:
                return super().write(content)
            except OSError as error:
                self.error = error
        return memoryview(content).nbytes


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guard standard output and error while a command runs, and end the process as well-behaved programs do.

    Raises:
        SystemExit: standard output could not be written: 141 if its reader has gone, as for a program that SIGPIPE
            ends, else 1 after a line on standard error.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, output = _guarded(sys.stdout)
    sys.stderr, _ = _guarded(sys.stderr)
    code: object = 0
    try:
        yield
    except SystemExit as end:
        code = end.code
        raise
    except BaseException:
        code = 1
        raise
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        error = None if output is None else output.error
        is_alone = error is not None and error.errno == errno.EPIPE
        if error is not None and not is_alone:
            print(f"Error: the output cannot be written: {error.strerror}", file=sys.stderr, flush=True)
        sys.stdout, sys.stderr = before
        if error is not None and code in (0, None):
            raise SystemExit(READER_GONE if is_alone else 1)


def _guarded(stream: TextIO | None) -> tuple[TextIO, _RememberingFile | None]:
    """Return a stream that survives errors, if it is one of the process's own; a closed one becomes nowhere."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8"), None
    binary = getattr(stream, "buffer", None)
    raw = getattr(binary, "raw", binary)
    # Not those of tests and notebooks, and not the console of Windows, which is no file.
    if type(raw) is not io.FileIO or not isinstance(stream, io.TextIOWrapper):
        return stream, None
    stream.flush()
    file = _RememberingFile(raw.fileno())
    is_unbuffered = binary is raw
    guarded = io.TextIOWrapper(
        cast("io.BufferedWriter", file if is_unbuffered else io.BufferedWriter(file)),
        encoding=stream.encoding,
        # See replace_unknown_characters.
        errors="replace",
        line_buffering=stream.line_buffering,
        write_through=is_unbuffered,
    )
    return guarded, file


def has_no_colours() -> bool:
    """Return whether the user or the terminal asks for plain text."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def replace_unknown_characters() -> None:
    """Have a terminal or file that does not know a character get a question mark, and no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
