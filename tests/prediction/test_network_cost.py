import pytest
from trained_models import write_results

from nnunet_mamba.prediction.network_cost import measure_cost
from nnunet_mamba.presets import PRESETS


def test_the_network_of_a_training_is_counted_at_its_patch_and_timed(tmp_path):
    folder = write_results("nnUNetTrainerUltraLightVM", tmp_path)
    cost = measure_cost(folder, fold=0)
    assert cost.image_shape == (3, 64, 64)
    # The published size has one class, and here are two.
    assert cost.complexity.n_parameters == pytest.approx(PRESETS["ultralight_vm_unet"].size(2).n_parameters, rel=0.01)
    assert 0 < cost.complexity.multiply_adds < cost.complexity.flops
    assert cost.latency_ms > 0


def test_a_missing_fold_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="fold_3"):
        measure_cost(write_results("nnUNetTrainerUltraLightVM", tmp_path), fold=3)
