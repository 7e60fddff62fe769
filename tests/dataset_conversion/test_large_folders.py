"""Conversions of ten thousand files: complete, in memory that stays small, with no step that grows faster than they."""

import cProfile
import json
import pstats
import tracemalloc

import pytest
from conversion_runs import DATASETS, RECORD, draw_own_pictures, draw_photographs, draw_scans

from nnunet_mamba.data.converters.folder import convert_folder
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.converters.isic import IsicOptions, convert_isic
from nnunet_mamba.data.converters.lgg import LggOptions, convert_lgg
from nnunet_mamba.data.sources.pattern_source import Source
from nnunet_mamba.data.writing.run_options import RunOptions

SLICES_OF_A_SCAN = 5
KINDS = pytest.mark.parametrize("kind", list(DATASETS))


@pytest.fixture
def convert(kind, tmp_path):
    """Draw a number of tiny cases, and return the function that converts them."""

    def drawn(n_cases, *, jobs=1):
        source, folder = tmp_path / f"source {n_cases}", tmp_path / f"raw {n_cases}" / DATASETS[kind]
        run = RunOptions(jobs=jobs)
        if kind == "isic":
            images, masks = draw_photographs(source, n_cases, shape=(8, 8))
            return lambda: convert_isic(images, masks, folder, options=IsicOptions(size=(8, 8), run=run))
        if kind == "lgg":
            (tree,) = draw_scans(source, n_cases // SLICES_OF_A_SCAN, n_slices=SLICES_OF_A_SCAN, shape=(8, 8))
            return lambda: convert_lgg(tree, folder, options=LggOptions(as_volumes=False, run=run))
        (root,) = draw_own_pictures(source, n_cases)
        return lambda: convert_folder(Source(images=root), folder, options=FolderOptions(size=(8, 8), run=run))

    return drawn


def n_calls(function):
    profile = cProfile.Profile()
    profile.runcall(function)
    return pstats.Stats(profile).total_calls


@KINDS
def test_twice_as_many_cases_take_twice_as_many_steps(convert):
    conversions = [convert(n_cases) for n_cases in (10, 20, 40)]
    # What is imported or remembered once is no part of it.
    convert(5)()
    for _ in ("written", "nothing to do"):
        few, more, most = (n_calls(conversion) for conversion in conversions)
        assert (most - more) / 20 == pytest.approx((more - few) / 10, rel=0.05)


@pytest.mark.long
@KINDS
def test_ten_thousand_cases(kind, convert, tmp_path):
    n_cases = 5_000 if kind == "isic" else 10_000
    conversion = convert(n_cases, jobs=2)
    tracemalloc.start()
    try:
        done = conversion()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    identifiers = [case.identifier for case in done.cases]
    assert (done.n_written, len(set(identifiers))) == (n_cases, n_cases)
    assert {path.name for path in (done.folder / "imagesTr").iterdir()} == {f"{name}_0000.png" for name in identifiers}
    assert {path.name for path in (done.folder / "labelsTr").iterdir()} == {f"{name}.png" for name in identifiers}
    assert json.loads((done.folder / RECORD).read_text())["cases"].keys() == set(identifiers)
    # Of this process, whose workers hold the pictures.
    assert peak / n_cases < 10_000  # bytes
    assert conversion().n_written == 0
