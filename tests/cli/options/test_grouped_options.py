import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from nnunet_mamba.cli.options.grouped_options import with_grouped_options
from nnunet_mamba.cli.options.path_arguments import refuse_unexpanded_paths


@dataclass(frozen=True, kw_only=True)
class Speed:
    jobs: Annotated[int, typer.Option(help="How many.")] = 1
    log: Annotated[Path | None, typer.Option(metavar="FILE")] = None


@dataclass(frozen=True, kw_only=True)
class Place:
    name: Annotated[str, typer.Option()]
    output: Annotated[Path | None, typer.Option()] = None


@pytest.fixture
def called():
    return []


@pytest.fixture
def command(called):
    @with_grouped_options
    def show(
        source: Annotated[Path, typer.Argument()],
        first: Annotated[bool, typer.Option("--first")] = False,
        place: Place = Place(name="here"),
        last: Annotated[bool, typer.Option("--last")] = False,
        speed: Speed = Speed(jobs=2),
    ) -> None:
        """Show what was given."""
        called.append((source, first, place, last, speed))

    return show


@pytest.fixture
def run(command):
    app = typer.Typer()
    app.command()(command)
    refuse_unexpanded_paths(app)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_the_fields_of_a_group_are_options_in_its_place(command):
    assert list(inspect.signature(command).parameters) == [
        *("source", "first", "name", "output", "last", "jobs", "log"),
    ]
    assert command.__doc__ == "Show what was given."


def test_without_options_a_command_gets_the_defaults_of_its_own_groups(run, called):
    assert run("x").exit_code == 0
    assert called == [(Path("x"), False, Place(name="here"), False, Speed(jobs=2))]


def test_options_reach_the_groups(run, called):
    result = run("x", "--last", "--jobs", "5", "--log", "l.txt", "--name", "there", "--output", "o")
    assert result.exit_code == 0, result.output
    place, speed = Place(name="there", output=Path("o")), Speed(jobs=5, log=Path("l.txt"))
    assert called == [(Path("x"), False, place, True, speed)]


def test_help_has_texts_and_defaults_of_the_groups(run):
    text = run("--help").stdout
    for part in ("How many.", "default: 2", "FILE", "default: here"):
        assert part in text


def test_paths_in_groups_are_refused_where_a_shell_did_not_expand_them(run, called):
    result = run("x", "--output", "~/o")
    assert result.exit_code == 1
    assert "--output" in result.stderr
    assert called == []


def test_the_command_can_be_called_from_python(command, called):
    command(Path("x"), jobs=3)
    assert called == [(Path("x"), False, Place(name="here"), False, Speed(jobs=3))]
