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
PATIENTS = ("CS_4942_19970222", "CS_5393_19990606", "CS_5395_19981004", "CS_6290_20000917", "CS_6667_20011105")
SMALLEST = "UltraLightVM"
# The teacher comes before its student; the last is a twin without its state space.
TRAINERS_2D = ("UMambaBot", "UMambaBotPP", "VMUNet", SMALLEST, "UltraLBM", "UltraLBMT", "UltraLBMTDistill")
TWIN = "UltraLightVMNoMamba"


@pytest.fixture
def folders(nnunet_folders):
    """nnU-Net's folders with five patients of the brain MRI, converted, planned and preprocessed."""
    tree = nnunet_folders.root / "kaggle_3m"
    tree.mkdir()
    for patient in PATIENTS:
        source = Path(os.environ["NNUNET_MAMBA_REAL_DATA"]) / "kaggle_3m" / f"TCGA_{patient}"
        (tree / source.name).symlink_to(source)
    run(nnunet_folders, "nnunet-mamba", "convert", "lgg", str(tree))
    processes = ("-npfp", "2", "-np", "2", "2")
    run(nnunet_folders, "nnUNetv2_plan_and_preprocess", "-d", "103", "-c", "2d", "3d_fullres", *processes)
    return nnunet_folders


def run(folders, command, *arguments):
    # nnU-Net's planner takes as many threads as there are to be workers, and none is not enough.
    workers = "1" if command == "nnUNetv2_plan_and_preprocess" else "0"
    done = folders.run(command, *arguments, OMP_NUM_THREADS="2", nnUNet_n_proc_DA=workers)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def plan(folders, configuration, patch_size, *networks):
    chosen = [word for network in networks for word in ("--trainer", f"nnUNetTrainer{network}")]
    size = ("--batch-size", "2", "--patch-size", patch_size, "--configuration", configuration)
    run(folders, "nnunet-mamba", "plan", "103", *chosen, *size, "--device", "cpu")


def cross_validate(folders, configuration, *networks, budget="_1epoch_2iterations", folds="all"):
    trainers = ",".join(f"nnUNetTrainer{network}{budget}" for network in networks)
    options = ("--plans", "own", "--folds", folds, "--device", "cpu", "--jobs", "1")
    return run(folders, "nnunet-mamba", "crossval", "103", configuration, "--trainers", trainers, *options)


@pytest.mark.slow
def test_volumes_from_conversion_to_the_masks_of_the_best_configuration(folders, tmp_path):
    plan(folders, "3d_fullres", "16x128x128", SMALLEST)
    output = cross_validate(folders, "3d_fullres", SMALLEST)
    splits = json.loads((folders.root / "nnUNet_preprocessed/Dataset103_LGG/splits_final.json").read_text())
    assert [len(fold["val"]) for fold in splits] == [1] * 5

    best = run(folders, *output.splitlines()[-1].split(), "-np", "1")
    model = f"nnUNetTrainer{SMALLEST}_1epoch_2iterations__nnUNet{SMALLEST}Plans__3d_fullres"
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
    words[first + 1 : first + 6] = ["0"]
    run(folders, *words, "-device", "cpu", "-npp", "1", "-nps", "1")
    validated = results / model / "fold_0/validation" / f"{case}.nii.gz"
    assert (tmp_path / "masks" / f"{case}.nii.gz").read_bytes() == validated.read_bytes()


@pytest.mark.long
def test_every_network_trains_on_slices_and_validates(folders):
    networks = (*TRAINERS_2D, TWIN)
    plan(folders, "2d", "128x128", *networks)
    output = cross_validate(folders, "2d", *networks, folds="0")
    for network in networks:
        model = f"nnUNetTrainer{network}_1epoch_2iterations__nnUNet{network}Plans__2d"
        assert re.search(rf"{model} +│ +\d\.\d+ │", output), output


@pytest.mark.long
def test_the_large_networks_train_on_volumes_and_validate(folders):
    networks = ("UMambaBot", "UMambaEnc")
    plan(folders, "3d_fullres", "16x64x64", *networks)
    output = cross_validate(folders, "3d_fullres", *networks, folds="0", budget="_1epoch_1iteration")
    assert len(re.findall(r"__3d_fullres +│ +\d\.\d+ │", output)) == len(networks)
