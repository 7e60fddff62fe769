import csv
import errno
import json
import threading
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.models.packing import pack_model
from nnunet_mamba.prediction import run
from nnunet_mamba.prediction.finished_images import SOURCES_FILE
from nnunet_mamba.prediction.predictor import Predictor
from nnunet_mamba.prediction.run import RunOptions, predict_images
from nnunet_mamba.prediction.run_record import RECORD_FILE
from nnunet_mamba.system import folder_lock
from nnunet_mamba.system.folder_lock import one_of_writers, only_writer


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    (folder / "clinic").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, shape in (("a.jpg", (50, 70)), ("b.png", (64, 64)), ("clinic/c.jpg", (90, 40))):
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def model(trained, tmp_path, photograph_conversion):
    return pack_model(trained(), tmp_path / "model.zip", conversion=photograph_conversion)


@pytest.fixture
def predict(model, tmp_path):
    """Predict images into tmp_path / "out"."""

    def do(*images, output=None, source=model, mirroring=False, **options):
        predictor = Predictor.from_model(source, device="cpu", mirroring=mirroring)
        return predict_images(
            images,
            output or tmp_path / "out",
            conversion=predictor.model.description.image_conversion(),
            predictor=lambda: predictor,
            options=RunOptions(**options),
        )

    return do


def test_every_photograph_gets_a_mask_of_its_size_under_its_name(predict, photographs):
    done = predict(photographs)
    assert (done.n_images, done.n_written, dict(done.failures)) == (3, 3, {})
    masks = {str(path.relative_to(done.folder)): Image.open(path) for path in done.folder.rglob("*.png")}
    assert {name: mask.size[::-1] for name, mask in masks.items()} == {
        "a.png": (50, 70),
        "b.png": (64, 64),
        "clinic/c.png": (90, 40),
    }
    assert all(set(np.unique(mask)) <= {0, 255} for mask in masks.values())


def test_masks_are_those_of_the_predictor(predict, photographs, model):
    done = predict(photographs)
    predictor = Predictor.from_model(model, device="cpu", mirroring=False)
    # PNG, because a JPEG may be decoded at another scale for the network.
    expected = predictor.predict(np.asarray(Image.open(photographs / "b.png")))
    found = np.asarray(Image.open(done.folder / "b.png")) // 255
    assert (found != expected).mean() <= 1e-3


def test_overlays_probabilities_and_statistics_lie_beside_the_masks(predict, photographs):
    done = predict(photographs, overlays=True, probabilities=True, statistics=True)
    assert Image.open(done.folder / "overlays/clinic/c.jpg").format == "JPEG"
    probabilities = np.load(done.folder / "probabilities/a.npz")["probabilities"]
    assert probabilities.shape == (2, 1, 64, 64)
    with (done.folder / "statistics.csv").open(newline="") as file:
        rows = {row["mask"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"a.png", "b.png", "clinic/c.png"}
    area = np.count_nonzero(np.asarray(Image.open(done.folder / "a.png")))
    assert int(float(rows["a.png"]["area_px"])) == area
    assert rows["a.png"]["area_mm2"] == ""


def test_a_second_run_writes_only_what_is_missing(predict, photographs):
    folder = predict(photographs, statistics=True).folder
    (folder / "a.png").unlink()
    before = (folder / "b.png").stat().st_mtime_ns
    done = predict(photographs, statistics=True)
    assert (done.n_images, done.n_written) == (3, 1)
    assert (folder / "b.png").stat().st_mtime_ns == before
    assert len(json.loads((folder / "statistics.json").read_text())["rows"]) == 3
    assert predict(photographs, statistics=True, overlays=True).n_written == 3


def test_an_interrupted_run_keeps_whole_files_and_continues(predict, photographs, monkeypatch):
    class StoppedError(Exception):
        pass

    def stop(outcome, count):
        raise StoppedError

    rng = np.random.default_rng(1)
    for number in range(40):
        pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photographs / f"d{number}.png")
    with monkeypatch.context() as patch:
        patch.setattr(run, "_note", stop)
        with pytest.raises(StoppedError):
            predict(photographs)
    written = list((photographs.parent / "out").rglob("*.png"))
    assert all(np.asarray(Image.open(file)).size for file in written)
    done = predict(photographs)
    assert done.n_images == 43
    assert done.n_written == 43 - len(written) < 43
    assert len(list((photographs.parent / "out").rglob("*.png"))) == 43


def test_one_damaged_image_costs_only_itself(predict, photographs):
    (photographs / "damaged.jpg").write_bytes((photographs / "a.jpg").read_bytes()[:200])
    done = predict(photographs)
    assert done.n_written == 3
    ((file, reason),) = done.failures.items()
    assert file.endswith("damaged.jpg")
    assert "damaged.jpg" in reason
    assert not (done.folder / "damaged.png").exists()


def test_shares_are_disjoint_and_complete(predict, photographs):
    done = [predict(photographs, part=(share, 2), statistics=True) for share in (1, 2)]
    assert sorted(share.n_images for share in done) == [1, 2]
    assert all(share.n_written == share.n_images for share in done)
    folder = photographs.parent / "out"
    assert len(list(folder.rglob("*.png"))) == 3
    assert len(json.loads((folder / "statistics.json").read_text())["rows"]) == 3


