"""The devices on which torch can predict here."""

import torch


def chosen_device(device: str | torch.device | None) -> torch.device:
    """Return the device that is meant; None means a GPU if there is one.

    Raises:
        ValueError: torch has no such device here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    there = devices_there()
    expected = f"expected one of {', '.join(there)}"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"`device` {device}: none of torch's, {expected}") from error
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"`device` {device}: nothing is predicted there, {expected}")
    if chosen.type not in there:
        what = "GPU" if chosen.type == "cuda" else "Apple GPU"
        raise ValueError(
            f"`device` {device}: torch finds no {what} here, {expected}; leave it out to take the best one"
        )
    is_numbered = chosen.type == "cuda" or chosen.index not in (None, 0)
    if is_numbered and chosen.index is not None and str(chosen) not in there:
        raise ValueError(f"`device` {device}: torch finds no {chosen} here, {expected}")
    return chosen


def devices_there() -> list[str]:
    """Return the names of the devices that can predict here: "cpu", then GPUs, "cuda" before "cuda:0"."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found += ["cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found
