"""Find the images and masks in folders and bring them together by name."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.checks import Problem, same_name
from nnunet_mamba.data.image_files import IMAGE_ENDINGS


def list_images(folder: Path, *, ignored_suffixes: Sequence[str] = ()) -> list[Path]:
    """Return the image files directly in ``folder``, sorted, without hidden ones (macOS writes ``._name.jpg``).

    Args:
        folder: its subfolders are not entered: archives that hold a tree twice would give every case twice.
        ignored_suffixes: ends of names before the file ending, in lower case, of images to leave out.

    Raises:
        NotADirectoryError: ``folder`` is not a folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; expected one that holds images")
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_ENDINGS
        and not path.name.startswith(".")
        and not path.is_dir()
        and not path.stem.lower().endswith(tuple(ignored_suffixes) or ("\0",))
    )


def identifier_of(path: Path, *, suffix: str = "") -> str:
    """Return the identifier in a file's name.

    Args:
        path: an image or mask.
        suffix: end of the name before the file ending, any case, that is no part of the identifier.
    """
    stem = unicodedata.normalize("NFC", path.stem)
    return stem[: -len(suffix)] if suffix and stem.lower().endswith(suffix) and len(stem) > len(suffix) else stem


def by_identifier(
    files: Iterable[Path], kind: str, *, suffix: str = "", cases: Mapping[str, tuple[str, Path]] | None = None
) -> tuple[dict[str, tuple[str, Path]], list[Problem]]:
    """Index files by identifier, and report every identifier that several files claim.

    Args:
        files: images, or masks.
        kind: what they are, for the text of a problem.
        suffix: see ``identifier_of``.
        cases: what this returned for the images, whose identifiers are those of the cases; masks may be written
            otherwise, and a problem is to name the case.

    Returns:
        Per key of ``same_name`` the identifier as written and the file, and the problems.
    """
    found: defaultdict[str, list[tuple[str, Path]]] = defaultdict(list)
    for path in files:
        identifier = identifier_of(path, suffix=suffix)
        found[same_name(identifier)].append((identifier, path))
    first = {key: entries[0] for key, entries in found.items()}
    named = {**first, **(cases or {})}
    problems = [
        Problem(
            named[key][0],
            f"{len(entries)} {kind}s for one case, expected one: {', '.join(str(path) for _, path in entries)}",
        )
        for key, entries in found.items()
        if len(entries) > 1
    ]
    return first, problems


def pair_images_with_masks(
    images: Sequence[Path],
    masks: Sequence[Path],
    *,
    mask_suffix: str,
    is_training: bool,
    allow_missing_masks: bool = False,
    allow_missing_images: bool = False,
) -> tuple[list[Case], list[Problem]]:
    """Make one case of every image and its mask.

    Args:
        images: image files; the identifier is the name without its ending.
        masks: mask files, named after the image, with ``mask_suffix`` or without.
        mask_suffix: in lower case; any case is accepted.
        is_training: where cases with a mask go.
        allow_missing_masks: make test cases of images without a mask instead of reporting them.
        allow_missing_images: leave out masks without an image instead of reporting them.

    Returns:
        The cases, and what is wrong with the names. Images without a mask, where that is a problem,
        are test cases too, so that their files can still be checked.
    """
    image_of, problems = by_identifier(images, "image")
    mask_of, mask_problems = by_identifier(masks, "mask", suffix=mask_suffix, cases=image_of)
    problems += mask_problems
    cases = []
    for key, (identifier, image) in image_of.items():
        label = mask_of[key][1] if key in mask_of else None
        if label is None and masks and not allow_missing_masks:
            problems.append(
                Problem(
                    identifier,
                    "no mask for this image; add it, or send images without masks to imagesTs "
                    "with --allow-missing-masks",
                    image,
                )
            )
        cases.append(
            Case(
                identifier=identifier,
                channels=(image,),
                label=label,
                is_training=is_training and label is not None,
            )
        )
    if not allow_missing_images:
        problems += [
            Problem(
                identifier, "no image for this mask; add it, or leave such masks out with --allow-missing-images", p
            )
            for key, (identifier, p) in mask_of.items()
            if key not in image_of
        ]
    return cases, problems
