import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from nnunet_mamba.classification import batches
from nnunet_mamba.classification import training as training_module
from nnunet_mamba.classification.batches import normalised, training_batches
from nnunet_mamba.classification.classifier import Classifier
from nnunet_mamba.classification.classifier_files import read_classifier_file
from nnunet_mamba.classification.labelled_images import LabelledImages
from nnunet_mamba.classification.training import learning_rate, train_classifier


@pytest.fixture
def parts(coloured):
    return coloured.split(1 / 3)


@pytest.mark.parametrize("network", ["vim_cifar", "vm_unet_encoder"])
def test_learns_and_predicts_files_as_pixels(parts, quick, tmp_path, network):
    trained = train_classifier(*parts, tmp_path / "run", settings=quick(network, epochs=6))

    assert trained.best_accuracy == trained.last_accuracy == 1
    assert trained.history[-1].loss < trained.history[0].loss
    assert json.loads((tmp_path / "run/history.json").read_text())[-1]["accuracy"] == 1
    classifier = Classifier.load(tmp_path / "run", device="cpu")
    held_out = parts[1]
    files = [tmp_path / f"{number}.png" for number in range(len(held_out))]
    for file, (pixels, _) in zip(files, held_out, strict=True):
        Image.fromarray(pixels).save(file)
    predicted = classifier.predict(files)
    assert [name for name, _ in predicted] == [classifier.classes[label] for label in held_out.labels]
    np.testing.assert_array_equal(classifier.probabilities(files), classifier.probabilities(held_out.pictures))
    np.testing.assert_allclose(classifier.probabilities(files).sum(1), 1, rtol=1e-5)


