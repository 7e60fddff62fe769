"""What converts a case goes to worker processes, and comes there as it was."""

import pickle

import pytest

from nnunet_mamba.data.converters.binary_mask_photographs import PhotographConverter
from nnunet_mamba.data.converters.isic import IsicOptions, convert_isic
from nnunet_mamba.data.converters.label_mask_images import LabelMaskImageConverter
from nnunet_mamba.data.converters.labelled_volumes import VolumeConverter
from nnunet_mamba.data.converters.lgg import LggOptions
from nnunet_mamba.data.converters.synapse import PAPERS_ORGANS, RAW_DATA_NUMBERS, SynapseFacts
from nnunet_mamba.data.converters.synapse_organs import OrganNumbers
from nnunet_mamba.data.converters.synapse_transunet import TransUNetConverter
from nnunet_mamba.data.converters.synapse_volumes import CtConverter
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.writing.run_options import RunOptions

LABELS = LabelValues.of({"background": 0, "a": [1, 255], "b": 2})
CONVERTERS = [
    PhotographConverter(size=(8, 6), allow_empty_masks=True),
    LabelMaskImageConverter(labels=LABELS, threshold=3.0, is_colour=False, size=(8, 6)),
    VolumeConverter(labels=LABELS, threshold=0.5, may_be_ct=True, allow_empty_masks=True),
    LggOptions(slice_thickness=6.0).converter(),
    LggOptions(as_volumes=False, size=(8, 6)).converter(),
    CtConverter(OrganNumbers(PAPERS_ORGANS, RAW_DATA_NUMBERS)),
    TransUNetConverter(OrganNumbers(PAPERS_ORGANS, SynapseFacts().transunet_numbers("btcv")), (3.0, 0.7, 0.7)),
]


@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: type(converter).__name__)
def test_every_converter_arrives_unchanged(converter):
    assert pickle.loads(pickle.dumps(converter)) == converter


def test_result_does_not_depend_on_the_number_of_jobs(draw_part, tmp_path):
    draw_part(tmp_path / "images", tmp_path / "masks", [f"ISIC_{number:07d}" for number in range(20)], shape=(12, 16))
    written = []
    for jobs in (1, 2):
        target = tmp_path / f"jobs{jobs}"
        options = IsicOptions(size=(16, 16), run=RunOptions(jobs=jobs))
        convert_isic(tmp_path / "images", tmp_path / "masks", target, options=options)
        written.append({path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()})
    assert written[0] == written[1]
    assert len(written[0]) == 43
