"""Photographs that no model was trained with, as whole photographs and as centred squares, to score models with."""

import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from stock_runs.checkouts import Checkout
from stock_runs.watched_process import run

from nnunet_mamba.demo.steps import program
from nnunet_mamba.system.atomic import new_folder

SIDE = 256
WHOLE, SQUARE = "whole photographs", "centred squares"
_NUMBERS = {"original": 950, WHOLE: 951, SQUARE: 952}


@dataclass(frozen=True)
class TestSet:
    """Photographs with masks.

    Args:
        name: for the table of scores.
        converter: of nnunet-mamba convert, "ph2" or "isic".
        source: what the converter takes.
    """

    name: str
    converter: str
    source: Path

    def prepared(self, folder: Path, checkout: Checkout) -> dict[str, Path]:
        """Convert it, unless that is done, and return nnU-Net's data set for each way to cut photographs to squares.

        Args:
            folder: gets the data sets.
            checkout: whose commands convert.

        Raises:
            RuntimeError: a conversion failed; the text has its last lines.
        """
        root = folder / self.name.replace(" ", "_")
        root.mkdir(parents=True, exist_ok=True)
        whole = self._converted(root, checkout, WHOLE, [self.converter, str(self.source), "--size", str(SIDE)])
        original = self._converted(root, checkout, "original", [self.converter, str(self.source), "--size", "original"])
        squares = root / "squares"
        if not squares.is_dir():
            with new_folder(squares) as made:
                _cut(original, made)
        square = self._converted(root, checkout, SQUARE, ["isic", str(squares), "--size", str(SIDE)])
        return {WHOLE: whole, SQUARE: square}

    def _converted(self, root: Path, checkout: Checkout, what: str, arguments: list[str]) -> Path:
        number = _NUMBERS[what]
        folder = root / f"Dataset{number}_Test"
        if not (folder / "splits_final.json").is_file():
            options = ["--sigmoid", "--output", str(root), "--dataset-id", str(number), "--name", "Test"]
            print(f"convert {self.name}, {what}", file=sys.stderr, flush=True)
            command = [program("nnunet-mamba"), "convert", *arguments, *options, "--no-progress"]
            run(command, checkout.environment(root), output=root / "conversion.txt")
        return folder


def _cut(dataset: Path, squares: Path) -> None:
    """Cut the largest centred square out of every photograph and its mask."""
    for kind in ("images", "masks"):
        (squares / kind).mkdir()
    for label in sorted((dataset / "labelsTr").glob("*.png")):
        with Image.open(dataset / "imagesTr" / f"{label.stem}_0000.png") as photograph:
            _centre(photograph).save(squares / "images" / label.name)
        with Image.open(label) as mask:
            _centre(mask.point(lambda value: 255 * (value > 0))).save(squares / "masks" / label.name)


def _centre(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    return picture.crop((left, top, left + side, top + side))
