import pytest
from data_sets import DATA_SETS

from nnunet_mamba.data.unlabelled.image_search import find_images
from nnunet_mamba.data.writing.conversion_record import read_conversion_record


@pytest.fixture(params=DATA_SETS)
def data_set(request, tmp_path):
    """A data set of every kind in turn."""
    root = tmp_path / "data"
    root.mkdir()
    return DATA_SETS[request.param](root)


@pytest.fixture
def find(tmp_path):
    """Find images of a data set, and show that nothing is wrong with them."""

    def run(source, conversion, **options):
        found = find_images([source], conversion, output=tmp_path / "out", **options)
        assert not found.refusals
        assert not found.problems
        return found.cases

    return run


@pytest.fixture
def read_converted():
    """Read with nnU-Net's own reader what a conversion has written of a source file."""
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    def run(folder, source_file, conversion):
        """Return the case's identifier, its channels and its properties."""
        cases = read_conversion_record(folder).cases
        (identifier,) = (name for name, case in cases.items() if case["files"][0] == source_file.name)
        images = folder / "imagesTr" if (folder / "imagesTr").is_dir() else folder
        files = sorted(str(path) for path in images.iterdir() if path.name.startswith(f"{identifier}_00"))
        reader = NaturalImage2DIO() if conversion.kind.is_resized else SimpleITKIO()
        return (identifier, *reader.read_images(files))

    return run
