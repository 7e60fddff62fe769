from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app as whole_app
from nnunet_mamba.cli.options.path_arguments import refuse_unexpanded_paths


def run(*arguments):
    """Run an application with a command of its own and one in a group; they say what they got."""
    group, app = typer.Typer(), typer.Typer()

    @app.command()
    def take(
        source: Annotated[Path, typer.Argument()],
        output: Annotated[Path | None, typer.Option("-o", "--output")] = None,
        label_file: Annotated[list[Path] | None, typer.Option()] = None,
        title: Annotated[str, typer.Option()] = "",
    ) -> None:
        typer.echo(f"{source} {output} {label_file} {title}")

    @group.command("inner")
    def inner(folder: Annotated[Path, typer.Option()]) -> None:
        typer.echo(folder)

    app.add_typer(group, name="group")
    refuse_unexpanded_paths(app)
    return CliRunner().invoke(app, arguments)


def test_paths_and_texts_that_mean_what_they_say_arrive(tmp_path):
    result = run("take", "images", "--output", str(tmp_path / "x"), "--label-file", "/~/a", "--title", "~ten $a")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"images {tmp_path / 'x'} ")
    assert result.stdout.rstrip().endswith("~ten $a")


@pytest.mark.parametrize("path", ["~", "~/x", "$HOME/x", "${HOME}/x", "'x'", '"x"', "x ", "x\n"])
def test_what_no_shell_expanded_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    for name, arguments in {
        "SOURCE": ("take", path),
        "--output": ("take", "images", f"--output={path}"),
        "--label-file": ("take", "images", "--label-file", "a", "--label-file", path),
        "--folder": ("group", "inner", "--folder", path),
    }.items():
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith(f"Error: {name} {path!r}: ")
        assert "$HOME" in result.stderr


def test_an_empty_path_is_not_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, arguments in {
        "SOURCE": ("take", ""),
        "--output": ("take", "images", "--output", ""),
        "--label-file": ("take", "images", "--label-file", "a", "--label-file="),
        "--folder": ("group", "inner", "--folder="),
    }.items():
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"Error: {name} '': it is empty")
    assert run("take", ".", "--output", "./").stdout.startswith(". . ")
    assert run("group", "inner", "--folder", ".").stdout == ".\n"
    assert CliRunner().invoke(whole_app, ["evaluate", "", "labels"]).stderr.startswith("Error: PREDICTIONS '': it is")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_an_odd_name_is_found_but_for_the_one_called_tilde(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("$HOME", "x ", "~"):
        Path(name).mkdir()
    assert run("take", "$HOME").exit_code == 0
    assert run("take", "x ").exit_code == 0
    assert run("take", "~").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", "folder", "images", "--output", "~/nn/raw", "--dataset-id", "900", "--name", "X"),
        ("demo", "--folder", "~/demo"),
        ("evaluate", "~/predictions", "labels"),
        ("restore", "~/predictions", "raw", "--output", "x"),
        ("import-weights", "~/weights.pth", "--network", "vm_unet", "--output", "x.pth"),
    ],
)
def test_every_command_refuses_them(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(whole_app, arguments)
    assert result.exit_code == 1, result.output
    assert "'~' stands for the home folder in a shell only" in result.stderr
    assert list(tmp_path.iterdir()) == []
