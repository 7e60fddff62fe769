"""A model file as a teacher."""

import pytest
import torch

from nnunet_mamba.models import shipped_models
from nnunet_mamba.models.packing import pack_model
from nnunet_mamba.training.distillation.teacher import TEACHER_VARIABLE

REGIONS = {"labels": {"background": 0, "whole": [1, 2], "core": [2, 2]}, "regions_class_order": [1, 2]}
THREE_LABELS = {"labels": {"background": 0, "disc": 1, "ring": 2}}


@pytest.mark.parametrize("labels", [None, REGIONS], ids=["labels", "regions"])
def test_a_model_file_teaches_as_the_training_that_it_was_packed_from(make, teach, monkeypatch, tmp_path, labels):
    checkpoint = teach(fold=1, labels=labels)
    packed = pack_model(checkpoint.parent.parent, tmp_path / "teacher.zip")
    logits = []
    for named in (checkpoint, packed):
        monkeypatch.setenv(TEACHER_VARIABLE, str(named))
        trainer = make(labels=labels)
        assert trainer.load_teacher() == named
        assert not any(parameter.requires_grad for parameter in trainer.teacher.parameters())
        logits.append(trainer.teacher(torch.ones(1, 3, 64, 64)))
    assert torch.equal(*logits)


def test_a_model_file_of_other_data_is_refused_and_one_of_another_fold_is_told(
    make, teach, monkeypatch, tmp_path, capsys
):
    packed = pack_model(teach(fold=1, labels=THREE_LABELS).parent.parent, tmp_path / "teacher")
    monkeypatch.setenv(TEACHER_VARIABLE, str(packed))
    with pytest.raises(ValueError, match=r"labels \{.*'ring': 2\} instead of"):
        make().load_teacher()
    make(labels=THREE_LABELS).load_teacher()
    assert "The teacher is of fold 1" in capsys.readouterr().out


def test_a_model_that_comes_along_teaches_by_its_name(make, teach, monkeypatch, tmp_path):
    pack_model(teach().parent.parent, tmp_path / "shipped/tiny-discs")
    monkeypatch.setattr(shipped_models, "shipped_folder", lambda: tmp_path / "shipped")
    monkeypatch.setenv(TEACHER_VARIABLE, "tiny-discs")
    assert make().load_teacher() == tmp_path / "shipped/tiny-discs"
