import numpy as np
import pytest
from blobs import SHAPES, VALUES, draw_blob
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.binary_mask_photographs import PhotographConverter, photograph_description
from nnunet_mamba.data.writing.conversion_record import ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import write_raw_dataset


@pytest.fixture
def cases(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    found = []
    for number, (name, shape) in enumerate(SHAPES.items()):
        noise = np.random.default_rng(number).integers(0, 255, (*shape, 3), dtype=np.uint8)
        image, mask = tmp_path / "images" / f"{name}.png", tmp_path / "masks" / f"{name}.png"
        Image.fromarray(noise).save(image)
        Image.fromarray(draw_blob(shape, number).astype(np.uint8) * 255).save(mask)
        found.append(Case(identifier=name, channels=(image,), mask=mask))
    return found


@pytest.fixture
def convert():
    """Convert cases as a conversion of photographs does."""

    def convert(cases, folder, size=None, *, sigmoid=False, source_labels=VALUES):
        options = {"size": "original" if size is None else f"{size[0]}x{size[1]}"}
        if source_labels:
            options["source_labels"] = source_labels
        description = photograph_description("lesion", sigmoid=sigmoid)
        record = ConversionRecord.of("test", options, cases)
        write_raw_dataset(cases, folder, description, converter=PhotographConverter(size=size), record=record)
        return folder

    return convert


@pytest.fixture
def raw(cases, convert, tmp_path):
    return convert(cases, tmp_path / "raw" / "Dataset101_ISIC")
