"""The page on the house: its picture is drawn from the code as it is, and every module that it names is there."""

import importlib
import random
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def generator():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        yield importlib.import_module("generate_architecture")


@pytest.fixture
def house(generator):
    """A house of made-up packages: imports, and lines of each."""

    def build(imports):
        packages = [
            generator.Package(name=name, floor=floor, rooms={}, n_lines=1000, is_heavy=False)
            for name, floor in generator.floors(imports).items()
        ]
        shown = generator.direct_imports(imports)
        generator.place(packages, shown)
        return packages, generator.trunks_of(packages, shown)

    return build


def test_the_picture_is_drawn_from_the_code_as_it_is(generator):
    committed = generator.PICTURE.read_text(encoding="utf-8")
    assert committed == generator.architecture_svg(), "run: python docs/generate_architecture.py"


def test_the_page_shows_the_picture(generator):
    target = re.search(r"!\[[^\]]{20,}\]\((\S+)\)\n", PAGE)[1]
    assert (ROOT / "docs/explanation" / target).resolve() == generator.PICTURE


def test_every_module_that_the_page_names_is_there():
    modules = re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE)
    assert len(modules) > 30
    missing = [name for name in modules if not (ROOT / name).is_file() and not (ROOT / "nnunet_mamba" / name).is_file()]
    assert not missing


def test_nothing_in_the_picture_overlaps_or_is_cut(generator):
    svg = ElementTree.parse(generator.PICTURE).getroot()
    width, height = float(svg.get("width")), float(svg.get("height"))
    boxes = [
        tuple(float(box.get(name)) for name in ("x", "y", "width", "height"))
        for box in svg.iter(f"{SVG}rect")
        if box.get("class") == "package"
    ]
    for x, y, w, h in boxes:
        assert 0 < x < x + w < width
        assert 0 < y < y + h < height
    for place, (x, y, w, h) in enumerate(boxes):
        for other_x, other_y, other_w, other_h in boxes[place + 1 :]:
            assert x + w < other_x or other_x + other_w < x or y + h < other_y or other_y + other_h < y
    lines = [
        (float(text.get("x")), float(text.get("y")), text.text, text.get("class")) for text in svg.iter(f"{SVG}text")
    ]
    for x, y, words, kind in lines:
        # The widest letters of common fonts are about as wide as 0.66 of their size on average.
        half = len(words) * (19 if kind == "name" else 15) * 0.66 / 2
        assert any(left <= x - half and x + half <= left + w and top < y < top + h for left, top, w, h in boxes), words
    for x, y, words, _ in lines:
        closest = min((abs(y - other) for other_x, other, _, _ in lines if other_x == x and other != y), default=99)
        assert closest >= 15, f"{words} at {y}"


def test_a_package_is_below_all_that_import_it(generator):
    imports = {"a": {"b", "d"}, "b": {"c"}, "c": {"d"}, "d": set(), "e": {"d"}}
    assert generator.floors(imports) == {"a": 0, "b": 1, "c": 2, "d": 3, "e": 0}


def test_an_arrow_that_others_make_up_is_left_out(generator):
    imports = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": set()}
    assert generator.direct_imports(imports) == {"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": set()}


def test_every_arrow_leads_from_its_package_into_its_target(generator, house):
    packages, trunks = house({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "e": {"d"}, "d": set()})

    assert {(source.name, trunk.target.name) for trunk in trunks for source, _ in trunk.ports} == {
        *(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("e", "d")),
    }
    for trunk in trunks:
        assert (trunk.gutter is None) == (trunk.target.name != "d"), "e is two floors above d"
        for source, x in trunk.ports:
            assert source.left < x < source.left + generator.WIDTH
    columns = {(package.floor, package.column) for package in packages}
    assert len(columns) == len(packages)


def _made_up_imports(seed):
    chance = random.Random(seed)
    names = "abcdefghijklmno"
    return {
        name: {below for below in names[number:] if chance.random() < 0.2} for number, name in enumerate(names, start=1)
    }


@pytest.mark.parametrize("seed", [None, *range(8)])
def test_arrows_keep_off_boxes_and_off_each_other(generator, house, seed):
    """In the house as it is, and in made-up ones."""
    if seed is None:
        packages, shown = generator.read_packages()
        generator.place(packages, shown)
        trunks = generator.trunks_of(packages, shown)
    else:
        packages, trunks = house(_made_up_imports(seed))
    picture = generator.Picture(packages, trunks)
    ways = [(trunk, segment) for trunk in trunks for segment in picture.segments(trunk)]
    for trunk, (left, top, right, bottom) in ways:
        for box in packages:
            is_beside = right <= box.left or left >= box.left + generator.WIDTH
            assert is_beside or bottom <= box.top or top >= box.bottom, f"{trunk.target.name} through {box.name}"
        for other, (other_left, other_top, other_right, other_bottom) in ways:
            if trunk is not other and left == right == other_left == other_right:
                assert bottom <= other_top or other_bottom <= top, f"{trunk.target.name} on {other.target.name}"
            if trunk is not other and top == bottom == other_top == other_bottom:
                assert right < other_left or other_right < left, f"{trunk.target.name} on {other.target.name}"


def test_small_changes_of_the_code_leave_the_picture_alone(generator):
    assert generator.rounded(2510) == generator.rounded(2530) == 2500
    assert [generator.rounded(lines) for lines in (3, 149, 151, 980, 1249, 1251)] == [100, 100, 200, 1000, 1000, 1500]
