import numpy as np
import pytest
from cifar_pickles import array, dictionary, numbers, write_cifar

from nnunet_mamba.classification.cifar_files import is_cifar_folder, read_cifar
from nnunet_mamba.classification.image_folders import read_labelled_images


@pytest.mark.parametrize("fine", [False, True])
def test_pixels_and_classes_come_from_the_python_files(tmp_path, fine):
    folder = tmp_path / ("cifar-100-python" if fine else "cifar-10-batches-py")
    written = write_cifar(folder, fine=fine)

    training, test = read_cifar(folder)

    assert training.classes == tuple(f"class {label}" for label in range(10))
    *parts, (pixels, labels) = written.values()
    assert np.array_equal(test.pictures, pixels)
    assert test.labels.tolist() == labels
    assert np.array_equal(training.pictures, np.concatenate([pixels for pixels, _ in parts]))
    assert training.labels.tolist() == [label for _, labels in parts for label in labels]


def test_the_folder_above_will_do_and_is_recognised(tmp_path):
    write_cifar(tmp_path / "cifar-10-batches-py")
    assert is_cifar_folder(tmp_path)
    training, test = read_labelled_images(tmp_path)
    assert (len(training), len(test)) == (30, 6)
    with pytest.raises(ValueError, match="holds none of CIFAR's folders"):
        read_cifar(tmp_path.parent)


def test_what_is_missing_or_wrong_is_told_with_its_file(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    written = write_cifar(folder)
    pixels = written["data_batch_3"][0].reshape(6, -1)
    for content, message in (
        ({"labels": numbers([0] * 6)}, "data_batch_3 has no entry 'data', only labels"),
        ({"labels": numbers([0] * 6), "data": array(pixels[:, :100])}, "data_batch_3: data are no images of 32×32"),
        (
            {"labels": numbers([0] * 5 + [12]), "data": array(pixels)},
            "data_batch_3: labels are 0 to 12, expected 0 to 9",
        ),
        ({"labels": numbers([0] * 5), "data": array(pixels)}, "data_batch_3: 6 pictures and 5 labels"),
    ):
        (folder / "data_batch_3").write_bytes(dictionary(content))
        with pytest.raises(ValueError, match=message):
            read_cifar(folder)
    (folder / "data_batch_3").unlink()
    with pytest.raises(ValueError, match="lacks data_batch_3; unpack the archive again"):
        read_cifar(folder)
