import re
import sys
from pathlib import Path

import pytest

from nnunet_mamba.cli.output.problem_table import print_left_out, print_refusal
from nnunet_mamba.data.problems import InvalidDatasetError, Problem

SOURCE = Path("/data/isic")
NO_MASK = "no mask for this image; add it, or send images without masks to imagesTs with --allow-missing-masks"


def problem(number, text, folder="images"):
    return Problem(f"ISIC_{number:07d}", text, SOURCE / folder / f"ISIC_{number:07d}.jpg")


@pytest.fixture
def shown(capsys, monkeypatch):
    def shown(problems, *, columns=None):
        if columns is not None:
            # A terminal of this width.
            monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
            monkeypatch.setenv("NO_COLOR", "1")
            monkeypatch.setenv("TERM", "xterm")
            monkeypatch.setenv("COLUMNS", str(columns))
        print_refusal(InvalidDatasetError(problems, Path("/raw/Dataset101_ISIC")))
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return shown


def words(text):
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("n_problems", [3, 60])
def test_fits_the_terminal_and_keeps_every_word(shown, columns, n_problems):
    problems = [
        problem(number, f"the mask has {number}x200 pixels, its image 400x300", "masks" if number % 2 else "images")
        for number in range(n_problems)
    ]
    text = shown(problems, columns=columns)
    table = [line for line in text.splitlines() if "│" in line]
    assert max(map(len, table)) <= columns
    for one in problems[:50]:
        assert one.identifier in text
        assert one.text in words(text)
        assert str(one.file.relative_to(SOURCE)) in text


def test_says_first_how_many_there_are_and_last_what_can_be_done(shown):
    lines = shown([problem(1, "a"), problem(2, "b", "masks")]).splitlines()
    assert lines[0] == "Error: 2 problems found, nothing written to /raw/Dataset101_ISIC"
    assert lines[1] == "Files are below /data/isic"
    assert lines[-1] == "Put them right, or leave these cases out with --skip-invalid."


def test_says_nothing_of_options_that_a_command_has_not(capsys):
    print_refusal(InvalidDatasetError([problem(1, "a")], Path("/raw")), is_conversion=False)
    assert "--" not in capsys.readouterr().err


def test_cases_with_the_same_problem_share_a_row(shown):
    text = shown([*(problem(number, NO_MASK) for number in range(45)), problem(50, "the file is empty (0 bytes)")])
    assert words(text).count("no mask for this image") == 1
    assert "ISIC_0000004" in text
    assert "ISIC_0000005" not in text
    assert "and 40 more" in text
    assert "ISIC_0000050" in text
    assert text.endswith("--report problems.csv writes all of them into a table.\n")


def test_a_case_is_named_once_with_all_files_of_its_problem(shown):
    problems = [Problem("scan", "is it of another scan?", SOURCE / name) for name in ("a.tif", "b.tif")]
    text = shown(problems)
    assert text.count("scan") == 2
    assert [line.split("│")[1].strip() for line in text.splitlines() if "│" in line][1:] == ["a.tif", "b.tif"]


def test_more_rows_than_a_terminal_shows_are_counted(shown):
    text = shown([problem(number, f"problem {number}") for number in range(60)])
    assert "ISIC_0000049" in text
    assert "ISIC_0000050" not in text
    assert "and 10 more\n" in text
    assert text.endswith("--report problems.csv writes all of them into a table.\n")


def test_names_may_hold_what_rich_takes_for_markup(shown):
    assert "[bold]x[/bold]" in shown([Problem("[bold]x[/bold]", "a [red]"), Problem("y", "b", Path("[i].png"))])


def test_a_long_identifier_leaves_room_for_the_text(shown):
    lines = shown([Problem("x" * 100, NO_MASK)], columns=80).splitlines()
    table = [line.split("│") for line in lines if "│" in line]
    assert "".join(case.strip() for case, _ in table) == "x" * 100
    assert words(" ".join(text for _, text in table)) == NO_MASK


def test_files_without_a_common_folder_keep_their_paths(shown):
    text = shown([Problem("a", "t", Path("/one/a.png")), Problem("b", "u", Path("two/b.png"))])
    assert "Files are below" not in text
    assert "/one/a.png" in text


def test_lists_what_was_left_out(capsys):
    print_left_out({"a": ("no mask", "the file is empty"), "b": ("no mask",)})
    text = capsys.readouterr().out
    assert text.startswith("left out: 2\n")
    assert words(text).count("no mask") == 1
    assert "the file is empty" in text


@pytest.mark.parametrize("columns", [80, 200])
def test_every_case_has_its_own_file_beside_it_and_nothing_of_another(shown, columns):
    text = re.sub(r"\x1b\[\d+m", "", shown([problem(number, NO_MASK) for number in range(4)], columns=columns))
    rows = [line.split("│") for line in text.splitlines() if "│" in line]
    for number in range(1, 4):
        (beside,) = [right.strip() for left, right in rows if f"ISIC_{number:07d}" in left]
        assert beside == f"the same: ISIC_{number:07d}.jpg"
    # The first case has the text, and its file below it in lines that name no other case.
    first = next(index for index, (left, _) in enumerate(rows) if "ISIC_0000000" in left)
    second = next(index for index, (left, _) in enumerate(rows) if "ISIC_0000001" in left)
    assert rows[second - 1][1].strip() == "ISIC_0000000.jpg"
    assert all(left.strip() == "" for left, _ in rows[first + 1 : second])


def test_names_that_no_terminal_can_show_are_written_out(shown):
    assert "new\\nline\\udcff" in shown([Problem("new\nline\udcff", "a")])


def test_gives_no_advice_that_was_followed(capsys):
    problems = [
        Problem(f"ISIC_{number:07d}", f"problem {number}", advice="leave one out with --skip-invalid")
        for number in range(60)
    ]
    print_left_out({one.identifier: (one.text,) for one in problems}, Path("problems.csv"))
    left_out = capsys.readouterr().out
    assert "--" not in left_out
    assert "All of them are in problems.csv." in left_out
    error = InvalidDatasetError(problems, Path("/raw"), report=Path("problems.csv"), is_nothing_left=True)
    print_refusal(error)
    refusal = capsys.readouterr().err
    assert "problem 0; leave one out with --skip-invalid" in words(refusal)
    assert refusal.endswith(
        "Put them right: --skip-invalid would leave no training case.\nAll of them are in problems.csv.\n"
    )


def test_settings_are_called_as_the_options_of_the_command(capsys):
    problem = Problem("images", "the output lies in this folder; choose another `output`")
    print_refusal(InvalidDatasetError([problem], Path("out")), is_conversion=False)
    told = " ".join(capsys.readouterr().err.split())
    assert "choose another --output" in told
    assert "`" not in told
