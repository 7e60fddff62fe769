"""Whether models have seen the images of an external test in their training, as far as nnU-Net's folders tell."""

from collections.abc import Collection, Iterator, Sequence

from nnunet_mamba.comparison.comparability import shown
from nnunet_mamba.comparison.trained_cases import training_cases
from nnunet_mamba.data.problems import same_name
from nnunet_mamba.external_tests.models_under_test import ModelUnderTest
from nnunet_mamba.system.counts import how_many

_FIRST_CHANNEL = "_0000"


def refuse_seen_images(models: Sequence[ModelUnderTest], identifiers: Collection[str]) -> None:
    """Raise if images are called as cases of a data set that a model was trained on, in any of its folds.

    A case that a fold was validated with is no new one, either.

    Args:
        models: of the test.
        identifiers: of its cases.

    Raises:
        ValueError: they are; tells which.
    """
    ours = {same_name(name).rpartition("/")[2].removesuffix(_FIRST_CHANNEL): name for name in identifiers}
    for dataset in _datasets(models):
        theirs = set(map(same_name, training_cases(dataset, ())))
        if seen := {ours[name] for name in ours.keys() & theirs}:
            names = [one.name for one in models if one.description.data.dataset == dataset]
            raise ValueError(
                f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''} learned from {dataset}, and "
                f"{len(seen)} of the {how_many(len(ours), 'image')} {'is' if len(seen) == 1 else 'are'} called as "
                f"{'one of ' if len(seen) == 1 else ''}its training cases ({shown(seen)}): a score on them tells "
                "nothing of new images; leave them out, or say with `allow_same_names=True` that they are other images"
            )


def unchecked(models: Sequence[ModelUnderTest]) -> Iterator[str]:
    """Yield a sentence for each data set whose training cases are not known here."""
    for dataset in _datasets(models):
        if not training_cases(dataset, ()):
            yield (
                f"The training cases of {dataset} are not known here, so nobody has checked that the images are none "
                "of them; nnUNet_raw or nnUNet_preprocessed would tell"
            )


def _datasets(models: Sequence[ModelUnderTest]) -> list[str]:
    return list(dict.fromkeys(one.description.data.dataset for one in models))
