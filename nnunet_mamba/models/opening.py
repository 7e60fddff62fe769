"""Open a trained model by its name, or from a bundle, a folder of nnU-Net's results, or a zip archive of either."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nnunet_mamba.models.bundles.archive_files import files_in
from nnunet_mamba.models.bundles.reading import holds_bundle, is_bundle, read_bundle
from nnunet_mamba.models.model import Model
from nnunet_mamba.models.shipped_models import find_shipped_model, other_names
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.trained_model import is_results_folder

ONNX_SUFFIX = ".onnx"
_SIDECAR_SUFFIX = f"{ONNX_SUFFIX}.json"
_KINDS = (
    "the name of a model, a bundle (a folder or a zip archive), a folder TRAINER__PLANS__CONFIGURATION of nnU-Net's "
    "results, a zip archive of nnUNetv2_export_model_to_zip, or an ONNX file of nnunet-mamba export"
)


def open_model(source: str | Path, *, folds: Sequence[int | str] | None = None, checkpoint_name: str = FINAL) -> Model:
    """Open a trained model. Nothing in its files is run.

    Args:
        source: name of a model that comes with nnunet-mamba, or path of a bundle, of nnU-Net's results, of a zip
            archive of either, or of an ONNX file with its sidecar. A name comes first; write "./isic" for a folder of
            that name.
        folds: to take, each a number or "all"; None takes all of a bundle, and of nnU-Net's results all numbered ones
            that have the checkpoint, or else "all". ONNX files have theirs inside: none may be named.
        checkpoint_name: name of the file in each fold's folder of nnU-Net's results.

    Raises:
        FileNotFoundError: there is no such model; tells similar names. Or a part of it is missing.
        OSError: it cannot be read.
        ValueError: it is damaged, foreign, harmful, or for a newer nnunet-mamba.
    """
    path = model_path(source)
    if folds is not None and not folds:
        raise ValueError(f"{path}: `folds` names no fold, expected at least one; leave it out to take all")
    if path.is_dir():
        if is_bundle(path):
            return _with_folds(read_bundle(path), folds)
        _refuse_other_folders(path)
        from nnunet_mamba.models.data_records import with_data_records
        from nnunet_mamba.models.nnunet.results_reading import read_results

        model = read_results(path, folds=folds, checkpoint_name=checkpoint_name)
        return replace(model, description=with_data_records(model.description))
    if path.suffix.lower() == ONNX_SUFFIX:
        from nnunet_mamba.models.onnx_model import read_onnx_model

        model = read_onnx_model(path)
        if folds is not None:
            raise model.folds_are_inside()
        return model
    if path.suffix == ".pth":
        raise ValueError(f"{path} is a checkpoint, expected {_KINDS}; give the folder above that of its fold")
    if path.suffix.lower() == ".pt2":
        raise ValueError(
            f"{path} is a program for PyTorch alone, expected {_KINDS}; export the model as an ONNX file, or give the "
            "model itself"
        )
    if path.name.lower().endswith(_SIDECAR_SUFFIX):
        raise ValueError(f"{path} tells of an ONNX file; give the file itself, {path.with_suffix('')}")
    if holds_bundle(files_in(path)):
        return _with_folds(read_bundle(path), folds)
    from nnunet_mamba.models.nnunet.archives import read_archive

    return read_archive(path, folds=folds, checkpoint_name=checkpoint_name)


def model_path(source: str | Path) -> Path:
    """Return the path of a model, be it of a bundle or not.

    Args:
        source: name of a model that comes with nnunet-mamba, or a path.

    Raises:
        FileNotFoundError: there is neither such a name nor such a path.
    """
    shipped = find_shipped_model(source) if isinstance(source, str) else None
    if shipped is not None:
        return shipped.folder
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no model {str(source)!r}, neither a name nor a path: {other_names(str(source))}"
        )
    return path


def _with_folds(model: Model, folds: Sequence[int | str] | None) -> Model:
    return model if folds is None else model.with_folds(folds)


def _refuse_other_folders(path: Path) -> None:
    """Raise if a folder is no model, and tell where one is near."""
    if is_results_folder(path):
        return
    inside = sorted(folder.name for folder in path.iterdir() if folder.is_dir() and is_results_folder(folder))
    if inside:
        raise ValueError(f"{path} holds {len(inside)} models, {', '.join(inside)}; give the folder of one of them")
    if is_results_folder(path.parent):
        raise ValueError(f"{path} is a part of a model; give {path.parent}, and choose the fold with `folds`")
    raise ValueError(f"{path} is no model, expected {_KINDS}; give one of these")
