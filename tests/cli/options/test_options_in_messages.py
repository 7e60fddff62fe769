"""Messages name only options that the command at hand has."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import typer

import nnunet_mamba
from nnunet_mamba.cli.convert import app
from nnunet_mamba.cli.options.option_names import with_option_names

ROOT = Path(nnunet_mamba.__file__).parent.parent
COMMANDS = ("isic", "ph2", "lgg", "synapse", "folder")
# Options of nnU-Net's own commands, and of files that name them to commands which read no such file.
OTHERS = {"--verify"}
# Where a module serves several commands, and the text reaches those alone that have the option.
ONLY_WHERE_IT_IS = {
    # Masks of any labels, which convert folder alone has.
    "label_values.py": {"--labels", "--threshold", "--allow-empty-masks"},
    # Only convert folder joins masks; the others take one mask of each image.
    "joined_masks.py": {"--join-masks", "--no-join-masks", "--threshold"},
    # The text names the command that has it.
    "mask_hints.py": {"--labels"},
    # Photographs, which convert lgg and synapse do not have.
    "image_files.py": {"--allow-empty-masks"},
}


@cache
def strings(file: Path) -> list[str]:
    """Return the texts in a file without its docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and ast.get_docstring(node) is not None
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def modules_of(command: str) -> set[Path]:
    """Return the file of a command, those of the package's data folder that it imports, and those that they import."""
    found = {ROOT / "nnunet_mamba" / "cli" / "convert" / f"{command}.py"}
    todo = list(found)
    while todo:
        for node in ast.walk(ast.parse(todo.pop().read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                file = ROOT / (name.replace(".", "/") + ".py")
                if name.startswith("nnunet_mamba.data.") and file.is_file() and file not in found:
                    found.add(file)
                    todo.append(file)
    return found


def options_of(command: str) -> set[str]:
    click_command = typer.main.get_command(app).commands[command]
    return {name for parameter in click_command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@cache
def missing_options(command: str) -> set[tuple[str, str]]:
    """Return the options that texts name and that a command does not have, with the files that hold the texts."""
    options = options_of(command) | OTHERS
    return {
        (file.name, option)
        for file in modules_of(command)
        for text in strings(file)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", with_option_names(text))
        if option not in options
    }


ALLOWED = {(file, option) for file, options in ONLY_WHERE_IT_IS.items() for option in options}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_conversion_names_no_option_that_it_has_not(command):
    assert missing_options(command) - ALLOWED == set()
    assert len(modules_of(command)) > 10


def test_every_exception_is_needed_and_an_option_of_some_conversion():
    assert set().union(*map(missing_options, COMMANDS)) & ALLOWED == ALLOWED
    assert {option for _, option in ALLOWED} <= set().union(*map(options_of, COMMANDS))
