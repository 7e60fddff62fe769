"""From real images to nnU-Net's choice of a model, with the commands that a user gives, each in a fresh process."""

import json
import os
import re
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]
PATIENTS = ("TCGA_CS_4942_19970222", "TCGA_CS_5393_19990606")
TRAINER = "nnUNetTrainerUltraLightVM_1epoch_2iterations"


@pytest.fixture
def folders(nnunet_folders):
    """nnU-Net's folders with two patients of the brain MRI, converted, planned and preprocessed."""
    tree = nnunet_folders.root / "kaggle_3m"
    tree.mkdir()
    for patient in PATIENTS:
        source = Path(os.environ["NNUNET_MAMBA_REAL_DATA"]) / "kaggle_3m" / patient
        (tree / source.name).symlink_to(source)
    run(nnunet_folders, "nnunet-mamba", "convert", "lgg", str(tree))
    run(nnunet_folders, "nnUNetv2_plan_and_preprocess", "-d", "103", "-c", "3d_fullres", "-npfp", "2", "-np", "2")
    return nnunet_folders


def run(folders, command, *arguments):
    # nnU-Net's planner takes as many threads as there are to be workers, and none is not enough.
    workers = "1" if command == "nnUNetv2_plan_and_preprocess" else "0"
    done = folders.run(command, *arguments, OMP_NUM_THREADS="2", nnUNet_n_proc_DA=workers)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_volumes_from_conversion_to_the_masks_of_the_best_configuration(folders, tmp_path):
    size = ("--configuration", "3d_fullres", "--batch-size", "2", "--patch-size", "16x128x128", "--device", "cpu")
    run(folders, "nnunet-mamba", "plan", "103", "--trainer", TRAINER, *size)
    options = ("--trainers", TRAINER, "--plans", "own", "--device", "cpu", "--jobs", "1")
    output = run(folders, "nnunet-mamba", "crossval", "103", "3d_fullres", *options)
    splits = json.loads((folders.root / "nnUNet_preprocessed/Dataset103_LGG/splits_final.json").read_text())
    assert sorted(fold["val"] for fold in splits) == [[patient] for patient in PATIENTS]

    best = run(folders, *output.splitlines()[-1].split(), "-np", "1")
    model = f"{TRAINER}__nnUNetUltraLightVMPlans__3d_fullres"
    mean = float(re.search(rf"{model} +│.* (\d\.\d+) ± ", output)[1])
    # The table has three digits.
    assert float(re.search(rf"{model}: (\S+)", best)[1]) == pytest.approx(mean, abs=1e-3)

    results = folders.root / "nnUNet_results/Dataset103_LGG"
    (case,) = splits[0]["val"]
    images = tmp_path / "images"
    images.mkdir()
    for channel in range(3):
        name = f"{case}_000{channel}.nii.gz"
        (images / name).symlink_to(folders.root / "nnUNet_raw/Dataset103_LGG/imagesTr" / name)
    instructions = (results / "inference_instructions.txt").read_text()
    words = re.search(r"nnUNetv2_predict .*", instructions)[0].split()
    words[words.index("INPUT_FOLDER")], words[words.index("OUTPUT_FOLDER")] = str(images), str(tmp_path / "masks")
    # The model of the fold that has not seen the case, as its validation.
    first = words.index("-f")
    words[first + 1 : first + 3] = ["0"]
    run(folders, *words, "-device", "cpu", "-npp", "1", "-nps", "1")
    validated = results / model / "fold_0/validation" / f"{case}.nii.gz"
    assert (tmp_path / "masks" / f"{case}.nii.gz").read_bytes() == validated.read_bytes()
