import csv
import json
import pickle

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.evaluate import evaluate
from nnunet_mamba.system import parallel

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(evaluate)


def save(path, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label.astype(np.uint8)).save(path)


@pytest.fixture
def folders(tmp_path):
    large, small = np.zeros((2, 20, 20), np.uint8)
    large[:10] = 1
    small[0, :4] = 1
    save(tmp_path / "labels" / "large.png", large)
    save(tmp_path / "labels" / "small.png", small)
    save(tmp_path / "predictions" / "large.png", large)
    save(tmp_path / "predictions" / "small.png", np.roll(small, 2, axis=1))
    dataset = {"labels": {"background": 0, "lesion": 1}, "file_ending": ".png", "channel_names": {"0": "R"}}
    (tmp_path / "dataset.json").write_text(json.dumps(dataset))
    return tmp_path


def run(folders, *options):
    arguments = [str(folders / "predictions"), str(folders / "labels"), "--dataset-json", str(folders / "dataset.json")]
    return CliRunner().invoke(app, [*arguments, "--processes", "1", *options])


def test_prints_both_protocols_and_writes_summary_and_table(folders):
    result = run(folders, "--output", str(folders / "scores"))
    assert result.exit_code == 0, result.output
    # Per case: (1 + 0.5) / 2. Pooled: 2 * 202 / (2 * 202 + 2 + 2).
    assert "0.7500" in result.output
    assert f"{404 / 408:.4f}" in result.output
    assert "nnU-Net's protocol" in result.output
    assert "skin papers' protocol" in result.output
    summary = json.loads((folders / "scores" / "summary.json").read_text())
    assert summary["foreground_mean"]["Dice"] == pytest.approx(0.75)
    with (folders / "scores" / "cases.csv").open(newline="") as file:
        assert [(row["identifier"], row["dice"]) for row in csv.DictReader(file)] == [
            ("large", "1.000000"),
            ("small", "0.500000"),
        ]


def test_takes_the_dataset_json_beside_the_labels(folders):
    arguments = [str(folders / "predictions"), str(folders / "labels"), "--processes", "1", "--json"]
    assert json.loads(CliRunner().invoke(app, arguments).stdout)["n_cases"] == 2
    (folders / "dataset.json").unlink()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert str(folders / "dataset.json") in result.output


def test_json_is_all_that_is_printed(folders):
    result = run(folders, "--json")
    scores = json.loads(result.stdout)
    assert scores["n_cases"] == 2
    assert scores["labels"][0]["label"] == "lesion"
    assert scores["labels"][0]["per_case"]["mean_dice"] == pytest.approx(0.75)
    assert scores["labels"][0]["pooled"]["tp"] == 202
    assert (folders / "predictions" / "summary.json").is_file()


def test_region_is_scored_under_its_name(folders):
    dataset = json.loads((folders / "dataset.json").read_text())
    dataset.update(labels={"background": 0, "lesion": [1, 1]}, regions_class_order=[1])
    (folders / "dataset.json").write_text(json.dumps(dataset))
    scores = json.loads(run(folders, "--json").stdout)
    assert [row["label"] for row in scores["labels"]] == ["lesion"]
    assert scores["labels"][0]["per_case"]["mean_dice"] == pytest.approx(0.75)


def test_says_how_empty_references_count(folders):
    save(folders / "labels" / "small.png", np.zeros((20, 20)))
    result = run(folders)
    assert "1 case has it in the prediction only: a Dice of 0, in the mean" in " ".join(result.output.split())
    save(folders / "predictions" / "small.png", np.zeros((20, 20)))
    result = run(folders)
    assert "left out of the mean" in " ".join(result.output.split())


def test_lists_every_missing_prediction(folders):
    for name in ("a", "b"):
        save(folders / "labels" / f"{name}.png", np.ones((20, 20)))
    result = run(folders)
    assert result.exit_code == 1
    assert "2 labels" in result.stderr
    assert "a.png" in result.stderr
    assert "b.png" in result.stderr
    assert result.stderr.endswith("\nScore what is predicted with --allow-missing.\n")
    assert not (folders / "predictions" / "summary.json").exists()
    assert json.loads(run(folders, "--allow-missing", "--json").stdout)["n_cases"] == 2


def test_prediction_without_label_is_an_error(folders):
    save(folders / "predictions" / "extra.png", np.ones((20, 20)))
    for options in ((), ("--allow-missing",)):
        result = run(folders, *options)
        assert result.exit_code == 1
        assert "extra.png" in result.stderr


