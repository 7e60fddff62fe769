import json

import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.writing.conversion_record import RECIPE_FILE, Recipe, read_recipe


@pytest.fixture
def recipe(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.jpg").write_text("image")
    (source / "a.png").write_text("mask")
    case = Case(identifier="a", channels=(source / "a.jpg",), label=source / "a.png")
    return Recipe.of("Dataset101_ISIC", {"size": "256x256"}, [case])


def test_is_the_same_after_writing_and_reading(tmp_path, recipe):
    recipe.write(tmp_path, {"a": {"shape": [20, 30]}})
    stored = read_recipe(tmp_path)
    assert stored == recipe
    assert recipe.differences(stored) == []
    assert json.loads((tmp_path / RECIPE_FILE).read_text())["cases"]["a"] == {
        "part": "training",
        "files": ["a.jpg", "a.png"],
        "bytes": [5, 4],
        "label_folder": 0,
        "source": {"shape": [20, 30]},
    }


def test_tells_the_folder_of_every_label(tmp_path):
    paths = [tmp_path / name for name in ("b/1.png", "a/1.png", "c/1.png")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    cases = [
        Case(identifier="x", channels=(paths[0],), label=paths[1]),
        Case(identifier="y", channels=(paths[0],), label=paths[2]),
        Case(identifier="z", channels=(paths[1],), is_training=False),
    ]
    made = Recipe.of("test", {}, cases)
    made.write(tmp_path, {case.identifier: {} for case in cases})
    for recipe in (made, read_recipe(tmp_path)):
        folders = {name: recipe.sources[index] for name, index in recipe.label_folders.items()}
        assert folders == {"x": str(tmp_path / "a"), "y": str(tmp_path / "c")}


def test_folder_without_recipe(tmp_path):
    assert read_recipe(tmp_path) is None
    assert read_recipe(tmp_path / "missing") is None


def test_notices_a_source_file_of_another_size(tmp_path, recipe):
    (tmp_path / "source" / "a.png").write_text("other mask")
    case = Case(identifier="a", channels=(tmp_path / "source" / "a.jpg",), label=tmp_path / "source" / "a.png")
    changed = Recipe.of("Dataset101_ISIC", {"size": "256x256"}, [case])
    assert changed.differences(recipe) == [
        "cases made from other source files (name, size, or training instead of test): 1, the first is a"
    ]


def test_notices_another_converter_and_an_option_that_the_folder_does_not_know(recipe):
    other = Recipe(converter="Dataset120_PH2", options={**recipe.options, "crop": True}, cases=recipe.cases)
    assert other.differences(recipe) == [
        "converter: the folder has Dataset101_ISIC, this run has Dataset120_PH2",
        "crop: the folder has None, this run has True",
    ]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"converter": 1}', '{"cases": {"a": 1}}'])
def test_damaged_recipe_is_named(tmp_path, content):
    (tmp_path / RECIPE_FILE).write_text(content)
    with pytest.raises(ValueError, match=RECIPE_FILE):
        read_recipe(tmp_path)