@pytest.mark.parametrize("change", ["mirroring", "weights"])
def test_masks_of_another_prediction_are_not_mixed(
    predict, photographs, trained, tmp_path, change, photograph_conversion
):
    predict(photographs)
    other = {"mirroring": True}
    if change == "weights":
        other = {
            "source": pack_model(
                trained("nnUNetTrainerUltraLBM"), tmp_path / "other.zip", conversion=photograph_conversion
            )
        }
    with pytest.raises(FileExistsError, match=r"holds masks of another prediction .*choose another `output`"):
        predict(photographs, **other)


def test_the_record_tells_the_data_set_and_one_that_does_not_is_continued(predict, photographs):
    folder = predict(photographs).folder
    record = json.loads((folder / RECORD_FILE).read_text())
    assert record.pop("dataset").startswith("Dataset")
    (folder / RECORD_FILE).write_text(json.dumps(record))
    assert predict(photographs).n_written == 0


def test_a_folder_with_other_files_is_refused_and_left_alone(predict, photographs, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"other is not empty, it holds a\.png, and no"):
        predict(photographs, output=other)
    assert (other / "a.png").read_bytes() == b"mine"
    assert sorted(path.name for path in other.iterdir()) == ["a.png"]


@pytest.mark.parametrize("output", ["photographs", "photographs/masks"])
def test_an_output_among_the_images_is_refused(predict, photographs, tmp_path, output):
    with pytest.raises(InvalidDatasetError, match="output"):
        predict(photographs, output=tmp_path / output)
    assert not (tmp_path / output / RECORD_FILE).exists()


def test_nothing_readable_is_told(predict, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "notes.txt").touch()
    with pytest.raises(InvalidDatasetError, match=r"no image that this model can read: there is 1 \.txt"):
        predict(folder)


def test_partial_files_of_a_killed_run_are_removed(predict, photographs):
    folder = predict(photographs, overlays=True).folder
    for place in ("", "clinic", "overlays", "overlays/clinic"):
        (folder / place / ".partial-123-a.png").touch()
    predict(photographs, overlays=True)
    assert not list(folder.rglob(".partial-*"))


def test_a_run_leaves_no_lock_behind(predict, photographs):
    folder = predict(photographs, part=(1, 2)).folder
    predict(photographs)
    assert {path.name for path in folder.glob(".*")} == {SOURCES_FILE}


def test_whole_runs_and_parts_do_not_write_side_by_side(predict, photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "_LONGEST_BEGINNING", 0.0)
    refusal = "another process is writing there"
    with one_of_writers(tmp_path / "out", "part-1-of-2"):
        with pytest.raises(FileExistsError, match=refusal):
            predict(photographs)
        with pytest.raises(FileExistsError, match=refusal):
            predict(photographs, part=(1, 2))
        predict(photographs, part=(2, 2))
    with only_writer(tmp_path / "out"), pytest.raises(FileExistsError, match=refusal):
        predict(photographs, part=(1, 2))


def test_parts_with_other_options_at_the_same_time_do_not_both_begin(predict, photographs, monkeypatch):
    begin, inside, others = run.continue_or_begin, [], []

    def begin_among_others(folder, record):
        # While one part looks for a record and writes its own, another begins.
        if not inside:
            inside.append(folder)
            others.append(threading.Thread(target=begin_another))
            others[0].start()
            time.sleep(0.2)
        begin(folder, record)

    failures = []

    def begin_another():
        try:
            predict(photographs, part=(2, 2), mirroring=True)
        except FileExistsError as error:
            failures.append(str(error))

    monkeypatch.setattr(run, "continue_or_begin", begin_among_others)
    assert predict(photographs, part=(1, 2)).n_written
    others[0].join()
    (failure,) = failures
    assert "holds masks of another prediction (mirroring: it has False, this run True)" in failure


def test_a_share_without_images_leaves_no_trace(predict, photographs, tmp_path):
    done = predict(photographs, part=(200, 300))
    assert (done.n_images, done.n_in_all) == (0, 3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("folder", "options", "text"),
    [
        ("a.png", {}, "would write the mask a.png and the mask a.png/c.png"),
        ("a.jpg", {"overlays": True}, "would write the overlay overlays/a.jpg and the overlay overlays/a.jpg/c.jpg"),
        ("a.npz", {"probabilities": True}, "would write the file of probabilities probabilities/a.npz and"),
    ],
)
def test_an_image_beside_a_folder_that_is_called_as_its_files_is_told(predict, photographs, folder, options, text):
    (photographs / "a.jpg").rename(photographs / "a.bmp")
    (photographs / "clinic").rename(photographs / folder)
    with pytest.raises(InvalidDatasetError, match=text):
        predict(photographs, **options)
    if options:
        assert predict(photographs).n_written == 3


