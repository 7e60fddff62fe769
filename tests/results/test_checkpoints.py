from nnunet_mamba.results.checkpoints import checkpoint_to_continue, is_trained


def test_the_checkpoint_to_continue_is_that_of_nnunet_and_not_the_newest(tmp_path):
    assert checkpoint_to_continue(tmp_path / "fold_0") is None
    for name in ("checkpoint_previous.pth", "checkpoint_best.pth", "checkpoint_latest.pth", "checkpoint_final.pth"):
        assert not is_trained(tmp_path)
        (tmp_path / name).touch()
        (tmp_path / "checkpoint_best.pth").touch()
        expected = "checkpoint_best.pth" if "previous" in name else name
        assert checkpoint_to_continue(tmp_path) == tmp_path / expected
    assert is_trained(tmp_path)
