import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from nnunet_mamba.doctor import software
from nnunet_mamba.doctor.examination import examine


@pytest.fixture
def installed(monkeypatch):
    """Findings for an installation that asks for ``required`` and has ``versions``, by name."""

    def look(required, versions):
        def version(name):
            if name not in versions:
                raise PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(software, "requires", lambda name: required)
        monkeypatch.setattr(software, "version", version)
        return {finding.name: finding for finding in software.software()}

    return look


def test_versions_that_fit(installed):
    found = installed(["torch>=2.6", "numpy>=1.24", "pytest>=8; extra == 'dev'"], {"torch": "2.7.0", "numpy": "2.0"})
    assert {finding.level for finding in found.values()} == {"ok"}
    assert found["torch"].text == "2.7.0"
    assert found["other packages"].text.startswith("1 required")
    assert sys.executable in found["Python"].text


@pytest.mark.parametrize(
    ("required", "versions", "level", "text"),
    [
        ("torch!=2.9.*,>=2.6", {"torch": "2.9.1"}, "problem", "2.9.1 is installed, expected !=2.9.*,>=2.6"),
        ("nnunetv2>=2.8,<3", {"nnunetv2": "2.5.1"}, "problem", "2.5.1 is installed, expected <3,>=2.8"),
        ("pillow>=10.1", {}, "problem", "is not installed"),
        ("numba>=0.60", {}, "hint", "is not installed"),
        ("jinja2>=3.1", {"jinja2": "3.0"}, "hint", "3.0 is installed, expected >=3.1"),
    ],
)
def test_a_package_that_does_not_fit(installed, required, versions, level, text):
    found = installed([required], versions)
    (finding,) = (finding for finding in found.values() if finding.level != "ok")
    assert (finding.level, finding.text) == (level, text)
    assert finding.remedy.startswith("pip install ")


def test_a_prerelease_of_torch_fits(installed):
    assert installed(["torch>=2.6"], {"torch": "2.12.0.dev20260101+cu130"})["torch"].level == "ok"


def test_an_installation_without_metadata_is_a_hint(monkeypatch):
    def requires(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(software, "requires", requires)
    found = {finding.name: finding for finding in software.software()}
    assert found["nnunet-mamba"].level == "hint"
    assert "not installed" in found["nnunet-mamba"].text


def test_what_keeps_torch_from_being_imported_is_told(monkeypatch):
    assert software.torch_failure() is None
    monkeypatch.setitem(sys.modules, "torch", None)
    finding = software.torch_failure()
    assert finding.level == "problem"
    assert "torch" in finding.text


@pytest.fixture
def for_files(monkeypatch):
    """Problems and hints of an installation for ONNX files that lacks some of its packages."""
    monkeypatch.setattr(software, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(__version__="1.25.0"))

    def look(without=()):
        there = {"numpy": "2.2", "pillow": "11.0", "typer": "0.20", "rich": "14.0"}

        def pretended(name):
            if name not in there or name in without:
                raise PackageNotFoundError(name)
            return there[name]

        required = [*there, "torch>=2.6", "nnunetv2>=2.8", 'onnxruntime>=1.20; extra == "onnx"']
        monkeypatch.setattr(software, "requires", lambda name: required)
        monkeypatch.setattr(software, "version", pretended)
        return {finding.name: finding for _, finding in examine() if finding.level != "ok"}

    return look


def test_an_installation_for_onnx_files_has_one_problem(for_files):
    assert [*for_files()] == ["torch, nnunetv2"]
    assert [*for_files(without=("pillow",))] == ["pillow", "torch, nnunetv2"]


def test_onnxruntime_must_be_new_enough_and_work(for_files, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(__version__="1.2.0"))
    assert for_files()["onnxruntime"].text == "1.2.0 is installed, expected >=1.20"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert for_files()["onnxruntime"].text.startswith("cannot be imported")


def test_a_folder_that_is_not_installed_is_told_where_only_files_predict(for_files, monkeypatch):
    for_files()

    def requires(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(software, "requires", requires)
    assert [finding.name for finding in software.software_for_files() if finding.level == "hint"] == ["nnunet-mamba"]


def test_packages_of_networks_must_be_new_enough(monkeypatch):
    asked = [
        "monai>=1.5; extra == 'baselines'",
        "einops>=0.7; extra == 'baselines'",
        "torch>=2",
        "onnx>=99; extra == 'x'",
    ]
    monkeypatch.setattr(software, "requires", lambda _: asked)
    monkeypatch.setattr(software, "find_spec", lambda _: object())
    monkeypatch.setattr(software, "version", {"monai": "1.3.2", "einops": "0.8", "torch": "2.6"}.__getitem__)
    (finding,) = (finding for finding in software.software() if finding.name == "baselines")
    assert finding.level == "hint"
    assert finding.text == "monai 1.3.2 is installed, expected >=1.5; networks of this extra may fail"
    assert finding.remedy == "pip install 'nnunet-mamba[baselines]'"


@pytest.mark.parametrize("missing", [(), ("monai",)])
def test_packages_of_networks_are_optional(monkeypatch, missing):
    monkeypatch.setattr(software, "find_spec", lambda name: None if name in missing else object())
    (finding,) = (finding for finding in software.software() if finding.name == "baselines")
    assert finding.level == "ok"
    assert ("nnUNetTrainerMonaiUNETR" in finding.text) == bool(missing)
    assert "nnUNetTrainerSmpUnet" not in finding.text
    assert ("pip install 'nnunet-mamba[baselines]'" in finding.text) == bool(missing)
