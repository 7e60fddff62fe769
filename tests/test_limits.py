"""Limits that keep the house one to live in: of files, functions and folders."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = ("nnunet_mamba", "dataset_conversion", "trainers", "benchmarks", "docs", "packaging", "tests")
LINES_OF_A_FILE, LINES_OF_A_FUNCTION, FILES_OF_A_FOLDER = 400, 60, 24
# Triton compiles a kernel as one function, and typer reads a command's options from its signature.
LONG_FUNCTIONS = (
    *(f"nnunet_mamba/ops/{room}/triton_" for room in ("scan", "directions", "mixer")),
    "nnunet_mamba/cli/",
)

FILES = {file.relative_to(ROOT).as_posix(): file for place in PLACES for file in sorted((ROOT / place).rglob("*.py"))}
TEXTS = {name: file.read_text(encoding="utf-8") for name, file in FILES.items()}


def test_files_are_short():
    assert FILES
    assert not {name: n for name, text in TEXTS.items() if (n := text.count("\n")) > LINES_OF_A_FILE}


def test_functions_are_short():
    found = {
        f"{name}:{node.lineno} {node.name}": n
        for name, text in TEXTS.items()
        if not name.startswith(LONG_FUNCTIONS)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (n := (node.end_lineno or node.lineno) - node.lineno + 1) > LINES_OF_A_FUNCTION
    }
    assert not found


@pytest.mark.parametrize("place", ["nnunet_mamba", "benchmarks", "docs"])
def test_folders_hold_few_files(place):
    folders = {file.parent for name, file in FILES.items() if name.startswith(f"{place}/")}
    assert not {folder.name: n for folder in folders if (n := len(list(folder.glob("*.py")))) > FILES_OF_A_FOLDER}


def test_test_files_have_names_of_their_own():
    """pytest imports them by their names alone, and fails with two of one name where both are collected."""
    names = [file.name for name, file in FILES.items() if name.startswith("tests/") and file.name.startswith("test_")]
    assert not {name for name in names if names.count(name) > 1}
