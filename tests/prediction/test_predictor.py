import json
import threading

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from PIL import Image
from trained_models import REGIONS

import nnunet_mamba
from nnunet_mamba.data.formats.image_files import resized_image, resized_mask
from nnunet_mamba.models.description import FILL_HOLES, KEEP_LARGEST_PART
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.packing import AuthorStatements, pack_model
from nnunet_mamba.prediction.devices import chosen_device
from nnunet_mamba.prediction.postprocessing import postprocess
from nnunet_mamba.prediction.predictor import Predictor
from nnunet_mamba.prediction.preprocessing import UnsuitableImageError


@pytest.fixture
def photographs():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in ((64, 64), (100, 80), (64, 64), (30, 200))]


@pytest.fixture
def predictor(trained, tmp_path, photograph_conversion):
    return Predictor.from_model(
        pack_model(trained(), tmp_path / "model.zip", conversion=photograph_conversion), device="cpu"
    )


def test_the_package_offers_it_by_name():
    assert nnunet_mamba.Predictor is Predictor


def test_a_photograph_has_a_label_map_of_its_own_size(predictor, photographs):
    for photograph in photographs:
        label = predictor.predict(photograph)
        assert label.shape == photograph.shape[:2]
        assert label.dtype == np.uint8
        assert set(np.unique(label)) == {0, 1}


def test_a_photograph_is_resized_as_a_conversion_does_it(predictor, photographs):
    photograph = photographs[1]
    pixels = resized_image(Image.fromarray(photograph), (64, 64)).transpose(2, 0, 1)[:, None]
    expected = resized_mask(predictor.predict(pixels)[0], photograph.shape[:2])
    assert np.array_equal(predictor.predict(photograph), expected)


def test_several_images_have_the_label_maps_that_each_has_alone(predictor, photographs):
    together = predictor.predict(photographs)
    for label, photograph in zip(together, photographs, strict=True):
        alone = predictor.predict(photograph)
        assert label.shape == alone.shape
        assert (label != alone).mean() <= 1e-3


def test_no_images_are_no_label_maps(predictor):
    assert predictor.predict([]) == []


def test_probabilities_are_those_of_the_label_map_and_add_up(predictor, photographs):
    photograph = photographs[0]
    found = predictor.predict_probabilities(photograph)
    assert found.shape == (2, 64, 64)
    assert found.dtype == np.float32
    assert np.allclose(found.sum(axis=0), 1, atol=1e-5)
    assert (found.argmax(axis=0) == predictor.predict(photograph)).mean() > 0.999
    several = predictor.predict_probabilities(photographs)
    assert [each.shape for each in several] == [(2, *each.shape[:2]) for each in photographs]


def test_channels_are_taken_as_nnunet_reads_them(predictor, photographs):
    channels = photographs[1].transpose(2, 0, 1)[:, None]
    assert predictor.predict(channels).shape == (1, 100, 80)


def test_regions_have_their_numbers(trained, photographs):
    predictor = Predictor.from_results(trained(labels=REGIONS), device="cpu")
    assert predictor.predict_probabilities(photographs[0]).shape == (2, 64, 64)
    assert set(np.unique(predictor.predict(photographs[0]))) <= {0, 1, 2}


def test_a_fold_alone_and_all_folds_together(trained, photographs):
    folder = trained(folds=(0, 1))
    both = Predictor.from_results(folder, device="cpu").predict_probabilities(photographs[0])
    alone = [Predictor.from_results(folder, folds=[fold], device="cpu") for fold in (0, 1)]
    assert not np.allclose(*(each.predict_probabilities(photographs[0]) for each in alone), atol=1e-3)
    logits = [np.log(each.predict_probabilities(photographs[0])) for each in alone]
    mean = np.mean(logits, axis=0)
    expected = np.exp(mean) / np.exp(mean).sum(axis=0)
    assert np.abs(both - expected).max() <= 5e-3


def test_without_mirroring_a_network_sees_an_image_once(trained, photographs):
    folder = trained()
    counts = {}
    for mirroring in (False, True):
        predictor = Predictor.from_results(folder, device="cpu", mirroring=mirroring)
        counts[mirroring] = []
        predictor.engine._networks._networks[0].register_forward_hook(
            lambda _, given, __, mirroring=mirroring: counts[mirroring].append(len(given[0]))
        )
        predictor.predict(photographs[0])
        assert predictor.is_mirroring is mirroring
    assert counts == {False: [1], True: [4]}


