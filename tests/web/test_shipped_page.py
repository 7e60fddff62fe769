import re

import pytest

from nnunet_mamba.web import shipped_page
from nnunet_mamba.web.shipped_page import LARGEST_PAGE, page_of_model


def test_a_page_is_made_of_a_model_and_its_network(tmp_path):
    network = tmp_path / "own.onnx"
    network.write_bytes(b"an ONNX file")
    page = page_of_model("isic", network=network)
    assert "ultralight-isic" in page
    assert len(page.encode()) <= LARGEST_PAGE


def test_a_missing_network_is_told_with_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match="nnunet-mamba export"):
        page_of_model("isic", network=tmp_path / "gone.onnx")


def test_a_page_that_is_too_large_is_refused(tmp_path, monkeypatch):
    network = tmp_path / "own.onnx"
    network.write_bytes(b"an ONNX file")
    monkeypatch.setattr(shipped_page, "LARGEST_PAGE", 1_000_000)
    with pytest.raises(ValueError, match=re.escape("MB, expected 1 MB at most")):
        page_of_model("isic", network=network)


def test_the_network_that_comes_along_fits_into_the_page():
    assert len(page_of_model().encode()) <= LARGEST_PAGE
