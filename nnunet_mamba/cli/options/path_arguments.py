"""All commands refuse paths that no shell has expanded, and empty ones."""

import inspect
import os
import sys
import typing
from collections.abc import Callable
from copy import copy
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import ArgumentInfo, OptionInfo

from nnunet_mamba.system.nnunet_folders import unexpanded


def refuse_unexpanded_paths(app: typer.Typer) -> None:
    """Have all commands of an application refuse a path such as '~/images' that no shell has expanded, or an empty one.

    Otherwise they would look for, or make, a folder called "~" in the working directory, or take the working directory
    where a variable of the shell is not set.

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
    hints = typing.get_type_hints(command, include_extras=True)
    names = [name for name, hint in hints.items() if _metadata(hint) and Path in _types(hint)]
    # Typer gives texts, because pathlib would take an empty one for the working directory.
    hints.update({name: _as_given(hints[name]) for name in names})
    signature = inspect.signature(command)

    @wraps(command)
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        for name in [name for name in given.arguments if name in names]:
            value = given.arguments[name]
            for path in value if isinstance(value, list | tuple) else [value]:
                if path is not None and (what := refusal_of_path(str(path))) is not None:
                    print(f"Error: {_shown_name(command, name)} {str(path)!r}: {what}", file=sys.stderr)
                    raise typer.Exit(1)
            given.arguments[name] = _as_paths(value)
        return command(*given.args, **given.kwargs)

    # Only the wrapper takes texts. Called from Python, the command takes paths.
    checked.__annotations__ = hints
    parameters = [one.replace(annotation=hints.get(name, one.annotation)) for name, one in signature.parameters.items()]
    checked.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return checked


def _as_given(hint: Any) -> Any:
    """Return the hint of a path for which typer gives a text."""
    inner = next(one for one in (hint, *typing.get_args(hint)) if hasattr(one, "__metadata__"))
    infos = [copy(info) for info in inner.__metadata__]
    for info in infos:
        if isinstance(info, ArgumentInfo | OptionInfo):
            info.path_type = str
    return Annotated.__class_getitem__((inner.__origin__, *infos))  # type: ignore[attr-defined]


def _as_paths(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_as_paths, value))
    return None if value is None else Path(value)


def _metadata(hint: Any) -> tuple[Any, ...]:
    """Return what typer knows of a parameter; Python 3.10 puts "or None" around its hint if that is the default."""
    hints = (hint, *typing.get_args(hint))
    return next((inner.__metadata__ for inner in hints if hasattr(inner, "__metadata__")), ())


def _types(hint: Any) -> set[Any]:
    """Return the types that a hint such as ``list[Path] | None`` is made of."""
    inner = [hint.__origin__] if hasattr(hint, "__metadata__") else typing.get_args(hint)
    return {hint}.union(*map(_types, inner))


def refusal_of_path(text: str) -> str | None:
    """Return why a text cannot be meant as a path, with the way out; None if it can.

    Args:
        text: as it was given.
    """
    if not text:
        return 'it is empty, as a variable that is not set. Give the path, or "." for the working directory'
    what = unexpanded(text)
    # Old data may lie in folders with odd names, but one called "~" was made by mistake.
    if what is None or (os.path.exists(text) and not text.startswith("~")):
        return None
    return f'{what}. Give the full path, or "$HOME/…" in double quotes'


def _shown_name(command: Callable[..., Any], name: str) -> str:
    hint = typing.get_type_hints(command, include_extras=True).get(name)
    for info in _metadata(hint):
        if isinstance(info, ArgumentInfo):
            return name.upper()
        if isinstance(info, OptionInfo) and info.param_decls:
            return next((text for text in info.param_decls if text.startswith("--")), info.param_decls[0])
    return f"--{name.replace('_', '-')}"