def test_a_model_does_to_its_label_maps_what_it_says(trained, tmp_path, photographs, photograph_conversion):
    statements = AuthorStatements(postprocessing=(KEEP_LARGEST_PART, FILL_HOLES))
    packed = pack_model(trained(), tmp_path / "m", conversion=photograph_conversion, statements=statements)
    plain = Predictor.from_model(packed, device="cpu", postprocessing=False)
    photograph = photographs[0]
    # Of the network's own size, so that nothing is resized.
    before = plain.predict(photograph)
    after = Predictor.from_model(packed, device="cpu").predict(photograph)
    assert np.array_equal(after, postprocess(before[None], statements.postprocessing)[0])
    assert not np.array_equal(after, before)
    probabilities = [one.predict_probabilities(photograph) for one in (plain, Predictor.from_model(packed))]
    assert np.array_equal(*probabilities)


def test_threads_may_share_it(predictor, photographs):
    expected = [predictor.predict(photograph) for photograph in photographs]
    found = [None] * len(photographs)

    def predict(index):
        found[index] = predictor.predict(photographs[index])

    threads = [threading.Thread(target=predict, args=(index,)) for index in range(len(photographs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.zeros((8, 8), np.uint8), r"image 0: an array of the shape \(8, 8\), expected a photograph \(h, w, 3\), or"),
        (np.zeros((8, 8, 3)), "image 0: a photograph with values of float64, expected uint8"),
        (np.zeros((0, 8, 3), np.uint8), "image 0: a photograph of the shape"),
        (np.zeros((1, 1, 8, 8)), r"expected a photograph \(h, w, 3\), or channels \(3, z, y, x\)"),
        (np.full((3, 1, 8, 8), np.nan), "values that are NaN or infinite"),
    ],
)
def test_refuses_what_is_no_image_of_the_model(predictor, image, text):
    with pytest.raises(UnsuitableImageError, match=text):
        predictor.predict(image)


def test_says_which_of_several_images_is_wrong(predictor, photographs):
    channels = np.full((3, 1, 8, 8), np.inf)
    with pytest.raises(UnsuitableImageError, match=r"^image 2: the image has values that are NaN or infinite"):
        predictor.predict([photographs[0], photographs[1], channels])


def test_a_spacing_that_is_none_is_refused(predictor):
    with pytest.raises(UnsuitableImageError, match=r"a spacing of \(0, 1, 1\), expected three lengths"):
        predictor.predict(np.zeros((3, 1, 8, 8)), spacing=(0, 1, 1))


def test_weights_have_a_digest_of_their_own(trained, tmp_path):
    folder = trained()
    first = Predictor.from_results(folder, device="cpu").weights_digest
    packed = pack_model(folder, tmp_path / "model")
    assert Predictor(open_model(packed), device="cpu").weights_digest == first
    other = Predictor.from_results(trained(trainer="nnUNetTrainerUltraLBM"), device="cpu").weights_digest
    assert other != first


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("toaster", "none of torch's, expected one of cpu$"),
        ("meta", "nothing is predicted there, expected one of cpu$"),
        ("mps", "torch finds no Apple GPU here, expected one of cpu;"),
        ("cuda", "torch finds no GPU here, expected one of cpu;"),
        ("cuda:7", "torch finds no GPU here, expected one of cpu;"),
        ("cpu:1", "torch finds no cpu:1 here, expected one of cpu$"),
    ],
)
def test_a_device_that_is_not_there_is_refused(monkeypatch, device, text):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"^`device` {device}: {text}"):
        chosen_device(device)


def test_a_gpu_beyond_those_that_are_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(chosen_device(name)) for name in ("cuda", "cuda:1", "cpu:0")] == ["cuda", "cuda:1", "cpu:0"]
    with pytest.raises(ValueError, match=r"torch finds no cuda:7 here, expected one of cpu, cuda, cuda:0, cuda:1$"):
        chosen_device("cuda:7")


def test_a_gpu_is_taken_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_device(None).type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device(None).type == "cpu"
    with pytest.raises(ValueError, match="torch finds no GPU here"):
        chosen_device("cuda")


