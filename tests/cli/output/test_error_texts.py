import errno
import logging
from pathlib import Path

import pytest
import typer

from nnunet_mamba.cli.output.error_texts import errors_as_text, errors_of_usage
from nnunet_mamba.data.problems import InvalidDatasetError, Problem

CONVERSION = {"is_conversion": True, "continues": True, "workers": "--jobs 1"}


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ValueError("what, and what then"), 1, "Error: what, and what then\n"),
        (FileNotFoundError("no such thing"), 1, "Error: no such thing\n"),
        (OSError(errno.ENOSPC, "No space left", "/x"), 1, "Error: No space left: /x\n"),
        (OSError(errno.ENOSPC, "No space left"), 1, "Error: No space left\n"),
        (ModuleNotFoundError("x needs y, which is not installed"), 1, "Error: x needs y, which is not installed\n"),
        (
            ModuleNotFoundError("No module named 'nibabel'", name="nibabel"),
            1,
            "Error: nibabel is not installed, and this needs it: pip install nibabel\n",
        ),
        (MemoryError(), 1, "Error: the memory is full; run the same command again with --jobs 1, or on a larger"),
        (KeyboardInterrupt(), 130, "Stopped; run the same command again, it continues.\n"),
        (InvalidDatasetError([Problem("a", "is empty")], Path("/raw")), 1, "Error: 1 problem found"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_is_a_text_and_an_exit_code(capsys, error, code, text):
    with pytest.raises(typer.Exit) as end, errors_as_text(**CONVERSION):
        raise error
    assert end.value.exit_code == code
    captured = capsys.readouterr()
    assert captured.err.startswith(text)
    assert captured.out == ""


def test_a_text_says_only_what_the_command_can_do(capsys):
    for error in (MemoryError(), KeyboardInterrupt(), InvalidDatasetError([Problem("a", "b")], Path("/raw"))):
        with pytest.raises(typer.Exit), errors_as_text(is_conversion=False, continues=False, workers=""):
            raise error
    text = capsys.readouterr().err
    assert "--" not in text
    assert "again, it continues" not in text


def test_a_mistake_in_the_program_keeps_its_traceback():
    with pytest.raises(TypeError), errors_as_text(**CONVERSION):
        raise TypeError("ours")


def test_a_value_that_means_nothing_is_wrong_usage(capsys):
    with pytest.raises(typer.Exit) as end, errors_of_usage():
        raise ValueError("--size x")
    assert end.value.exit_code == 2
    assert capsys.readouterr().err == "Error: --size x\n"


def test_notes_are_printed_while_the_command_runs_and_not_afterwards(capsys):
    logger = logging.getLogger("nnunet_mamba.somewhere")
    level = logging.getLogger("nnunet_mamba").level
    with errors_as_text(**CONVERSION):
        logger.info("takes %s", "this")
        logger.debug("too much")
    logger.info("later")
    assert capsys.readouterr().err == "Note: takes this\n"
    assert logging.getLogger("nnunet_mamba").level == level
