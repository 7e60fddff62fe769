import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nnunet_mamba import __version__
from nnunet_mamba.cli import list_networks
from nnunet_mamba.cli.main import app
from nnunet_mamba.cli.output.streams import guarded_streams

PYTHON = [sys.executable, "-m", "nnunet_mamba"]
COMMANDS = [("list",), ("list", "--json"), ("--help",), ("--version",), ("evaluate", "--help"), ("trainers-path",)]
NO_ROOM = "Error: the output cannot be written: No space left on device\n"


def run(*arguments, stdout=subprocess.PIPE, **variables):
    environment = {**os.environ, **variables}
    return subprocess.run(
        [*PYTHON, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment, check=False
    )


RUN_EACH = """
import json, os, sys
import nnunet_mamba.cli.main
from nnunet_mamba.__main__ import main
folder, codes = sys.argv[1], []
for number, arguments in enumerate(json.loads(sys.argv[2])):
    if (child := os.fork()) == 0:
        os.dup2(os.open(f"{folder}/{number}", os.O_WRONLY | os.O_CREAT), 2)
        sys.argv[1:] = arguments
        main()
        sys.exit()
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
with open(f"{folder}/codes.json", "w") as file:
    json.dump(codes, file)
"""


def run_each(commands, folder, *, stdout, **variables):
    """Run commands with one standard output, in forks of one process; return exit codes and errors by command."""
    process = subprocess.run(
        [sys.executable, "-c", RUN_EACH, str(folder), json.dumps(commands)],
        stdout=stdout,
        env={**os.environ, **variables},
        check=False,
    )
    assert process.returncode == 0
    codes = json.loads((folder / "codes.json").read_text())
    errors = [(folder / str(number)).read_text() for number in range(len(codes))]
    return dict(zip(commands, zip(codes, errors, strict=True), strict=True))


@contextmanager
def pipe_without_reader():
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
@pytest.mark.parametrize("buffering", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_device_is_one_line_and_exit_1(buffering, tmp_path):
    with open("/dev/full", "w") as full:
        ends = run_each(COMMANDS, tmp_path, stdout=full, PYTHONUNBUFFERED=buffering)
    assert ends == dict.fromkeys(COMMANDS, (1, NO_ROOM))


@pytest.mark.skipif(os.name != "posix", reason="pipes end so on POSIX systems")
def test_a_reader_that_has_gone_is_no_error(tmp_path):
    with pipe_without_reader() as writing:
        ends = run_each(COMMANDS, tmp_path, stdout=writing)
    assert ends == dict.fromkeys(COMMANDS, (141, ""))


@pytest.mark.skipif(os.name != "posix", reason="pipes end so on POSIX systems")
def test_a_failure_keeps_its_exit_code_without_a_reader(tmp_path):
    commands = [("evaluate", "nowhere", "nowhere"), ("evaluate",), ("evaluate", "a", "b", "--processes", "0")]
    with pipe_without_reader() as writing:
        ends = run_each(commands, tmp_path, stdout=writing)
    assert [code for code, _ in ends.values()] == [1, 2, 2]
    assert ends[commands[0]][1].startswith("Error: The folder of predictions nowhere does not exist")


def test_streams_are_given_back_and_an_error_is_not_hidden():
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError), guarded_streams():
        raise ZeroDivisionError
    assert (sys.stdout, sys.stderr) == before


def test_an_interruption_is_one_line(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(list_networks.typer, "secho", interrupted)
    result = CliRunner().invoke(app, ["list"])
    assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")


def test_the_package_runs_as_the_command():
    assert run("--version").stdout == f"nnunet-mamba {__version__}\n"
    assert "Usage: python -m nnunet_mamba [OPTIONS] COMMAND" in run("--help").stdout
    assert json.loads(run("list", "--json").stdout)
    assert "python -m nnunet_mamba evaluate --help" in run("evaluate").stderr


def test_a_file_gets_no_colours_and_whole_names_whatever_the_terminal_is():
    plain = run("list").stdout
    assert "\x1b" not in plain
    assert "…" not in plain
    assert run("list", COLUMNS="20", TERM="dumb").stdout == plain
    assert run("list", NO_COLOR="1").stdout == plain


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_result_that_is_lost_is_told_of_a_failed_command_too():
    with open("/dev/full", "w") as full:
        process = run("--no-such-option", stdout=full)
        assert process.returncode == 2
        script = (
            "import sys; from nnunet_mamba.cli.output.streams import guarded_streams\n"
            "with guarded_streams():\n    print('findings'); sys.exit(1)"
        )
        failed = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (failed.returncode, failed.stderr) == (1, NO_ROOM)


@pytest.mark.skipif(os.name != "posix", reason="a signal ends processes so on POSIX systems")
def test_an_interruption_amid_the_imports_is_no_traceback():
    # Interrupts itself where typer is imported, as a hand on the keyboard would.
    script = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from nnunet_mamba.__main__ import main\n"
        "main()"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (-signal.SIGINT, "", "")


def test_the_script_starts_where_interruptions_are_held_back():
    pyproject = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert '\nnnunet-mamba = "nnunet_mamba.__main__:main"\n' in pyproject
