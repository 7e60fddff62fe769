"""Which models an external test takes: every fold of every training by itself, and all folds together if wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnunet_mamba.data.problems import same_name
from nnunet_mamba.external_tests.trainings import training_in
from nnunet_mamba.models.description import ModelDescription
from nnunet_mamba.models.model import Model
from nnunet_mamba.models.opening import model_path, open_model
from nnunet_mamba.prediction.run_record import digest_of_weights
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.layout import fold_name
from nnunet_mamba.results.trained_model import TrainedModel
from nnunet_mamba.system.counts import numbered
from nnunet_mamba.trainer_name import TrainerName


@dataclass(frozen=True, kw_only=True)
class ModelGroup:
    """What models share whose scores have a mean: all but fold and seed.

    Args:
        trainer: its name without a seed.
        dataset: that it was trained on.
        plans: their name; "" where it is not known.
        configuration: "2d", "3d_fullres", …
        is_ensemble: whether several folds predict together.
    """

    trainer: str
    dataset: str
    plans: str
    configuration: str
    is_ensemble: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelUnderTest:
    """One model of an external test.

    Args:
        name: of its folder of masks.
        model: with the folds that predict together.
    """

    name: str
    model: Model

    @property
    def description(self) -> ModelDescription:
        """What is known of the model."""
        return self.model.description

    @property
    def folds(self) -> tuple[str, ...]:
        """The folds that predict together."""
        return self.description.fold_names

    @property
    def seed(self) -> int | None:
        """The seed in the trainer's name; None if it has none."""
        return TrainerName.parse(self.description.trainer).seed

    @property
    def group(self) -> ModelGroup:
        """What it shares with the same training's other folds and seeds."""
        return ModelGroup(
            trainer=str(TrainerName.parse(self.description.trainer).with_seed(None)),
            dataset=self.description.data.dataset,
            plans=str(self.description.plans.get("plans_name", "")),
            configuration=self.description.configuration,
            is_ensemble=len(self.folds) > 1,
        )


def open_models(
    sources: Sequence[str | Path],
    trainings: Sequence[tuple[TrainedModel, Sequence[str]]] = (),
    *,
    ensemble: bool = False,
    checkpoint_name: str = FINAL,
) -> list[ModelUnderTest]:
    """Open the models of an external test.

    Args:
        sources: names of models that come with nnunet-mamba, bundles, folders of nnU-Net's results, zip archives, or
            ONNX files.
        trainings: of nnU-Net's results, with the folds to take of each, see ``find_trainings``.
        ensemble: also all folds of a model together, where it has several.
        checkpoint_name: name of the file in each fold's folder of nnU-Net's results.

    Raises:
        FileNotFoundError: there is no such model.
        OSError: one cannot be read.
        ValueError: one is damaged, or two would write into one folder, or have the same weights, or may have them.
    """
    models: list[ModelUnderTest] = []
    taken = list(trainings)
    for source in sources:
        path = model_path(source)
        if (training := training_in(path, checkpoint_name=checkpoint_name)) is not None:
            taken.append(training)
            continue
        opened = open_model(source, checkpoint_name=checkpoint_name)
        models += _folds_apart(opened, _name(source, path), ensemble=ensemble)
    for trained, folds in taken:
        opened = open_model(trained.folder, folds=folds, checkpoint_name=checkpoint_name)
        models += _folds_apart(opened, str(trained.name), ensemble=ensemble, is_suffixed=True)
    _refuse_same_names(models)
    _refuse_same_weights(models)
    return models


def _name(source: str | Path, path: Path) -> str:
    """Return what to call a model: a shipped one as the user does, another as its file or folder."""
    if path.is_file():
        return path.stem
    return path.resolve().name if Path(source).exists() else str(source)


def _folds_apart(model: Model, name: str, *, ensemble: bool, is_suffixed: bool = False) -> Iterator[ModelUnderTest]:
    """Yield each fold of a model, and all of them together; an ONNX file, which averages its folds, as it is.

    Args:
        model: with all folds that are wanted.
        name: of the model.
        ensemble: whether all of several folds are wanted together, too.
        is_suffixed: whether the only fold is told in its name: others may be trained later.
    """
    folds = model.description.fold_names
    if model.onnx is not None:
        yield ModelUnderTest(name=name, model=model)
        return
    for fold in folds:
        suffix = f"__{fold_name(fold)}" if is_suffixed or len(folds) > 1 else ""
        yield ModelUnderTest(name=name + suffix, model=_with_only(model, fold))
    if ensemble and len(folds) > 1:
        yield ModelUnderTest(name=f"{name}__folds_{'_'.join(folds)}", model=model)


def _with_only(model: Model, fold: str) -> Model:
    # The card of a bundle tells of all folds.
    return replace(model.with_folds([fold]), stored_card=None)


def _refuse_same_names(models: Sequence[ModelUnderTest]) -> None:
    first: dict[str, ModelUnderTest] = {}
    for one in models:
        other = first.setdefault(same_name(one.name), one)
        if other is not one:
            raise ValueError(
                f"{other.model.place} and {one.model.place} would both write their masks into the folder {one.name}; "
                "rename one of them, or test it alone"
            )


def _refuse_same_weights(models: Sequence[ModelUnderTest]) -> None:
    """Raise if two models whose scores are averaged are one, such as a fold and what was packed or exported of it."""
    alike: dict[tuple[ModelGroup, int | None, tuple[str, ...]], list[ModelUnderTest]] = {}
    for one in models:
        alike.setdefault((one.group, one.seed, one.folds), []).append(one)
    for several in alike.values():
        if len(several) > 1 and any(one.model.onnx is not None for one in several):
            raise ValueError(
                f"{' and '.join(one.name for one in several)} are of the same training and "
                f"{numbered('fold', several[0].folds)}, and an ONNX file does not show whether its weights are those "
                "of another: a mean might count them twice; test them apart, each into its own `output`"
            )
        first: dict[str, ModelUnderTest] = {}
        for one in several if len(several) > 1 else ():
            other = first.setdefault(digest_of_weights(map(one.model.fold_weights, one.folds)), one)
            if other is not one:
                raise ValueError(
                    f"{other.name} and {one.name} have the same weights: a mean would count them twice; test them "
                    "apart, each into its own `output`"
                )
