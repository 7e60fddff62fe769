"""Numbers of things in sentences: "1 case is", "2 cases are"."""


def how_many(count: int, one: str, several: str | None = None) -> str:
    """Return a number with what is counted.

    Args:
        count: how many there are.
        one: what follows a 1, such as "case" or "case is".
        several: what follows other numbers; None puts an s behind ``one``.
    """
    return f"{count} {one if count == 1 else several or f'{one}s'}"
