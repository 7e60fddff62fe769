import pytest

from nnunet_mamba.published_results import DATASETS
from nnunet_mamba.report.tables.published_rows import published_points, published_protocols


def test_points_have_parameters_and_dice():
    points = published_points("isic17")
    assert {"UltraLight VM-UNet", "UltraLBM-UNet-T"} <= {point.name for point in points}
    assert all(point.n_parameters > 1000 and 0.5 < point.dice < 1 for point in points)


def test_a_point_that_two_papers_print_alike_is_there_once():
    names = [point.name for point in published_points("lgg")]
    assert names.count("UMambaBot-PP") + names.count("UMambaBot_PP") == 1


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_data_set_has_a_protocol(dataset):
    assert published_protocols(dataset)
