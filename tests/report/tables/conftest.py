"""A table with all that a form must show, awkward names among it."""

import math

import pytest

from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.report.tables.score_figures import model_figures
from nnunet_mamba.report.tables.table import Column, Group, Number, Row, Table
from nnunet_mamba.results.confusion import Confusion, ScoredCase

LONG = "nnUNetTrainerUltraLightVM_robust_20epochs"
AWKWARD = r"a|b_ & 50% #1 {x}~^\$<i>*y*</i>[z]"
REMARK = "Both papers draw slices."
COLUMNS = [
    Column(key="dice", heading="Dice", decimals=3, better="higher"),
    Column(key="hd95", heading="HD95", unit="mm", decimals=1, better="lower", csv_name="hd95_mm"),
    Column(key="parameters", heading="parameters", unit="M", decimals=2, scale=1e-6),
    Column(key="source", heading="source"),
    Column(key="words", heading="in words", for_programs=False),
    Column(key="p", heading="p", decimals=4, for_people=False),
]
OWN = [
    Row(
        name=LONG,
        cells={
            "dice": Number(value=0.81249, spread=0.0126),
            "hd95": Number(value=12.34),
            "parameters": Number(value=49_425.0),
            "p": Number(value=1 / 3),
        },
    ),
    Row(name=AWKWARD, cells={"dice": Number(value=0.8121), "hd95": Number(value=math.nan), "source": "50 %"}),
]
FIRST = Group(title="Published, by other hands: A, Table 1", remarks=(REMARK, "On 10 % of it."))
SECOND = Group(title="B, Table 2", remarks=(REMARK,))
PUBLISHED = [
    Row(name="A-Net", cells={"dice": Number(value=0.99)}, is_published=True, group=FIRST, remarks=("Its ± is 0.",)),
    Row(name="=B", cells={"dice": Number(value=0.79955, decimals=5)}, is_published=True, group=SECOND),
]


@pytest.fixture
def awkward_table():
    return Table(
        key="scores",
        title="Scores & costs",
        first_heading="trainer",
        columns=COLUMNS,
        rows=[*OWN, *PUBLISHED],
        notes=["± over folds <5>."],
    )


@pytest.fixture
def wide_table():
    """Figures with ± of thirteen organs."""
    organs = [f"organ number {number}" for number in range(13)]
    cells = {organ: Number(value=0.8125, spread=0.0123) for organ in organs}
    columns = [Column(key=organ, heading=organ, decimals=3, better="higher") for organ in organs]
    rows = [Row(name=f"{LONG}_seed{seed}", cells=cells) for seed in (1, 2)]
    return Table(key="dice_by_label", title="Dice", first_heading="trainer", columns=columns, rows=rows)


@pytest.fixture
def organs(tmp_path):
    """Figures of thirteen organs in two folds of two volumes; of organ n, 20 - n of 20 voxels are found."""

    def make(name, *, labels=None, spoilt=None, **options):
        named = labels or [f"organ {number}" for number in range(13)]
        found = {label: 20 - place - (place == spoilt) for place, label in enumerate(named)}
        counts = {label: Confusion(tp=n, fp=0, fn=20 - n, tn=80) for label, n in found.items()}
        cases = [ScoredCase(identifier=case, confusions=counts) for case in "abcd"]
        folds = {"a": "0", "b": "0", "c": "1", "d": "1"}
        only = ScoredModel(name=name, place=tmp_path / name, cases=cases, folds=folds)
        return model_figures(ReportedModel(name=name, repeats=[only], **options))

    return make
