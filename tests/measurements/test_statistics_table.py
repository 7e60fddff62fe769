import csv
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnunet_mamba.measurements.label_statistics import measure
from nnunet_mamba.measurements.statistics_table import StatisticsTable

LABELS = {"lesion": 1, "hair": 2}


def statistics(size=1):
    """Figures of a lesion of so many pixels, and of hair, of which there is none."""
    label_map = np.zeros((20, 30), np.uint8)
    label_map[3, :size] = 1
    return measure(label_map, labels=LABELS)


def add(folder, *names, size=1):
    table = StatisticsTable(folder)
    for name in names:
        table.add(statistics(size), image=f"{name}.jpg", mask=f"{name}.png")
    return table


def csv_rows(folder):
    with (folder / "statistics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def json_rows(folder):
    return json.loads((folder / "statistics.json").read_text(encoding="utf-8"))["rows"]


def names(folder):
    """The masks in the table, once for each row."""
    rows = json_rows(folder)
    assert [row["mask"] for row in csv_rows(folder)] == [row["mask"] for row in rows]
    return [row["mask"] for row in rows]


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_both_files_have_a_row_for_each_image_and_label(tmp_path):
    add(tmp_path, "b", "a", size=4).write()
    assert visible(tmp_path) == ["statistics.csv", "statistics.json"]
    assert names(tmp_path) == ["a.png", "a.png", "b.png", "b.png"]
    lesion, hair = csv_rows(tmp_path)[:2]
    assert (lesion["image"], lesion["label"], lesion["is_empty"]) == ("a.jpg", "lesion", "false")
    assert (lesion["area_px"], lesion["area_mm2"], lesion["longest_diameter_px"]) == ("4", "", "4.0")
    assert (hair["is_empty"], hair["area_px"], hair["longest_diameter_px"], hair["centroid_x"]) == ("true", "0", "", "")
    lesion, hair = json_rows(tmp_path)[:2]
    assert (lesion["is_empty"], lesion["area_px"], lesion["area_mm2"], lesion["centroid_x"]) == (False, 4, None, 1.5)
    assert (hair["is_empty"], hair["perimeter_px"]) == (True, None)


def test_json_explains_its_columns(tmp_path):
    add(tmp_path, "a").write()
    content = json.loads((tmp_path / "statistics.json").read_text())
    assert content["columns"].keys() == content["rows"][0].keys() == csv_rows(tmp_path)[0].keys()
    assert all(content["columns"].values())


def test_what_an_earlier_run_wrote_is_kept_and_not_doubled(tmp_path):
    add(tmp_path, "a", "b").write()
    table = StatisticsTable(tmp_path)
    assert "a.png" in table
    assert "c.png" not in table
    table.add(statistics(), image="c.jpg", mask="c.png")
    table.write()
    assert names(tmp_path) == [f"{name}.png" for name in "aabbcc"]


def test_an_image_that_is_done_again_takes_the_place_of_its_rows(tmp_path):
    add(tmp_path, "a", "b").write()
    add(tmp_path, "a", size=7).write()
    assert names(tmp_path) == [f"{name}.png" for name in "aabb"]
    assert [row["area_px"] for row in json_rows(tmp_path)] == [7, 0, 1, 0]


def _add_and_die(folder: Path) -> None:
    add(folder, "a", "b")
    os._exit(9)


def test_a_killed_process_loses_no_row(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_add_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    table = StatisticsTable(tmp_path)
    assert "a.png" in table
    table.write()
    assert names(tmp_path) == [f"{name}.png" for name in "aabb"]


@pytest.mark.parametrize("n_bytes", [1, 40, 100])
def test_a_line_that_was_not_finished_costs_only_its_image(tmp_path, n_bytes):
    add(tmp_path, "a", "b")
    unwritten = tmp_path / ".statistics.jsonl"
    unwritten.write_bytes(unwritten.read_bytes()[:-n_bytes])
    table = StatisticsTable(tmp_path)
    assert "a.png" in table
    # Without its end of line alone, the last line is whole.
    assert ("b.png" in table) == (n_bytes == 1)
    table.add(statistics(), image="c.jpg", mask="c.png")
    table.write()
    assert names(tmp_path) == [f"{name}.png" for name in ("aabbcc" if n_bytes == 1 else "aacc")]


@pytest.mark.parametrize("n_files", [0, 1])
def test_a_process_that_dies_while_it_writes_leaves_whole_files_and_the_next_one_both(tmp_path, monkeypatch, n_files):
    add(tmp_path, "a").write()
    table = add(tmp_path, "b")
    replaced = []

    def die(self, target):
        if len(replaced) == n_files:
            raise KeyboardInterrupt
        replaced.append(target)
        return os.replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            table.write()
    assert len(csv_rows(tmp_path)) == (2 if n_files == 0 else 4)
    assert len(json_rows(tmp_path)) == 2
    StatisticsTable(tmp_path).write()
    assert names(tmp_path) == [f"{name}.png" for name in "aabb"]
    assert visible(tmp_path) == ["statistics.csv", "statistics.json"]


def test_an_image_costs_its_own_rows_however_many_there_are(tmp_path):
    table = StatisticsTable(tmp_path)
    sizes = []
    for index in range(40):
        table.add(statistics(), image="a.jpg", mask=f"{index:04d}.png")
        sizes.append((tmp_path / ".statistics.jsonl").stat().st_size)
    assert len(set(np.diff(sizes))) == 1
    assert not (tmp_path / "statistics.csv").exists()


def _add_part(folder: Path, part: int) -> None:
    table = StatisticsTable(folder)
    for index in range(10):
        table.add(statistics(), image="a.jpg", mask=f"{part}/{index}.png")
        if index % 4 == 3:
            table.write()
    table.write()


def test_processes_that_share_a_folder_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_part, args=(tmp_path, part)) for part in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert names(tmp_path) == [f"{part}/{index}.png" for part in range(3) for index in range(10) for _ in LABELS]
    assert visible(tmp_path) == ["statistics.csv", "statistics.json"]


@pytest.mark.parametrize("sign", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1"])
def test_names_are_no_formulas(tmp_path, sign):
    table = StatisticsTable(tmp_path)
    figures = [replace(each, label=sign) for each in statistics()[:1]]
    table.add(figures, image=f"{sign}.jpg", mask=f"{sign}.png")
    table.write()
    (row,) = csv_rows(tmp_path)
    assert (row["image"], row["mask"], row["label"]) == (f"./{sign}.jpg", f"./{sign}.png", f"'{sign}")
    (row,) = json_rows(tmp_path)
    assert (row["image"], row["mask"], row["label"]) == (f"{sign}.jpg", f"{sign}.png", sign)


def test_a_name_with_semicolons_stays_one_cell(tmp_path):
    table = StatisticsTable(tmp_path)
    table.add(statistics(), image='a;=1,"b"\n.jpg', mask="a;=1.png")
    table.write()
    assert csv_rows(tmp_path)[0]["image"] == 'a;=1,"b"\n.jpg'
    assert '"a;=1.png"' in (tmp_path / "statistics.csv").read_text()


def test_names_in_any_encoding_come_back(tmp_path):
    strange = os.fsdecode(b"caf\xe9.png")
    table = StatisticsTable(tmp_path)
    for name in ("müller/läsion.png", strange):
        table.add(statistics(), image=name, mask=name)
    table.write()
    assert "müller/läsion.png" in (tmp_path / "statistics.json").read_text(encoding="utf-8")
    assert set(names_of_json := [row["mask"] for row in json_rows(tmp_path)]) == {"müller/läsion.png", strange}
    assert len(names_of_json) == 4
    assert strange in StatisticsTable(tmp_path)


def test_paths_have_forward_slashes(tmp_path):
    table = StatisticsTable(tmp_path)
    table.add(statistics(), image="a.jpg", mask=Path("sub") / "a.png")
    assert Path("sub/a.png") in table
    table.write()
    assert json_rows(tmp_path)[0]["mask"] == "sub/a.png"


@pytest.mark.parametrize("content", ["[]", "{}", '{"rows": [1]}', '{"rows": [{"image": "a"}]}', "no JSON"])
def test_a_foreign_file_is_refused_before_anything_is_written(tmp_path, content):
    path = tmp_path / "statistics.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"statistics\.json (is no table of statistics|is not JSON|holds a list)"):
        StatisticsTable(tmp_path)
    assert path.read_text() == content


def test_a_table_without_images_has_a_head(tmp_path):
    StatisticsTable(tmp_path / "new").write()
    assert csv_rows(tmp_path / "new") == json_rows(tmp_path / "new") == []
    assert (tmp_path / "new" / "statistics.csv").read_text().startswith('"image","mask"')


def test_writing_again_without_news_touches_nothing(tmp_path):
    table = add(tmp_path, "a")
    table.write()
    before = [(tmp_path / name).stat().st_mtime_ns for name in visible(tmp_path)]
    table.write()
    assert [(tmp_path / name).stat().st_mtime_ns for name in visible(tmp_path)] == before


def test_volumes_have_their_own_columns(tmp_path):
    table = StatisticsTable(tmp_path)
    volume = np.ones((2, 3, 4), np.uint8)
    table.add(measure(volume, labels={"liver": 1}, spacing=(2.0, 1.0, 1.0)), image="a.nii.gz", mask="a.nii.gz")
    table.write()
    (row,) = json_rows(tmp_path)
    assert (row["volume_ml"], row["centroid_z"], row["last_z"]) == (0.048, 0.5, 1)
    assert "area_px" not in row
