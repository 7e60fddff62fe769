"""The splits of the papers, as data: sizes where they print no more, names of the cases where these are known."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PublishedSizes:
    """The sizes of a random split that papers print without its cases.

    Args:
        n_training: training cases.
        n_validation: validation cases; with none, fold "all" trains on the paper's number, the five folds are ours.
        n_test: test cases.
        cases: which cases of the data set these are.
        source: the papers.
        seed: of the draw; where the papers have none, that of nnU-Net's own five folds.
    """

    n_training: int
    n_validation: int
    n_test: int
    cases: str
    source: str
    seed: int = 12345

    @property
    def n_cases(self) -> int:
        """All cases."""
        return self.n_training + self.n_validation + self.n_test


@dataclass(frozen=True, kw_only=True)
class PublishedCases:
    """A split that papers name case by case, without validation cases: fold "all" trains as they did.

    Args:
        training: identifiers of the training cases.
        test: identifiers of the test cases.
        cases: which cases of the data set these are.
        source: the papers.
    """

    training: frozenset[str]
    test: frozenset[str]
    cases: str
    source: str

    @property
    def all(self) -> frozenset[str]:
        """Identifiers of all cases."""
        return self.training | self.test


_ULTRALIGHT = "sizes of Wu et al. 2024, UltraLight VM-UNet, arXiv:2403.20035; the draw is ours"
_VM_UNET = "sizes of Ruan and Xiang 2024, VM-UNet, arXiv:2402.02491; the draw is ours"
PUBLISHED_SIZES: Mapping[str, PublishedSizes] = {
    "isic17-1500-650": PublishedSizes(
        n_training=1500,
        n_validation=0,
        n_test=650,
        cases="the training part of ISIC 2017 (2000) and its validation part (150)",
        source=_VM_UNET,
    ),
    "isic17-1250-150-600": PublishedSizes(
        n_training=1250,
        n_validation=150,
        n_test=600,
        cases="the training part of ISIC 2017",
        source=_ULTRALIGHT,
    ),
    "isic18-1886-808": PublishedSizes(
        n_training=1886,
        n_validation=0,
        n_test=808,
        cases="the training part of ISIC 2018 (2594) and its validation part (100)",
        source=_VM_UNET,
    ),
    "isic18-1815-259-520": PublishedSizes(
        n_training=1815,
        n_validation=259,
        n_test=520,
        cases="the training part of ISIC 2018",
        source=_ULTRALIGHT,
    ),
    "lgg-by-slice": PublishedSizes(
        n_training=3143,
        n_validation=393,
        n_test=393,
        cases="all slices of all 110 patients of the LGG set",
        source="sizes of Crews and Whalen 2024, Mamba vs SOTA for Vision Tasks; the order they drew from is unknown",
        seed=37,
    ),
}


def _synapse(*numbers: int) -> frozenset[str]:
    return frozenset(f"case{number:04d}" for number in numbers)


_SYNAPSE_TEST = _synapse(1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)
PUBLISHED_CASES: Mapping[str, PublishedCases] = {
    "synapse-18-12": PublishedCases(
        training=_synapse(*range(1, 11), *range(21, 41)) - _SYNAPSE_TEST,
        test=_SYNAPSE_TEST,
        cases="all of Synapse (BTCV), case0001 to case0010 and case0021 to case0040",
        source="the cases of Chen et al. 2021, TransUNet, arXiv:2102.04306",
    ),
}
