"""The check of a GPU runs where there is nothing but torch, triton and numba, and what these bring."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hidden_packages import environment_with

from nnunet_mamba.training.precision import cpu_multiplies_bf16

pytest.importorskip("triton", reason="triton is not installed")

ROOT = Path(__file__).parents[2]
MODULES = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for folder in ("ops", "blocks", "networks")
    for file in sorted((ROOT / "nnunet_mamba" / folder).rglob("*.py"))
    if file.name not in ("__init__.py", "mamba_ssm_cuda.py")
]


@pytest.fixture
def bare(tmp_path):
    """The environment of a process that finds no package but these, and the checkout."""
    variables, hidden = environment_with(tmp_path, "torch", "triton", "numba")
    assert {"nnunetv2", "dynamic_network_architectures", "SimpleITK", "scipy", "PIL", "tqdm", "typer"} <= hidden
    return variables


def _python(code, environment):
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_operators_blocks_and_networks_import(bare):
    _python(f"import importlib\nfor name in {MODULES}: importlib.import_module(name)", bare)


def test_these_networks_run(bare):
    names = ("ultralight_vm_unet", "ultralbm_unet", "vm_unet")
    code = f"""
import torch, nnunet_mamba
for name in {names}:
    network = nnunet_mamba.create_network(name, input_channels=3, num_classes=2)
    print(name, *network(torch.zeros(2, 3, 64, 64)).shape)
"""
    assert _python(code, bare).splitlines() == [f"{name} 2 2 64 64" for name in names]


@pytest.mark.slow
def test_every_part_has_its_rows_on_a_cpu(bare, tmp_path):
    file = tmp_path / "check.json"
    command = [sys.executable, str(ROOT / "benchmarks/gpu_check.py"), "--dry-run", "--output", str(file)]
    run = subprocess.run(command, env=bare, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["is_complete"]
    by_part = {}
    for row in content["rows"]:
        by_part.setdefault(row["part"], []).append(row)
    assert list(by_part) == [
        "machine",
        "accuracy",
        "large",
        "kernels",
        "fused",
        "networks",
        "streams",
        "planning",
        "trainers",
    ]
    for part in ("machine", "accuracy", "large", "networks"):
        assert any(row["verdict"] == "ok" for row in by_part[part]), part
    for part in ("planning", "trainers"):
        assert {row["reason"] for row in by_part[part]} == {"nnunetv2 is not installed"}
    reasons = {row["reason"] for row in content["rows"] if row["part"] not in ("planning", "trainers")}
    assert all(re.fullmatch(r"|needs a CUDA device|selective_scan_cuda is not installed.*", text) for text in reasons)


@pytest.mark.slow
def test_the_parts_that_train_have_their_rows_on_a_cpu(tmp_path):
    pytest.importorskip("nnunetv2")
    file = tmp_path / "check.json"
    command = [sys.executable, str(ROOT / "benchmarks/gpu_check.py"), "--dry-run", "--parts", "planning,trainers"]
    run = subprocess.run([*command, "--output", str(file)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    right = [row["what"] for row in rows if row["verdict"] == "ok"]
    half = ["checkpoint from bf16 to fp16"] if cpu_multiplies_bf16() else []
    for what in ("NaN batch under the GradScaler", "training in float32", *half):
        assert any(name.startswith(what) for name in right), what
    without_bf16 = [] if half else ["this processor has no products of bf16"]
    assert {row["reason"] for row in rows} <= {"", "needs a CUDA device", "the cap needs a CUDA device", *without_bf16}
