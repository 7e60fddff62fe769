"""``nnunet-mamba export`` and ``verify``: their options and words; what they do is tested below them."""

import importlib.util

import pytest
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app
from nnunet_mamba.export.exported_file import ExportedFile
from nnunet_mamba.onnx_models.agreement import Agreement


def _run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_export_wants_one_model(tmp_path):
    for options in ([], ["--model", "isic", "-d", "101"]):
        found = _run("export", *options, "-o", tmp_path / "a.onnx")
        assert found.exit_code == 2
        assert "name one model" in found.stderr


@pytest.mark.parametrize(
    ("name", "file_format", "suffix"),
    [("a.pt2", "onnx", ".onnx"), ("a", "onnx", ".onnx"), ("a.onnx", "torch-export", ".pt2")],
)
def test_a_file_is_called_as_its_format(tmp_path, name, file_format, suffix):
    found = _run("export", "--model", "isic", "--format", file_format, "-o", tmp_path / name)
    assert found.exit_code == 2
    assert f"that ends in {suffix}, as --format {file_format} writes it" in " ".join(found.stderr.split())
    assert not (tmp_path / name).exists()


def test_export_names_the_command_that_installs_a_missing_package(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "nnunet_mamba.system.optional_packages.find_spec",
        lambda name: None if name == "onnxscript" else find(name),
    )
    found = _run("export", "--model", "isic", "-o", tmp_path / "a.onnx")
    assert found.exit_code == 1
    if find("onnx") and find("onnxruntime"):
        expected = "ONNX files need onnxscript, which is not installed: pip install 'nnunet-mamba[onnx]'"
        assert expected in " ".join(found.stderr.split())


def test_export_for_pytorch_needs_no_package_of_onnx(tmp_path, monkeypatch):
    monkeypatch.setattr("nnunet_mamba.system.optional_packages.find_spec", lambda name: None)
    worst = Agreement(error=1e-5, largest=8.0, equal_labels=1.0, n_labels=64)
    monkeypatch.setattr(
        "nnunet_mamba.export.torch_export.write_program",
        lambda subject, file: ExportedFile(file=file, sidecar=file, n_bytes=1, worst=worst, facts={}),
    )
    found = _run("export", "--model", "isic", "--format", "torch-export", "-o", tmp_path / "a.pt2")
    assert found.exit_code == 0, found.output
    assert found.stdout.strip() == str(tmp_path / "a.pt2")


def test_export_keeps_what_is_there(tmp_path):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    file = tmp_path / "a.onnx"
    file.write_text("mine")
    found = _run("export", "--model", "isic", "-o", file)
    assert found.exit_code == 1
    assert "--overwrite" in found.stderr
    assert file.read_text() == "mine"


def test_verify_tells_each_file_that_fails_and_exits_with_1(tmp_path):
    found = _run("verify", tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert found.exit_code == 1
    assert [line.split()[0] for line in found.stdout.splitlines()] == ["failed", "failed"]
