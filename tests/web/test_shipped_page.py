import hashlib
import json
import re

import pytest

from nnunet_mamba.web import shipped_page
from nnunet_mamba.web.shipped_page import LARGEST_PAGE, network_folder, page_of_model


@pytest.fixture
def exported(tmp_path):
    """Return what writes an ONNX file with its sidecar, some entries of which are others."""

    def write(**entries):
        network = tmp_path / "own.onnx"
        network.write_bytes(b"an ONNX file")
        told = {
            **json.loads((network_folder() / "ultralbm-isic.onnx.json").read_text()),
            "sha256": hashlib.sha256(network.read_bytes()).hexdigest(),
            "normalization": {"is_inside": True, "cuts_margin": True},
            **entries,
        }
        network.with_name("own.onnx.json").write_text(json.dumps(told))
        return network

    return write


def test_a_page_is_made_of_an_exported_model(exported):
    page = page_of_model(exported())
    assert "ultralbm-isic" in page
    assert len(page.encode()) <= LARGEST_PAGE


def test_missing_files_are_told_with_the_way_out(exported, tmp_path):
    with pytest.raises(FileNotFoundError, match="nnunet-mamba export"):
        page_of_model(tmp_path / "gone.onnx")
    network = exported()
    network.with_name("own.onnx.json").unlink()
    with pytest.raises(FileNotFoundError, match="copy both"):
        page_of_model(network)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"sha256": "0" * 64}, "export the model anew"),
        (
            {"normalization": {"is_inside": False}},
            "the page gives pixels from 0 to 255; use nnunet-mamba predict for this model",
        ),
        ({"normalization": {"is_inside": True}}, "has no entry 'cuts_margin'"),
        ({"model": {}}, "own.onnx.json: model has no entry"),
    ],
)
def test_a_sidecar_of_something_else_is_refused(exported, entries, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        page_of_model(exported(**entries))


def test_a_page_that_is_too_large_is_refused(exported, monkeypatch):
    monkeypatch.setattr(shipped_page, "LARGEST_PAGE", 1_000_000)
    with pytest.raises(ValueError, match=re.escape("MB, expected 1 MB at most")):
        page_of_model(exported())


def test_a_shipped_model_without_an_onnx_file_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped_page, "network_folder", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="no ONNX file of isic comes along"):
        page_of_model("isic")


def test_the_network_that_comes_along_fits_into_the_page():
    assert len(page_of_model().encode()) <= LARGEST_PAGE