def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(parts, quick, tmp_path, monkeypatch):
    """Crops, flips, RandAugment and drop path are drawn as before; the optimiser goes on."""
    settings = quick(rand_augment=True, overrides={"d_model": 12, "depth": 2, "drop_path_rate": 0.4})
    whole = train_classifier(*parts, tmp_path / "whole", settings=settings)
    rate, calls = training_module.learning_rate, iter(range(6))

    def stopping(epoch, settings):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return rate(epoch, settings)

    monkeypatch.setattr(training_module, "learning_rate", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(*parts, tmp_path / "stopped", settings=settings)
    monkeypatch.undo()
    # In the third of three epochs of three batches, the second of them being whole.
    assert len(read_classifier_file(tmp_path / "stopped/last.safetensors").history) == 2
    torch.rand(3)

    continued = train_classifier(*parts, tmp_path / "stopped", settings=settings)

    assert [epoch.loss for epoch in continued.history] == [epoch.loss for epoch in whole.history]
    ours, theirs = (read_classifier_file(tmp_path / name / "last.safetensors") for name in ("stopped", "whole"))
    assert all(torch.equal(ours.weights[name], value) for name, value in theirs.weights.items())
    assert ours.optimizer.keys() == theirs.optimizer.keys() != set()


def test_another_seed_is_another_training(parts, quick, tmp_path):
    losses = [
        train_classifier(*parts, tmp_path / str(run), settings=quick(epochs=1, seed=seed)).history[0].loss
        for run, seed in enumerate((0, 0, 1))
    ]
    assert losses[0] == losses[1] != losses[2]


def test_a_folder_with_another_training_is_left_alone(parts, quick, tmp_path):
    train_classifier(*parts, tmp_path, settings=quick(epochs=1))
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(ValueError, match=r"other epochs, learning_rate \(the learning rate follows .*; choose another"):
        train_classifier(*parts, tmp_path, settings=quick(epochs=2, learning_rate=1e-3))
    with pytest.raises(ValueError, match="holds a training with other images"):
        train_classifier(parts[0].chosen(range(20)), parts[1], tmp_path, settings=quick(epochs=1))
    # As many images, of which one is another.
    others = LabelledImages.from_pixels(parts[0].pictures.copy(), parts[0].labels, parts[0].classes)
    others.pictures[5, 3, 3] += 1
    with pytest.raises(ValueError, match="holds a training with other images"):
        train_classifier(others, parts[1], tmp_path, settings=quick(epochs=1))
    with pytest.raises(ValueError, match="holds a training with other images"):
        train_classifier(parts[0], parts[1].chosen(range(len(parts[1]))[::-1]), tmp_path, settings=quick(epochs=1))
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_weights_to_begin_with_keep_all_but_the_head_for_other_classes(parts, quick, tmp_path):
    first = quick().create_network(5).state_dict()
    trained = train_classifier(*parts, tmp_path / "a", settings=quick(epochs=1, learning_rate=0.0), weights=first)
    weights = read_classifier_file(trained.folder / "last.safetensors").weights
    assert all(torch.equal(value, first[name]) for name, value in weights.items() if not name.startswith("head."))
    wrong = quick(overrides={"d_model": 20, "depth": 2}).create_network(3).state_dict()
    with pytest.raises(ValueError, match=r"weights do not fit vim_cifar: .* such as cls_token"):
        train_classifier(*parts, tmp_path / "b", settings=quick(), weights=wrong)


def test_a_loss_that_is_not_finite_stops_with_the_way_out(parts, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(training_module, "normalised", lambda images, settings: images.float() * math.nan)
    with pytest.raises(ValueError, match=r"the loss of epoch 1 is not finite; .* a `learning_rate` below 0\.01"):
        train_classifier(*parts, tmp_path, settings=quick())


@pytest.mark.parametrize(
    "lack", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")], ids=repr
)
def test_too_little_memory_of_the_device_names_the_batch(parts, quick, tmp_path, monkeypatch, lack):
    def full(*_):
        raise lack

    monkeypatch.setattr(training_module, "normalised", full)
    with pytest.raises(ValueError, match="memory of cpu does not hold a step of `batch_size=8` images of 16×16"):
        train_classifier(*parts, tmp_path, settings=quick())


def test_a_device_that_this_machine_has_not_is_told(parts, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="`device=cuda:2`, but this machine has 2, from cuda:0 to cuda:1"):
        train_classifier(*parts, tmp_path, settings=quick(device="cuda:2"))


def test_the_learning_rate_rises_then_falls_to_nothing(quick):
    settings = quick(epochs=100, learning_rate=1.0)
    rates = [learning_rate(epoch, settings) for epoch in (0, 2.5, 5, 52.5, 100)]
    assert rates == pytest.approx([0.01, 0.505, 1, 0.5, 0])


def test_a_frequent_class_lifts_accuracy_alone(coloured, quick, tmp_path):
    """A network that cannot learn says one class, which two of three held-out images are of."""
    chosen = [index for index in range(36) if index % 3 == 0 or index in (1, 4, 7, 2, 5, 8)]
    most_red = LabelledImages.from_pixels(
        np.zeros((18, 16, 16, 3), np.uint8), coloured.chosen(chosen).labels, coloured.classes
    )
    epoch = train_classifier(most_red, most_red, tmp_path, settings=quick(epochs=6)).history[-1]
    assert epoch.accuracy == pytest.approx(2 / 3)
    assert epoch.balanced_accuracy == pytest.approx(1 / 3)


def test_the_best_epoch_is_the_one_that_tells_rare_classes_too(coloured, quick, tmp_path, monkeypatch, caplog):
    """Plain accuracy is highest where all images are given the frequent class, as they are before much was learned."""
    images = coloured.chosen([*range(0, 36, 3), 1, 4])
    constant, telling = torch.tensor([[9.0, 0, 0]]).repeat(14, 1), torch.zeros(14, 3)
    telling[[*range(8), 12, 13], [0] * 8 + [1, 1]] = 1.0
    telling[8:12, 1] = 1.0
    surer, surest = 2 * telling, 2 * telling + 1e-9
    given = iter([constant, telling, surer, surest, constant])
    monkeypatch.setattr(training_module, "_logits", lambda *_, **__: next(given))
    trained = train_classifier(images, images, tmp_path, settings=quick(epochs=5))
    assert trained.history[0].accuracy > trained.best.accuracy
    assert [epoch.n_predicted for epoch in trained.history] == [1, 2, 2, 2, 1]
    assert len(read_classifier_file(tmp_path / "best.safetensors").history) == 4
    assert trained.best == trained.history[3]
    assert "the last epoch give all 14 held-out images one class; train longer" in caplog.text


def test_a_balanced_loss_counts_classes_the_same(coloured, quick, tmp_path):
    """Nothing can be learned from black images but how often a class comes."""
    images = LabelledImages.from_pixels(
        np.zeros((36, 16, 16, 3), np.uint8), [0] * 28 + [1] * 8, ("frequent", "rare", "absent")
    )
    shares = []
    for balanced in (False, True):
        settings = quick(epochs=15, batch_size=36, learning_rate=0.03, balanced_loss=balanced)
        train_classifier(images, images, tmp_path / str(balanced), settings=settings)
        classifier = Classifier.load(tmp_path / str(balanced) / "last.safetensors", device="cpu")
        frequent, rare, _ = classifier.probabilities(images.pictures[:1])[0]
        shares.append(frequent / rare)
    assert shares[0] > 2
    assert shares[1] == pytest.approx(1, abs=0.4)


def test_images_are_normalised_by_imagenet_or_by_themselves(coloured, quick):
    images = torch.from_numpy(coloured.pictures.transpose(0, 3, 1, 2).copy())
    by_itself = normalised(images, quick(normalisation="image"))
    torch.testing.assert_close(by_itself.mean((2, 3)), torch.zeros(36, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(by_itself.std((2, 3), correction=0), torch.ones(36, 3))
    flat = normalised(torch.full((1, 3, 4, 4), 255, dtype=torch.uint8), quick(normalisation="image"))
    assert torch.equal(flat, torch.zeros(1, 3, 4, 4))
    white = normalised(torch.full((1, 3, 4, 4), 255, dtype=torch.uint8), quick())
    torch.testing.assert_close(white[0, :, 0, 0], torch.tensor([(1 - 0.485) / 0.229, 0.544 / 0.224, 0.594 / 0.225]))


def test_emulated_bf16_is_not_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch, "autocast", lambda *_, enabled, **__: enabled)
    assert training_module._autocast(torch.device("cuda")) is False


def test_images_vary_only_as_they_are_told_to(coloured, quick):
    def first(**changes):
        torch.manual_seed(0)
        pixels, labels = next(iter(training_batches(coloured, quick(batch_size=36, **changes), epoch=0)))
        return {picture.numpy().tobytes(): int(label) for picture, label in zip(pixels, labels, strict=True)}

    plain = {picture.transpose(2, 0, 1).tobytes(): label for picture, label in coloured}
    mirrored = {picture[:, ::-1].transpose(2, 0, 1).tobytes(): label for picture, label in coloured}
    assert first(crop_padding=0, flip=False) == plain
    flipped = first(crop_padding=0, flip=True)
    assert flipped.items() <= {**plain, **mirrored}.items()
    assert plain.items() & flipped.items() != flipped.items()
    assert not first(crop_padding=2, flip=False).items() <= {**plain, **mirrored}.items()


def test_more_files_than_fit_in_memory_stay_on_the_disk_and_damaged_ones_are_named(parts, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "MOST_IN_MEMORY", 0)
    files = [tmp_path / f"{number}.png" for number in range(len(parts[0]))]
    for file, (pixels, _) in zip(files, parts[0], strict=True):
        Image.fromarray(pixels).save(file)
    images = LabelledImages(classes=parts[0].classes, labels=parts[0].labels, pictures=files)
    settings = quick(epochs=1)
    on_disk = train_classifier(images, parts[1], tmp_path / "a", settings=settings)
    assert on_disk.history[0].loss == train_classifier(*parts, tmp_path / "b", settings=settings).history[0].loss
    classifier = Classifier.load(tmp_path / "a", device="cpu")
    files[7].write_bytes(files[7].read_bytes()[:60])
    with pytest.raises(ValueError, match=r"1 image cannot be read; replace or remove:\n.*7\.png: "):
        train_classifier(images, parts[1], tmp_path / "c", settings=settings)
    # One that is damaged while others are read is named, too.
    with pytest.raises(ValueError, match=r"7\.png: .*; replace or remove it"):
        list(batches.plain_batches(images, settings))
    monkeypatch.setattr(LabelledImages, "in_memory", None)
    with pytest.raises(ValueError, match=r"1 image cannot be read; .*\n.*7\.png: "):
        classifier.predict(files)


def test_parts_of_other_classes_are_refused(coloured, quick, tmp_path):
    other = LabelledImages.from_pixels(coloured.pictures, coloured.labels, ("a", "b", "c"))
    with pytest.raises(ValueError, match="training images are of red, green, blue and held-out ones of a, b, c"):
        train_classifier(coloured, other, tmp_path, settings=quick())
    with pytest.raises(ValueError, match="36 training images and 0 held-out ones"):
        train_classifier(coloured, coloured.chosen([]), tmp_path, settings=quick())
