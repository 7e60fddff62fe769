from pathlib import Path

import pytest

from nnunet_mamba.data.converters.synapse_transunet_names import slice_number, stack_problems, transunet_case


@pytest.mark.parametrize(
    ("name", "case", "number"),
    [
        ("case0005_slice000.npz", "case0005", 0),
        ("case0005_slice012.npz", "case0005", 12),
        ("case0001.npy.h5", "case0001", -1),
        ("case0001.h5", None, -1),
        ("img0001.npz", None, -1),
    ],
)
def test_names_tell_case_and_slice(name, case, number):
    assert transunet_case(Path("train_npz", name)) == case
    assert slice_number(Path("train_npz", name)) == number


def test_slices_that_are_missing_twice_or_beside_a_volume_are_told():
    def problems(*names):
        return list(stack_problems([Path(name) for name in names]))

    assert problems("a.npy.h5") == problems("case1_slice001.npz", "case1_slice000.npz") == []
    assert "1 of 2 slices missing (000)" in problems("case1_slice001.npz")[0]
    assert "2 files for 1 slices" in problems("case1_slice000.npz", "x/case1_slice000.npz")[0]
    assert "a volume in test_vol_h5" in problems("case1.npy.h5", "case1_slice000.npz")[0]
