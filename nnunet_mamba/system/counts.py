"""Numbers of things in sentences: "1 case is", "2 cases are", "folds 0, 1"."""

from collections.abc import Sequence


def how_many(count: int, one: str, several: str | None = None) -> str:
    """Return a number with what is counted.

    Args:
        count: how many there are.
        one: what follows a 1, such as "case" or "case is".
        several: what follows other numbers; None puts an s behind ``one``.
    """
    return f"{count} {one if count == 1 else several or f'{one}s'}"


def numbered(noun: str, names: Sequence[str]) -> str:
    """Return what numbers belong to: "fold 0", "folds 0, 1".

    Args:
        noun: in the singular.
        names: at least one.
    """
    return f"{noun}{'' if len(names) == 1 else 's'} {', '.join(names)}"
