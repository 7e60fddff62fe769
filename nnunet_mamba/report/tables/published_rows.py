"""The published rows of a data set: which ones, in which protocols, and as points of Dice over size."""

from dataclasses import dataclass

from nnunet_mamba.published_results import PublishedRow, published_rows


@dataclass(frozen=True, kw_only=True)
class PublishedPoint:
    """A row in the scatter of Dice over parameters.

    Args:
        name: of the method, as printed.
        n_parameters: numbers that it learns.
        dice: 0 to 1.
        multiply_adds: as printed; None where nothing is.
    """

    name: str
    n_parameters: float
    dice: float
    multiply_adds: float | None


def rows_of_dataset(dataset: str) -> list[PublishedRow]:
    """Return what the papers print of a data set, without their ablations.

    Args:
        dataset: of ``published_results.DATASETS``.
    """
    return [row for row in published_rows(dataset=dataset) if not row.table.is_ablation]


def published_protocols(dataset: str) -> list[str]:
    """Return the protocols of a data set's published rows.

    Args:
        dataset: of ``published_results.DATASETS``.
    """
    return list(dict.fromkeys(row.setting.protocol for row in rows_of_dataset(dataset)))


def published_points(dataset: str) -> list[PublishedPoint]:
    """Return the rows that print parameters and Dice; of a method that several tables print, each pair once.

    Args:
        dataset: of ``published_results.DATASETS``.
    """
    points: dict[tuple[str, float, float], PublishedPoint] = {}
    for row in rows_of_dataset(dataset):
        parameters, dice, operations = (row.printed(name) for name in ("parameters", "dice", "flops"))
        if parameters is None or dice is None:
            continue
        points.setdefault(
            # The papers on tumours differ in hyphens and underscores alone.
            (row.method.replace("_", "-"), parameters.value, dice.value),
            PublishedPoint(
                name=row.method,
                n_parameters=parameters.value,
                dice=dice.value,
                multiply_adds=None if operations is None else operations.value,
            ),
        )
    return list(points.values())
