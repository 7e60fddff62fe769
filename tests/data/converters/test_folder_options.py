import pytest

from nnunet_mamba.data.converters.folder_options import FolderOptions


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_a_threshold_is_a_number(threshold):
    with pytest.raises(ValueError, match=f"threshold.*{threshold}"):
        FolderOptions(threshold=threshold)
