"""Masks that look odd and may still be right: a hint for the user, never a refusal."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from nnunet_mamba.data.formats.whole_numbers import TOLERANCE
from nnunet_mamba.data.problems import CaseCheck

# A lesion may fill nine tenths of a close photograph, but hardly in four cases of five.
MOSTLY = 0.5
NEARLY_ALL = 0.8
# Share of the pixels at the border: a lesion larger than its picture still leaves corners.
WHOLE_BORDER = 0.95
SHOWN_CASES = 5


def border_share(is_foreground: npt.NDArray[Any]) -> float:
    """Return the share of the positions at the border that are foreground.

    Args:
        is_foreground: (*slices, y, x), of any type; what is not 0 counts. Of volumes, the border of every slice.
    """
    rows = is_foreground[..., [0, -1], :] != 0
    columns = is_foreground[..., :, [0, -1]] != 0
    return float((rows.mean() * rows.size + columns.mean() * columns.size) / (rows.size + columns.size))


def mask_hints(checked: Mapping[str, CaseCheck]) -> list[str]:
    """Return what a user should look at, in sentences; empty if nothing is odd.

    Args:
        checked: what was found, by identifier.
    """
    return [text for text in (_rounded(checked), _inverted(checked)) if text]


def _rounded(checked: Mapping[str, CaseCheck]) -> str:
    cases = {identifier: one.n_rounded for identifier, one in checked.items() if one.n_rounded}
    if not cases:
        return ""
    return (
        f"the masks of {_counted(cases)} hold {sum(cases.values())} values that miss a whole number by "
        f"{TOLERANCE:g} at most; they are taken as that number"
    )


def _inverted(checked: Mapping[str, CaseCheck]) -> str:
    judged = {
        identifier: (one.foreground, one.border)
        for identifier, one in checked.items()
        if one.foreground is not None and one.border is not None
    }
    mostly = {name: share for name, (share, _) in judged.items() if share > MOSTLY}
    way_out = "look at one. If background and foreground are exchanged, invert"
    if mostly and len(mostly) >= NEARLY_ALL * len(judged):
        mean = sum(mostly.values()) / len(mostly)
        return (
            f"the masks of {_counted(mostly)}, of {len(judged)}, are mostly foreground ({mean:.0%} on average): they "
            f"may be inverted; {way_out} the masks; nnunet-mamba convert folder does so with `labels`, a file with "
            '{"background": 255, "lesion": 0}, or 1 instead of 255 for masks of 0 and 1'
        )
    framed = {name: share for name, (share, border) in judged.items() if share > MOSTLY and border >= WHOLE_BORDER}
    if not framed:
        return ""
    return (
        f"the masks of {_counted(framed)}, of {len(judged)}, are mostly foreground and reach every border, unlike the "
        f"others: they may be inverted; {way_out} these masks alone"
    )


def _counted(cases: Mapping[str, Any]) -> str:
    names = list(cases)
    more = ", ..." if len(names) > SHOWN_CASES else ""
    return f"{len(names)} case{'s' if len(names) > 1 else ''} ({', '.join(names[:SHOWN_CASES])}{more})"
