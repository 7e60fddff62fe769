"""One exported model for all tests; exporting takes seconds."""

import copy
from dataclasses import replace

import pytest

# Small: the gate runs the network on a dozen images.
SIZE = (64, 96)


@pytest.fixture(scope="session")
def subject():
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="the extra onnx is not installed")
    from nnunet_mamba.export.subject import subject_of
    from nnunet_mamba.models.opening import open_model

    return replace(subject_of(open_model("isic")), size=SIZE)


@pytest.fixture(scope="session")
def _exported(subject, once_for_all_workers):
    from nnunet_mamba.export.graph import exported_model

    def write(folder):
        (folder / "model.onnx").write_bytes(exported_model(subject).SerializeToString())

    import onnx

    return onnx.load(once_for_all_workers("exported_isic", write) / "model.onnx")


@pytest.fixture
def model(_exported):
    """A model that a test may break."""
    return copy.deepcopy(_exported)
