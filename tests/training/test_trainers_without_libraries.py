"""Where the libraries of the extra ``baselines`` are missing, their trainers say so, and all others train."""

import json
import os
import subprocess
import sys

import pytest
from hidden_packages import environment_with

pytestmark = pytest.mark.slow

TRAINER = "nnUNetTrainerSmpUnet"
TOLD = "smp_unet needs segmentation_models_pytorch, which is not installed: pip install 'nnunet-mamba[baselines]'"


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """Variables of a process that finds what nnunet-mamba itself requires, and the checkout."""
    variables, hidden = environment_with(tmp_path_factory.mktemp("without"), "nnunet-mamba")
    assert hidden.isdisjoint({"torch", "nnunetv2", "numba", "typer"})
    assert {"pytest"} <= hidden
    return {"PYTHONPATH": variables["PYTHONPATH"]}


@pytest.fixture
def command(without, planned):
    """Return what runs ``nnunet-mamba`` there, on nnU-Net's folders."""

    def run(*arguments):
        line = [sys.executable, "-m", "nnunet_mamba", *arguments]
        variables = planned.environment(**without)
        return subprocess.run(line, env=variables, capture_output=True, text=True, check=False)

    return run


def test_nnunet_finds_every_other_trainer_and_names_build_other_networks(without):
    code = f"""
import nnunet_mamba
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find
from importlib.util import find_spec
assert not any(map(find_spec, ("monai", "segmentation_models_pytorch")))
names = "nnUNetTrainerUltraLightVM", "nnUNetTrainerVMUNet_2epochs", "nnUNetTrainerDiceCELoss_noSmooth", {TRAINER!r}
print(*(find(name).__name__ for name in names))
print(type(nnunet_mamba.create_network("unet_tumour", 3, 1, features_per_stage=(2, 4))).__name__)
for name in ("smp_unet", "monai_unetr"):
    try:
        nnunet_mamba.create_network(name, 3, 1)
    except ModuleNotFoundError as error:
        print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **without}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-4:] == [
        f"nnUNetTrainerUltraLightVM nnUNetTrainerVMUNet_2epochs nnUNetTrainerDiceCELoss_noSmooth {TRAINER}",
        "UNetTumour",
        TOLD,
        "monai_unetr needs monai, which is not installed: pip install 'nnunet-mamba[baselines]'",
    ]


def test_stock_training_ends_with_the_sentence_and_writes_nothing(planned, without):
    run = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", f"{TRAINER}_20epochs", "-device", "cpu", **without)

    assert run.returncode != 0
    assert run.stderr.splitlines()[-1] == f"ModuleNotFoundError: {TOLD}"
    assert list(planned.results.iterdir()) == []


def test_commands_say_the_sentence(command):
    planned = command("plan", "901", "--trainers", TRAINER, "--memory", "1")
    crossed = command("crossval", "901", "2d", "--trainers", f"nnUNetTrainerUltraLightVM,{TRAINER}", "--device", "cpu")

    assert (planned.returncode, planned.stderr) == (1, f"Error: {TOLD}\n")
    assert (crossed.returncode, crossed.stderr) == (1, f"Error: {TRAINER}: {TOLD}\n")


def test_the_list_and_the_doctor_know_them(command, without):
    listed = json.loads(command("list", "--json").stdout)
    text = command("list").stdout
    code = """
import json
from dataclasses import asdict
from nnunet_mamba.doctor.software import software
print(json.dumps([asdict(finding) for finding in software()]))
"""
    environment = {**os.environ, **without}
    doctor = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    found = json.loads(doctor.stdout)

    assert {row["trainer"]: row["is_installed"] for row in listed if row["extra"]} == dict.fromkeys(
        {row["trainer"] for row in listed if row["network"].startswith(("smp_", "monai_"))}, False
    )
    assert text.count("needs nnunet-mamba[baselines], not installed\n") == 8
    assert TRAINER in text
    (finding,) = (finding for finding in found if finding["name"] == "baselines")
    assert finding["level"] == "ok"
    assert finding["text"].startswith("monai, segmentation_models_pytorch not installed, which nnUNetTrainerSmpUnet, ")
    assert finding["text"].endswith("all others train without. For them: pip install 'nnunet-mamba[baselines]'")
