from nnunet_mamba import bundled


def test_trainers_are_the_files_of_their_names(monkeypatch, tmp_path):
    monkeypatch.setattr(bundled, "trainers_folder", lambda: str(tmp_path))
    for name in ("nnUNetTrainerB.py", "nnUNetTrainerA.py", "nnunet_mamba_generated_trainers.py", "nnUNetTrainerA.pyc"):
        (tmp_path / name).touch()
    assert bundled.trainer_names() == ["nnUNetTrainerA", "nnUNetTrainerB"]
