"""The scores of a case that two models can be compared by."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score that every case has; those that pool pixels over cases have no value for each.

    Args:
        name: of the attribute of ``Confusion`` or ``MaskDistances``.
        title: as papers print it.
        is_distance: whether label maps have to be measured; otherwise nnU-Net's counts tell it.
        is_ratio: whether it lies between 0 and 1; otherwise it is a length.
        higher_is_better: whether a larger figure is the better one.
    """

    name: str
    title: str
    is_distance: bool = False
    is_ratio: bool = True
    higher_is_better: bool = True


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="dice", title="Dice"),
        Metric(name="iou", title="IoU"),
        Metric(name="sensitivity", title="sensitivity"),
        Metric(name="precision", title="precision"),
        Metric(name="hd95", title="HD95", is_distance=True, is_ratio=False, higher_is_better=False),
        Metric(name="assd", title="ASSD", is_distance=True, is_ratio=False, higher_is_better=False),
        Metric(name="nsd", title="NSD", is_distance=True),
    )
}


def find_metric(name: str) -> Metric:
    """Return the metric of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in METRICS:
        raise ValueError(f"`metric={name!r}`: expected one of {', '.join(METRICS)}")
    return METRICS[name]
