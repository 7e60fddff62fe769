"""Files as nnU-Net writes them below $nnUNet_results, by hand."""

import json
import math

import pytest

LOG = """
#######################################################################
2026-11-20 20:55:22.4: This split has 16 training and 4 validation cases.
2026-11-20 20:55:22.8:
2026-11-20 20:55:22.8: Epoch 0
2026-11-20 20:55:22.8: Current learning rate: 0.001
2026-11-20 20:55:25.1: train_loss -0.0837
2026-11-20 20:55:25.1: val_loss 0.0869
2026-11-20 20:55:25.1: Pseudo dice [np.float32(0.3667), np.float32(nan)]
2026-11-20 20:55:25.1: Epoch time: 2.34 s
2026-11-20 20:55:25.2: Yayy! New best EMA pseudo Dice: 0.3666
2026-11-20 20:55:26.2: Epoch 1
2026-11-20 20:55:27.0: train_loss -0.4485
2026-11-20 20:55:27.0: val_loss 1e-05
2026-11-20 20:55:27.0: Pseudo dice [0.6163, 0.5]
2026-11-20 20:55:27.0: Epoch time: 0.87 s
2026-11-20 20:55:28.9: Training done.
2026-11-20 20:55:42.6: Mean Validation Dice:  0.535
"""


def _entry(name, **counts):
    return {"prediction_file": f"/out/{name}", "reference_file": f"/ref/{name}", "metrics": {"1": counts}}


@pytest.fixture
def training_log():
    """The log of two epochs."""
    return LOG


@pytest.fixture
def summary(tmp_path):
    """A summary.json of two cases, one of them without the label."""
    content = {
        "mean": {},
        "foreground_mean": {},
        "metric_per_case": [
            _entry("b.png", Dice=0.5, IoU=1 / 3, TP=1, FP=1, FN=1, TN=7),
            _entry("a.nii.gz", Dice=math.nan, IoU=math.nan, TP=0, FP=0, FN=0, TN=10),
        ],
    }
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(content))
    return path