def test_a_model_of_nnunets_own_trainer_predicts_too(trained, photographs):
    folder = trained("nnUNetTrainer")
    with pytest.raises(ValueError, match=r"fold 0: the weights do not fit the network: .* …$"):
        Predictor.from_results(folder, device="cpu")
    plans = PlansManager(str(folder / "plans.json"))
    configuration = plans.get_configuration("2d")
    network = nnUNetTrainer.build_network_architecture(plans, configuration, 3, 2, enable_deep_supervision=False)
    checkpoint = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({**torch.load(checkpoint, weights_only=False), "network_weights": network.state_dict()}, checkpoint)
    predictor = Predictor.from_results(folder, device="cpu", mirroring=False)
    found = predictor.predict_probabilities(photographs[0].transpose(2, 0, 1)[:, None])
    prepared = predictor.engine.prepare(photographs[0].transpose(2, 0, 1)[:, None], (999, 1, 1))
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(prepared.slices)).softmax(1)[0]
    # Logits are weighted and divided in half precision.
    assert np.abs(found[:, 0] - expected.numpy()).max() <= 1e-2


def test_whole_numbers_in_the_place_of_a_stock_networks_weights_are_refused(trained):
    folder = trained("nnUNetTrainer")
    checkpoint = folder / "fold_0" / "checkpoint_final.pth"
    plans = PlansManager(json.loads((folder / "plans.json").read_text()))
    configuration = plans.get_configuration("2d")
    network = nnUNetTrainer.build_network_architecture(plans, configuration, 3, 2, enable_deep_supervision=False)
    weights = {name: value.long() for name, value in network.state_dict().items()}
    torch.save({**torch.load(checkpoint, weights_only=False), "network_weights": weights}, checkpoint)
    told = r"fold 0: the weights do not fit the network: they have another kind of numbers in \S+ torch\.int64"
    with pytest.raises(ValueError, match=told):
        Predictor.from_results(folder, device="cpu")


def test_a_trainer_that_is_not_here_is_told(trained):
    folder = trained("nnUNetTrainer")
    other = folder.with_name(folder.name.replace("nnUNetTrainer__", "nnUNetTrainerOfSomebody__"))
    folder.rename(other)
    checkpoint = other / "fold_0" / "checkpoint_final.pth"
    stored = torch.load(checkpoint, weights_only=False)
    torch.save({**stored, "trainer_name": "nnUNetTrainerOfSomebody"}, checkpoint)
    with pytest.raises(ValueError, match="was trained by nnUNetTrainerOfSomebody, which nnU-Net does not find here"):
        Predictor.from_results(other, device="cpu")


def test_a_batch_of_photographs_is_not_taken_for_channels(predictor):
    with pytest.raises(UnsuitableImageError, match=r"which looks like 3 photographs; give a list of them, \[\*array\]"):
        predictor.predict(np.zeros((3, 64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    "image", ["a.jpg", None, Image.new("RGB", (8, 8)), torch.zeros(3, 1, 8, 8)], ids=["path", "None", "PIL", "tensor"]
)
def test_what_is_no_array_is_told(predictor, image):
    with pytest.raises(UnsuitableImageError, match=r"^image 0: a \w+, expected a numpy array"):
        predictor.predict(image)


@pytest.mark.parametrize("spacing", ["abc", (1, float("nan"), 1), (1, 1), np.array([1.0, np.inf, 1.0])], ids=str)
def test_a_senseless_spacing_is_told(predictor, spacing):
    with pytest.raises(UnsuitableImageError, match="expected three lengths above 0 mm"):
        predictor.predict(np.zeros((3, 1, 8, 8)), spacing=spacing)


def test_a_spacing_may_be_an_array(predictor):
    assert predictor.predict(np.ones((3, 1, 8, 8)), spacing=np.array([999, 1, 1])).shape == (1, 8, 8)


def test_a_damaged_checkpoint_is_not_predicted_with(trained):
    folder = trained()
    checkpoint = folder / "fold_0" / "checkpoint_final.pth"
    content = bytearray(checkpoint.read_bytes())
    place = content.find(
        next(iter(torch.load(checkpoint, weights_only=False)["network_weights"].values())).numpy().tobytes()
    )
    content[place] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(ValueError, match=r"the checksum of .* does not fit"):
        Predictor.from_results(folder, device="cpu")


@pytest.mark.parametrize(
    ("entry", "value"),
    [("preprocessor_name", "Mine"), ("resampling_fn_data", "mine"), ("normalization_schemes", ["Mine"] * 3)],
)
def test_plans_that_name_what_nnunet_does_not_know_are_told_before_an_image_is_read(trained, entry, value):
    folder = trained()
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["base"][entry] = value
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(ValueError, match="nnU-Net cannot take the plans of this model"):
        Predictor.from_results(folder, device="cpu")
