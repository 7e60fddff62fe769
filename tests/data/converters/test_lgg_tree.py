import os
import shutil

import pytest
from lgg_scans import draw_scan, draw_tree

from nnunet_mamba.data.converters.lgg_tree import find_cases, find_tree


@pytest.fixture
def tree(tmp_path):
    return draw_tree(tmp_path)


@pytest.mark.parametrize("as_volumes", [True, False])
def test_cases_of_one_patient_are_one_group(tree, as_volumes):
    draw_scan(tree / "TCGA_CS_4941_20000101", 2, seed=1)
    cases, problems = find_cases(tree, as_volumes=as_volumes)
    assert problems == []
    assert {case.group for case in cases} == {"TCGA_CS_4941", "TCGA_DU_A5TU"}
    assert {case.group for case in cases if "CS_4941" in case.identifier} == {"TCGA_CS_4941"}


def test_takes_the_tree_of_the_archive_once(tree, tmp_path):
    assert find_tree(tree) == find_tree(tmp_path) == (tree, None)
    twin = tmp_path / "lgg-mri-segmentation" / "kaggle_3m"
    shutil.copytree(tree, twin)
    (twin / "data.csv").write_text("Patient;RNASeqCluster\r\n")
    assert find_tree(tmp_path) == (tree, twin)
    shutil.rmtree(tree)
    assert find_tree(tmp_path) == (twin, None)


@pytest.mark.parametrize("difference", ["pixel", "missing in the first", "missing in the second"])
def test_refuses_two_trees_that_differ(tree, tmp_path, difference):
    twin = tmp_path / "lgg-mri-segmentation" / "kaggle_3m"
    shutil.copytree(tree, twin)
    name = "TCGA_DU_A5TU_19980312/TCGA_DU_A5TU_19980312_2_mask.tif"
    if difference == "pixel":
        before = (twin / name).stat()
        content = bytearray((twin / name).read_bytes())
        content[100] ^= 255
        (twin / name).write_bytes(content)
        os.utime(twin / name, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.utime(tree / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        ((tree if difference == "missing in the first" else twin) / name).unlink()
    with pytest.raises(ValueError, match=f"two trees that differ in {name}.*name the one that is meant"):
        find_tree(tmp_path)


def test_names_what_it_looked_for(tmp_path):
    with pytest.raises(NotADirectoryError, match="nowhere is not a folder; expected kaggle_3m"):
        find_tree(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no patients in .*expected folders such as TCGA_CS_4941_19960909"):
        find_tree(tmp_path)


def test_a_slice_number_in_the_millions_costs_nothing(tree):
    scan = tree / "TCGA_DU_A5TU_19980312"
    for ending in ("", "_mask"):
        (scan / f"{scan.name}_3{ending}.tif").rename(scan / f"{scan.name}_9000000000{ending}.tif")
    _, problems = find_cases(tree, as_volumes=True)
    assert [(problem.identifier, problem.text) for problem in problems] == [
        (scan.name, "slices 3 to 8999999999 are missing, expected all from 1; copy the folder again")
    ]
