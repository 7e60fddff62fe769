"""Distillation with stock nnU-Net's commands, each in a fresh process."""

import shutil

import pytest
import torch

TEACHER = "nnUNetTrainerUltraLBM_1epoch_2iterations"
STUDENT = "nnUNetTrainerUltraLBMTDistill_1epoch_2iterations"


@pytest.mark.slow
def test_teacher_then_student_then_masks_without_a_teacher(planned, tmp_path):
    alone = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", STUDENT)
    assert alone.returncode != 0
    assert f"nnUNetv2_train {planned.dataset} 2d 0 -tr nnUNetTrainerUltraLBM -p nnUNetPlans" in alone.stderr

    taught = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", TEACHER)
    assert taught.returncode == 0, taught.stdout + taught.stderr
    trained = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", STUDENT, NNUNET_MAMBA_DISTILLATION="soft=2")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert f"{TEACHER}__nnUNetPlans__2d/fold_0/checkpoint_final.pth with NNUNET_MAMBA_DISTILLATION" in trained.stdout
    assert "train_loss before weights: hard " in trained.stdout

    results = planned.results / planned.dataset
    fold = results / f"{STUDENT}__nnUNetPlans__2d/fold_0"
    checkpoint = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    assert checkpoint["trainer_name"] == STUDENT
    shutil.rmtree(results / f"{TEACHER}__nnUNetPlans__2d")
    validated = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", STUDENT, "--val")
    assert validated.returncode == 0, validated.stdout + validated.stderr
    images = planned.root / "nnUNet_raw" / planned.dataset / "imagesTr"
    predicted = planned.run(
        *("nnUNetv2_predict", "-i", str(images), "-o", str(tmp_path / "masks"), "-d", "901", "-c", "2d", "-f", "0"),
        *("-tr", STUDENT, "-device", "cpu", "-npp", "1", "-nps", "1"),
    )
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    assert len(list((tmp_path / "masks").glob("*.png"))) == 10