def test_a_folder_that_appears_in_the_place_of_a_mask_costs_only_its_image(predict, photographs, tmp_path, monkeypatch):
    begin = run.continue_or_begin

    def begin_late(folder, record):
        begin(folder, record)
        (folder / "b.png").mkdir()
        (folder / "clinic").touch()

    monkeypatch.setattr(run, "continue_or_begin", begin_late)
    done = predict(photographs)
    assert done.n_written == 1
    assert len(done.failures) == 2


def test_the_report_tells_what_was_done(predict, photographs, model):
    (photographs / "damaged.jpg").write_bytes(b"no image")
    done = predict(photographs)
    report = done.report(Predictor.from_model(model, device="cpu").model)
    assert (report["images"], report["written_by_this_run"]) == (4, 3)
    assert report["failures"][0]["image"].endswith("damaged.jpg")
    assert report["versions"]["nnunetv2"]
    assert json.loads(json.dumps(report)) == report


def test_a_full_disk_ends_the_run_and_leaves_whole_files(predict, photographs, monkeypatch):
    from nnunet_mamba.prediction import outputs

    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "write_masks_on_source", refuse)
    with pytest.raises(OSError, match="No space left"):
        predict(photographs)
    assert not list((photographs.parent / "out").rglob("*.png"))


def test_a_grey_picture_is_refused_unless_it_is_forced(predict, photographs, tmp_path):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 30), dtype=np.uint8)).save(photographs / "grey.png")
    done = predict(photographs)
    ((_, reason),) = done.failures.items()
    assert reason.endswith("`force=True` predicts it in spite of that")
    assert predict(photographs, force=True, output=tmp_path / "forced").n_written == 4


def test_masks_do_not_get_among_overlays(predict, photographs):
    (photographs / "clinic").rename(photographs / "overlays")
    with pytest.raises(InvalidDatasetError, match="its mask would lie in overlays/, where the overlays are written"):
        predict(photographs, overlays=True)
    assert predict(photographs).n_written == 3


@pytest.mark.parametrize("change", ["other pixels", "an empty mask"])
def test_what_an_earlier_run_left_of_another_image_is_predicted_again(predict, photographs, change):
    folder = predict(photographs).folder
    before = (folder / "b.png").read_bytes()
    if change == "other pixels":
        pixels = np.random.default_rng(7).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photographs / "b.png")
    else:
        (folder / "b.png").write_bytes(b"")
    done = predict(photographs)
    assert done.n_written == 1
    assert ((folder / "b.png").read_bytes() == before) == (change == "an empty mask")


def test_what_a_killed_process_told_in_part_is_left_out(predict, photographs):
    folder = predict(photographs).folder
    file = folder / SOURCES_FILE
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines)[: -len(lines[-1]) // 2])
    assert predict(photographs).n_written == 1
    assert predict(photographs).n_written == 0


def test_images_in_an_archive_are_done_once(predict, photographs, tmp_path):
    archive = tmp_path / "photographs.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(photographs / "a.jpg", "a.jpg")
    done = predict(archive, statistics=True)
    assert done.n_written == 1
    rows = json.loads((done.folder / "statistics.json").read_text())["rows"]
    assert rows[0]["image"].endswith("photographs.zip/a.jpg")
    assert predict(archive, statistics=True).n_written == 0


def test_an_archive_among_the_matches_of_a_pattern_is_no_failed_image(predict, photographs):
    with zipfile.ZipFile(photographs / "more.zip", "w") as file:
        file.write(photographs / "a.jpg", "d.jpg")
    done = predict(f"{photographs}/*")
    assert (done.n_written, dict(done.failures)) == (4, {})
    assert (done.folder / "d.png").is_file()


def test_a_pattern_does_not_find_the_overlays_of_an_earlier_run(predict, photographs, tmp_path):
    pattern = str(photographs / "**" / "*.jpg")
    output = photographs / "masks"
    assert predict(pattern, output=output, overlays=True).n_written == 2
    assert predict(pattern, output=output, overlays=True).n_images == 2


def test_a_name_as_long_as_file_systems_take_gets_its_mask(predict, photographs):
    name = f"{'n' * 251}.jpg"
    (photographs / "a.jpg").rename(photographs / name)
    done = predict(photographs)
    assert (done.n_written, dict(done.failures)) == (3, {})
    assert (done.folder / f"{'n' * 251}.png").is_file()


def test_an_overlay_whose_name_is_too_long_costs_only_its_image(predict, photographs, monkeypatch):
    from nnunet_mamba.prediction import outputs

    right = outputs.write_masks_on_source

    def write(label, case, image, **options):
        if case.identifier == "a":
            raise OSError(errno.ENAMETOOLONG, "File name too long")
        return right(label, case, image, **options)

    monkeypatch.setattr(outputs, "write_masks_on_source", write)
    done = predict(photographs)
    assert done.n_written == 2
    assert list(done.failures.values()) == [f"{photographs / 'a.jpg'}: [Errno 36] File name too long"]


def test_folders_that_look_partial_are_left_alone(predict, photographs):
    folder = predict(photographs).folder
    (folder / ".partial-unpacked-1").mkdir()
    assert predict(photographs).n_written == 0
    assert (folder / ".partial-unpacked-1").is_dir()
