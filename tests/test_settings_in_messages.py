"""The library names settings, never options, and every setting that it names is an option of some command."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import typer

import nnunet_mamba
from nnunet_mamba.cli.main import app
from nnunet_mamba.cli.options.option_names import SETTINGS, with_option_names

PACKAGE = Path(nnunet_mamba.__file__).parent
CLI = PACKAGE / "cli"
FILES = sorted(file for file in PACKAGE.rglob("*.py") if CLI not in file.parents)
# Options of other programs, which texts may name: of nnU-Net, pip, Docker and Slurm.
OTHERS = {"--c", "--editable", "--force-reinstall", "--no-deps", "--me", "--shm-size", "--val"}
# A Slurm job writes its advice into its log, where no command puts an option in the place of a setting; style sheets
# have properties that look like options.
NAMED_IN = {
    "slurm_job.py": {"--slurm-time"},
    "colours.py": {"--dash", "--model"},
    "scatter_legend.py": {"--dark", "--light"},
}
# A text that is nothing but an option, for another program.
ARGUMENT = re.compile(r"--[a-z][\w-]*(=.*)?")
# A command in full, with its options.
COMMAND = re.compile(r"nnunet-mamba [a-z-]+( [\w-]+)*")
# What stands here for a value that a text takes in; `image_pattern` is a setting, too.
VALUE = "image"


@cache
def texts(file: Path) -> list[str]:
    """Return the texts in a file without its docstrings, those with values as a whole."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    skipped = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and ast.get_docstring(node) is not None
    }
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    skipped |= {id(part) for node in joined for part in ast.walk(node)}
    return [
        *("".join(part.value if isinstance(part, ast.Constant) else VALUE for part in node.values) for node in joined),
        *(
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped
        ),
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_texts_name_no_option(file):
    messages = [COMMAND.sub("", text) for text in texts(file) if not ARGUMENT.fullmatch(text)]
    named = {option for text in messages for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", text)}
    assert named - OTHERS == NAMED_IN.get(file.name, set())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_settings_in_texts_are_those_of_commands(file):
    # ``map_in_order`` is told the name of its caller's setting; converters say of several settings what they may be.
    left = [re.sub(f"`{VALUE}=(1|{VALUE})`", "", with_option_names(text)) for text in texts(file)]
    assert [text for text in left if "`" in text] == []


def test_every_setting_is_an_option_of_some_command():
    def options(command):
        inner = getattr(command, "commands", {}).values()
        names = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        return names.union(*map(options, inner))

    known = options(typer.main.get_command(app))
    assert {name for name in SETTINGS if f"--{name.replace('_', '-')}" not in known} == set()
