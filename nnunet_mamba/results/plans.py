"""Read what nnU-Net's plans say of one configuration."""

from collections.abc import Mapping
from typing import Any


def inherited(configurations: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration with the entries of those that it inherits from, as nnU-Net joins them.

    Args:
        configurations: of plans.
        name: of one of them.

    Raises:
        ValueError: it, or one that it inherits from, is missing or no object, or they inherit in a circle.
    """
    entries: dict[str, Any] = {}
    seen: list[str] = []
    following: Any = name
    while following is not None:
        if following in seen:
            raise ValueError(f"the configurations {', '.join(seen)} inherit from each other in a circle")
        if not isinstance(following, str) or not isinstance(configurations.get(following), Mapping):
            raise ValueError(f"there is no configuration {following!r}, but {', '.join(configurations) or 'none'}")
        seen.append(following)
        entries = {**configurations[following], **entries}
        following = configurations[following].get("inherits_from")
    return entries


def data_identifier(configuration: Mapping[str, Any], *, where: str) -> str:
    """Return the name of the folder that holds the preprocessed data of a configuration.

    Args:
        configuration: with all that it inherits.
        where: what to call the plans.

    Raises:
        ValueError: the configuration names no folder.
    """
    identifier = configuration.get("data_identifier")
    if not isinstance(identifier, str) or not identifier:
        raise ValueError(f"{where} has the data_identifier {identifier!r}, expected the name of a folder")
    return identifier
