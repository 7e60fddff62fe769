"""Paths of a command line as a shell should have given them: what it did not expand is refused, for all commands."""

import inspect
import os
import sys
import typing
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo

from nnunet_mamba.nnunet_folders import unexpanded


def refuse_unexpanded_paths(app: typer.Typer) -> None:
    """Have all commands of an application refuse a path such as '~/images' that no shell has expanded.

    Otherwise they would look for, or make, a folder called "~" in the working directory.

    Args:
        app: with all of its commands and groups.
    """
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _checked(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            refuse_unexpanded_paths(group.typer_instance)


def _checked(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(command).bind(*args, **kwargs).arguments
        for name, value in given.items():
            paths = value if isinstance(value, list | tuple) else [value]
            for path in paths:
                if isinstance(path, Path) and (what := _refusal(path)) is not None:
                    print(f"Error: {_shown_name(command, name)} {str(path)!r}: {what}", file=sys.stderr)
                    raise typer.Exit(1)
        return command(*args, **kwargs)

    return checked


def _refusal(path: Path) -> str | None:
    text = str(path)
    what = unexpanded(text)
    # Old data may lie in folders with odd names. One called "~" was made by mistake.
    if what is None or (os.path.exists(text) and not text.startswith("~")):
        return None
    return f'{what}. Give the full path, or "$HOME/…" in double quotes'


def _shown_name(command: Callable[..., Any], name: str) -> str:
    hint = typing.get_type_hints(command, include_extras=True).get(name)
    for info in getattr(hint, "__metadata__", ()):
        if isinstance(info, ArgumentInfo):
            return name.upper()
        if isinstance(info, OptionInfo) and info.param_decls:
            return next((text for text in info.param_decls if text.startswith("--")), info.param_decls[0])
    return f"--{name.replace('_', '-')}"