def test_lists_every_shape_mismatch(folders):
    save(folders / "predictions" / "small.png", np.ones((10, 20)))
    result = run(folders)
    assert result.exit_code == 1
    assert "small.png: prediction is (1, 10, 20), label is (1, 20, 20)" in result.stderr
    assert "large.png" not in result.stderr


def test_values_of_the_source_are_not_scored_as_if_there_were_nothing(folders):
    for folder in ("predictions", "labels"):
        for path in (folders / folder).iterdir():
            save(path, np.asarray(Image.open(path)) * 255)
    result = run(folders)
    assert result.exit_code == 1
    assert "label maps cannot be scored, problems: 4" in result.stderr
    assert "small.png: the label has the values 255, and dataset.json knows 0, 1" in result.stderr
    assert not (folders / "predictions" / "summary.json").exists()


def test_files_that_macos_hides_are_named(folders):
    (folders / "predictions" / "._small.png").write_bytes(b"\0")
    result = run(folders)
    assert result.exit_code == 1
    assert "holds hidden files, ._small.png, as macOS writes" in result.stderr


@pytest.mark.parametrize("missing", ["predictions", "dataset.json"])
def test_missing_input_is_named(folders, missing):
    (folders / missing).rename(folders / "away")
    result = run(folders)
    assert result.exit_code == 1
    assert str(folders / missing) in result.stderr


def test_folder_without_label_maps_is_named(folders):
    for path in (folders / "predictions").iterdir():
        path.unlink()
    result = run(folders)
    assert result.exit_code == 1
    assert "holds no .png file" in result.stderr


def test_a_missing_dataset_json_names_the_option(folders):
    (folders / "dataset.json").unlink()
    arguments = [str(folders / "predictions"), str(folders / "labels")]
    for options, place in (((), folders / "dataset.json"), (("--dataset-json", "nowhere.json"), "nowhere.json")):
        result = CliRunner().invoke(app, [*arguments, *options])
        assert result.exit_code == 1
        assert (
            f"{place} does not exist: name the dataset.json of the data set with --dataset-json FILE" in result.stderr
        )
    result = CliRunner().invoke(app, [*arguments, "--dataset-json", str(folders)])
    assert f"{folders} is a folder: name the dataset.json" in result.stderr


def test_a_mistyped_folder_is_named_before_the_dataset_json(folders):
    arguments = [str(folders / "predictions"), str(folders / "nowhere" / "labels")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: The folder of labels {folders / 'nowhere' / 'labels'} does not exist")


def test_what_is_wrong_in_a_dataset_json_is_one_line(folders):
    dataset = json.loads((folders / "dataset.json").read_text())
    dataset["labels"] = {"Background": 0, "lesion": 1}
    (folders / "dataset.json").write_text(json.dumps(dataset))
    result = run(folders)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f'Error: {folders / "dataset.json"}: "labels" has "Background"')
    assert len(result.stderr.splitlines()) == 1


def test_notes_are_no_part_of_the_result_and_names_are_never_cut(folders):
    name = "a lesion with a name that is longer than the forty columns of a small terminal " * 2
    dataset = json.loads((folders / "dataset.json").read_text())
    dataset["labels"] = {"background": 0, name: 1, "[bold]": 2}
    (folders / "dataset.json").write_text(json.dumps(dataset))
    result = CliRunner().invoke(
        app,
        [str(folders / "predictions"), str(folders / "labels"), "--processes", "1"],
        env={"COLUMNS": "40"},
    )
    assert name.strip() in result.stdout
    assert "[bold]" in result.stdout
    assert "left out of the mean" not in result.stdout
    assert "[bold]: 2 cases have it neither" in result.stderr


def test_distances_are_printed_with_their_convention_tolerance_and_rule(folders):
    result = run(folders, "--distances")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "surface elements, HD95 the larger of the two directions; NSD with a tolerance of 2 pixels" in text
    assert "HD95" in text
    assert "Empty masks: if reference and prediction are both empty, the case has no score" in text
    scores = json.loads(run(folders, "--distances", "--json").stdout)
    # Per case: nothing in the first, two columns in the second.
    assert scores["labels"][0]["per_case"]["mean_hd95"] == pytest.approx(1)
    assert scores["labels"][0]["per_case"]["distance_unit"] == "pixel"


