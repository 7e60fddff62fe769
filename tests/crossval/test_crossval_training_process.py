import os
import subprocess
import sys

import pytest

from nnunet_mamba.crossval.training_process import _asked_device


@pytest.mark.parametrize(
    ("arguments", "device"),
    [
        (["901", "2d", "0"], None),
        (["901", "-device", "cpu", "--c"], "cpu"),
        (["-device", "cpu", "-device", "cuda"], "cuda"),
    ],
)
def test_the_device_that_is_asked_for(arguments, device):
    assert _asked_device(["program", *arguments]) == device


def test_a_training_that_was_told_to_use_cuda_does_not_begin_on_a_cpu():
    process = subprocess.run(
        [sys.executable, "-m", "nnunet_mamba.crossval.training_process", "901", "2d", "0", "-device", "cuda"],
        env={
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "NNUNET_MAMBA_CROSSVAL_PARENT": str(os.getpid()),
        },
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith("-device cuda: torch finds no CUDA device on this machine")
