"""Options that several commands share, declared once as the fields of a dataclass."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Any, get_type_hints


def with_grouped_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take groups of options: typer reads options from a signature, and finds the fields of groups there.

    A parameter whose type is a dataclass is a group. Each of its fields is an option at the place of the group::

        @with_grouped_options
        def show(source: Path, run: ConversionRun = ConversionRun(jobs=2)) -> None: ...

    takes ``--jobs`` with 2 as its default, and all other options of the group with the defaults of their fields.

    Args:
        command: a function whose groups all have a default; the types of their fields are typer's, ``Annotated[...]``.

    Returns:
        The command for typer: it takes all options one by one, and calls ``command`` with the groups.
    """
    signature = inspect.signature(command, eval_str=True)
    groups = {name: one.annotation for name, one in signature.parameters.items() if _is_group(one.annotation)}
    parameters = [
        expanded
        for name, parameter in signature.parameters.items()
        for expanded in (_options_of(parameter) if name in groups else (parameter,))
    ]
    flat = signature.replace(parameters=parameters)

    @wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> None:
        bound = flat.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    with_options.__signature__ = flat  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_options


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and is_dataclass(annotation)


def _options_of(group: Parameter) -> Iterator[Parameter]:
    """Yield a parameter for each field of a group, with the field's value in the group's default as its default."""
    hints = get_type_hints(group.annotation, include_extras=True)
    for field in fields(group.annotation):
        default = getattr(group.default, field.name)
        yield Parameter(field.name, group.kind, default=default, annotation=hints[field.name])