def test_the_convention_of_medpy_and_a_tolerance_measure_by_themselves(folders):
    result = run(folders, "--convention", "medpy")
    text = " ".join(result.stdout.split())
    assert "as medpy and the Synapse papers: border voxels, both directions pooled, in voxels" in text
    assert "NSD at" not in result.stdout
    assert "NSD with a tolerance of 0.5 pixels" in " ".join(run(folders, "--tolerance", "0.5").stdout.split())
    refused = run(folders, "--convention", "monai")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "convention is 'monai', expected one of surface, medpy" in refused.stderr
    refused = run(folders, "--convention", "medpy", "--tolerance", "0.5")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "--tolerance is of NSD, which the convention medpy has not; leave it out" in refused.stderr


def test_all_protocols_are_printed_under_their_names(folders):
    result = run(folders, "--protocols", "--batch-size", "1")
    for name in ("per-case mean", "pooled pixels", "batch-pooled", "Synapse", "ISIC 2018"):
        assert name in result.stdout
    assert "batches of 1 case" in result.stdout
    rows = {row["protocol"]: row for row in json.loads(run(folders, "--protocols", "--json").stdout)["protocols"]}
    assert rows["pooled pixels"]["dice"] == pytest.approx(404 / 408)
    assert rows["ISIC 2018"]["iou"] == pytest.approx(0.5)
    assert rows["Synapse"]["hd95"] is None
    (folders / "order.txt").write_text("large\n")
    refused = run(folders, "--protocols", "--batch-order", str(folders / "order.txt"))
    assert "--batch-order does not fit the 2 cases: small are missing" in refused.stderr


def test_batches_without_protocols_and_orders_that_cannot_be_read_are_refused_before_scoring(folders):
    output = folders / "scores"
    for options, told in (
        (("--batch-size", "4"), "--batch-size means nothing without --protocols; add it"),
        (("--batch-order", "order.txt"), "--batch-order means nothing without --protocols; add it"),
        (("--protocols", "--batch-order", str(folders / "order.txt")), "No such file or directory"),
    ):
        refused = run(folders, *options, "--output", str(output))
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert told in refused.stderr
        assert not output.exists()


def test_masks_in_black_and_white_need_no_dataset_json(folders):
    (folders / "dataset.json").unlink()
    for folder in ("predictions", "labels"):
        for path in (folders / folder).iterdir():
            save(path, np.asarray(Image.open(path)) * 255)
    (folders / "labels" / "small.png").rename(folders / "labels" / "small_segmentation.png")
    arguments = [str(folders / "predictions"), str(folders / "labels"), "--processes", "1", "--json"]
    (row,) = json.loads(CliRunner().invoke(app, arguments).stdout)["labels"]
    assert (row["label"], row["per_case"]["mean_dice"]) == ("foreground", pytest.approx(0.75))


def test_counts_of_nnunet_are_scored_without_labels(folders):
    expected = json.loads(run(folders, "--json").stdout)
    for path in [*(folders / "predictions").glob("*.png"), *(folders / "labels").iterdir()]:
        path.unlink()
    arguments = [str(folders / "predictions"), "--dataset-json", str(folders / "dataset.json"), "--json"]
    assert json.loads(CliRunner().invoke(app, arguments).stdout) == expected
    refused = CliRunner().invoke(app, [*arguments, "--distances"])
    assert refused.exit_code == 1
    assert "name the folder of references after PREDICTIONS" in refused.stderr


@pytest.fixture
def many(folders):
    """So many cases that it is worth starting two processes."""
    for number in range(40):
        label = np.random.default_rng(number).integers(0, 2, (6, 5))
        save(folders / "labels" / f"{number}.png", label)
        save(folders / "predictions" / f"{number}.png", label.T.reshape(6, 5))
    return folders


@pytest.mark.slow
def test_several_processes_count_the_same(many, monkeypatch):
    monkeypatch.setattr("nnunet_mamba.evaluation.folders._POSITIONS_PER_WORKER", 1)
    one, two = (run(many, "--json", "--processes", processes).stdout for processes in "12")
    assert json.loads(one)["n_cases"] == 42
    assert one == two


def test_what_several_processes_are_given_counts_the_same(many, monkeypatch):
    given = []

    def pickled(function, items, *, jobs, **_):
        given.append((len(items), jobs))
        return map(pickle.loads(pickle.dumps(function)), pickle.loads(pickle.dumps(items)))

    one = run(many, "--json", "--processes", "1").stdout
    monkeypatch.setattr(parallel, "map_in_order", pickled)
    assert run(many, "--json", "--processes", "2").stdout == one
    assert given == [(42, 2)]


def test_a_full_memory_names_the_option_that_the_command_has(folders, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr("nnunet_mamba.cli.evaluate.evaluate_folders", full)
    result = run(folders)
    assert result.exit_code == 1
    assert "run the same command again with --processes 1, or on a larger machine" in result.stderr
