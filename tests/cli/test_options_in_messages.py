"""Messages name only options that the command at hand has."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import typer

import nnunet_mamba
from nnunet_mamba.bundled import dataset_conversion_folder
from nnunet_mamba.cli.convert import app
from nnunet_mamba.cli.option_names import with_option_names

ROOT = Path(nnunet_mamba.__file__).parent.parent
SCRIPTS = {
    "isic": "Dataset101_ISIC",
    "ph2": "Dataset102_PH2",
    "lgg": "Dataset103_LGG",
    "synapse": "Dataset104_Synapse",
    "folder": "Dataset105_Folder",
}
# Options of nnU-Net's own commands, and of files that name them to commands which read no such file.
OTHERS = {"--verify"}
# Where a module serves several commands, and the text reaches those alone that have the option.
ONLY_WHERE_IT_IS = {
    # Masks of any labels, which convert folder alone has.
    "label_values.py": {"--labels", "--threshold", "--allow-empty-masks"},
    "pictures.py": {"--labels", "--threshold", "--channel-names"},
    "labelled_volumes.py": {"--channel-names"},
    # Only convert folder joins masks; the others take one mask of each image.
    "joined_masks.py": {"--join-masks", "--no-join-masks", "--threshold"},
    # The text names the command that has it.
    "mask_hints.py": {"--labels"},
    # Photographs, and slices that are cases.
    "slice_stacks.py": {"--size"},
    "picture_cases.py": {"--size", "--allow-empty-masks"},
    "image_files.py": {"--size", "--allow-empty-masks"},
    # Pairs of images and masks in folders, which convert lgg and synapse do not have.
    "group_table.py": {"--groups", "--group-column", "--allow-missing-groups"},
}


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


def modules_of(script: Path) -> set[Path]:
    """Return the files of the package's data folder that a script imports, and those that they import."""
    found: set[Path] = set()
    todo = [script]
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


@pytest.mark.parametrize("command", SCRIPTS)
def test_a_conversion_names_no_option_that_it_has_not(command):
    options = options_of(command) | OTHERS
    script = Path(dataset_conversion_folder()) / f"{SCRIPTS[command]}.py"
    own = Path(inspect.getfile(inspect.unwrap(app.registered_commands[0].callback))).parent / f"{command}.py"
    wrong = {
        (file.name, option)
        for file in {script, own, *modules_of(script)}
        for text in strings(file)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", with_option_names(text))
        if option not in options | ONLY_WHERE_IT_IS.get(file.name, set())
    }
    assert wrong == set()
    assert len(modules_of(script)) > 10


def test_the_exceptions_are_options_of_some_conversion():
    options = set().union(*map(options_of, SCRIPTS))
    for file, exceptions in ONLY_WHERE_IT_IS.items():
        assert exceptions <= options, file
