import numpy as np
import pytest

from nnunet_mamba.data.restoring.converted_dataset import ConvertedDataset
from nnunet_mamba.data.restoring.source_values import in_source_values


@pytest.mark.parametrize(
    ("background", "lesion", "dtype"),
    [(0, 255, np.uint8), (0, 256, np.uint16), (-1, 100, np.int8), (-1, 70000, np.int32), (0, 2**31 - 1, np.uint32)],
)
def test_values_are_stored_in_the_smallest_type_that_holds_all(tmp_path, background, lesion, dtype):
    dataset = ConvertedDataset(
        folder=tmp_path, file_ending=".nii.gz", labels={"background": 0, "lesion": 1}, threshold=None, size=None,
        source_labels={"background": (background,), "lesion": (lesion,)}, cases={}, sources=(),
    )  # fmt: skip
    restored = in_source_values(np.array([[[0, 1]]]), dataset)
    assert (restored.tolist(), restored.dtype) == ([[[background, lesion]]], dtype)
