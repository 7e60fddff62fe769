from pathlib import Path

import pytest

from nnunet_mamba.data.cases import Case, count_groups
from nnunet_mamba.data.sources.group_table import read_group_table, recorded_groups
from nnunet_mamba.data.splits.case_splits import five_fold

NAMES = ("ISIC_1", "ISIC_2", "ISIC_3", "ISIC_4")


@pytest.fixture
def write(tmp_path):
    def write(text: str, *, encoding: str = "utf-8") -> Path:
        (tmp_path / "metadata.csv").write_bytes(text.encode(encoding))
        return tmp_path / "metadata.csv"

    return write


def cases_of(names=NAMES, *, is_training=True):
    return [
        Case(identifier=name, channels=(Path(f"{name}.jpg"),), mask=Path(f"{name}.png"), is_training=is_training)
        for name in names
    ]


def sets(cases) -> list[list[str]]:
    """Which cases are together, however their groups are called."""
    groups = {case.group or case.identifier for case in cases}
    return sorted([case.identifier for case in cases if (case.group or case.identifier) == one] for one in groups)


def assigned(path, names=NAMES, **options):
    cases, problems = read_group_table(path, **options).assign(cases_of(names))
    assert problems == []
    return sets(cases)


@pytest.mark.parametrize(
    "heading", ["isic_id,lesion_id", "image_id,patient_id", "image_name,group", "image,lesion_id", "Case,Patient_ID"]
)
def test_known_headings_are_found(write, heading):
    path = write(f"{heading}\nISIC_1,a\nISIC_2,b\nISIC_3,a\nISIC_4,b\n")
    assert assigned(path) == [["ISIC_1", "ISIC_3"], ["ISIC_2", "ISIC_4"]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_all_kinds_of_csv_are_read(write, separator, encoding, line_end):
    lines = ["age,image,lesion_id", '50,ISIC_1,"Läsion 1"', "60,ISIC_2,", '70,ISIC_3,"Läsion 1"', "80,ISIC_4,", ""]
    path = write(line_end.join(line.replace(",", separator) for line in lines), encoding=encoding)
    assert assigned(path) == [["ISIC_1", "ISIC_3"], ["ISIC_2"], ["ISIC_4"]]


def test_quoted_cells_may_hold_separators_and_line_ends(write):
    path = write('image,note,lesion_id\nISIC_1,"red, \n raised",a\nISIC_2,,b\nISIC_3,"",a\nISIC_4,x,b\n')
    assert assigned(path) == [["ISIC_1", "ISIC_3"], ["ISIC_2", "ISIC_4"]]


@pytest.mark.parametrize("name", ["ISIC_1", "ISIC_1.jpg", "isic_1.PNG", " ISIC_1 ", "ISIC_1.nii.gz"])
def test_images_are_found_with_their_file_ending_or_without(write, name):
    path = write(f"image,lesion_id\n{name},a\nISIC_2,a\n")
    assert assigned(path, NAMES[:2]) == [["ISIC_1", "ISIC_2"]]


def test_names_of_files_count_too(write):
    table = read_group_table(write("image,lesion_id\np1_photo.jpg,a\np2_photo,a\n"))
    cases = [Case(identifier=n, channels=(Path(f"{n}_photo.jpg"),), mask=Path("m")) for n in ("p1", "p2")]
    assert sets(table.assign(cases)[0]) == [["p1", "p2"]]


def test_patients_win_over_lesions(write):
    path = write("isic_id,lesion_id,patient_id\nISIC_1,a,p\nISIC_2,b,p\nISIC_3,c,q\nISIC_4,d,\n")
    assert assigned(path) == [["ISIC_1", "ISIC_2"], ["ISIC_3"], ["ISIC_4"]]


def test_a_lesion_tells_the_patient_of_an_image_without(write):
    path = write("isic_id,lesion_id,patient_id\nISIC_1,a,\nISIC_2,b,p\nISIC_3,a,p\nISIC_4,c,\n")
    assert assigned(path) == [["ISIC_1", "ISIC_2", "ISIC_3"], ["ISIC_4"]]


def test_a_patient_and_a_lesion_of_the_same_number_differ(write):
    path = write("isic_id,lesion_id,patient_id\nISIC_1,1,\nISIC_2,,1\n")
    assert assigned(path, NAMES[:2]) == [["ISIC_1"], ["ISIC_2"]]


@pytest.mark.parametrize("empty", ["", " ", "NA", "nan", "NULL", "None", "N/A"])
def test_images_without_an_id_are_not_one_group(write, empty):
    path = write(f"image,lesion_id\nISIC_1,{empty}\nISIC_2,{empty}\nISIC_3,a\nISIC_4,a\n")
    assert assigned(path) == [["ISIC_1"], ["ISIC_2"], ["ISIC_3", "ISIC_4"]]


def test_another_column_is_named(write):
    path = write("image,lesion_id,Hospital\nISIC_1,a,x\nISIC_2,a,y\nISIC_3,b,x\nISIC_4,c,\n")
    assert assigned(path, group_column="hospital") == [["ISIC_1", "ISIC_3"], ["ISIC_2"], ["ISIC_4"]]


def test_cases_without_a_row_are_counted_and_the_first_is_named(write):
    path = write("image,lesion_id\nISIC_1,a\nISIC_3,a\n")
    _, problems = read_group_table(path).assign(cases_of())
    assert [problem.identifier for problem in problems] == ["ISIC_2", "ISIC_4"]
    assert "one of 2 training cases without a row in metadata.csv, the first is ISIC_2" in problems[1].text
    assert assigned(path, allow_missing=True) == [["ISIC_1", "ISIC_3"], ["ISIC_2"], ["ISIC_4"]]


def test_test_cases_need_no_row(write):
    table = read_group_table(write("image,lesion_id\nISIC_1,a\nISIC_2,a\n"))
    cases = [*cases_of(NAMES[:2]), *cases_of(NAMES[2:], is_training=False)]
    assert table.assign(cases)[1] == []


@pytest.mark.parametrize("allow_missing", [True, False])
def test_a_table_of_other_images_is_refused_at_once(write, allow_missing):
    table = read_group_table(write("image,lesion_id\nHAM_1,a\n"), allow_missing=allow_missing)
    with pytest.raises(ValueError, match=r"no row for any of 4 training cases, the first is ISIC_1.*image holds ham_1"):
        table.assign(cases_of())


def test_rows_that_contradict_each_other_are_problems(write):
    path = write("image,lesion_id\nISIC_1,a\nISIC_2,a\nISIC_1,b\nISIC_2,a\nISIC_3,a\nISIC_3,\nISIC_4,a\n")
    _, problems = read_group_table(path).assign(cases_of())
    assert [(problem.identifier, problem.file) for problem in problems] == [("ISIC_1", path), ("ISIC_3", path)]
    assert "different groups, lesion_id a (line 2) and lesion_id b (line 4)" in problems[0].text
    assert "lesion_id a (line 6) and none (line 7)" in problems[1].text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with '', expected a heading"),
        ("image\nISIC_1\n", "begins with 'image', expected a heading of at least two columns"),
        ("name,lesion_id\nISIC_1,a\n", "columns name, lesion_id, and none of isic_id, image_id"),
        ("image,age\nISIC_1,50\n", "columns image, age, expected patient_id, lesion_id or group; name the one"),
        ("image,lesion_id\nISIC_1,a\nISIC_2\n", "line 3: 1 columns, expected 2"),
        ("image,lesion_id\n,a\n", "line 2: no image"),
        ('image,lesion_id\nISIC_1,"a\n', "line 2: unexpected end of data; save the table"),
        ("image,lesion_id,patient_id\na,l,p\nb,l,q\n", "line 3: lesion_id l is of patient_id q, and of patient_id p"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_group_table(write(text))


def test_an_unknown_column_is_refused_with_those_that_are_there(write):
    with pytest.raises(ValueError, match="columns image, lesion_id, expected patient;"):
        read_group_table(write("image,lesion_id\nISIC_1,a\n"), group_column="patient")


def test_other_encodings_are_refused(write):
    with pytest.raises(ValueError, match="no text in UTF-8"):
        read_group_table(write("image,lesion_id\nISIC_1,Läsion\n", encoding="latin-1"))


def test_recorded_groups_are_equal_for_equal_groups_whatever_their_names(write):
    def recorded(text):
        return recorded_groups(read_group_table(write(text)).assign(cases_of())[0])

    first = recorded("image,lesion_id\nISIC_1,a\nISIC_2,b\nISIC_3,a\nISIC_4,\n")
    assert first["groups"].startswith("3 groups of 4 cases (")
    assert first == recorded("image,patient_id\nISIC_4,1\nISIC_2,2\nISIC_3,3\nISIC_1,3\n")
    other = recorded("image,lesion_id\nISIC_1,a\nISIC_2,a\nISIC_3,b\nISIC_4,\n")
    assert other["groups"].startswith("3 groups of 4 cases (")
    assert other != first
    assert recorded("image,lesion_id\nISIC_1,a\nISIC_2,b\nISIC_3,c\nISIC_4,\n") == {}


def test_a_split_keeps_the_groups_of_a_table_together(write):
    names = [f"ISIC_{number}" for number in range(40)]
    path = write("image,lesion_id\n" + "".join(f"{name},{index % 13}\n" for index, name in enumerate(names)))
    cases = read_group_table(path).assign(cases_of(names))[0]
    assert count_groups(cases) == 13
    group_of = {case.identifier: case.group for case in cases}
    for fold in five_fold(group_of).folds:
        assert not {group_of[name] for name in fold.train} & {group_of[name] for name in fold.val}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_tables_of_spreadsheets_are_read(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes("image\tpatient_id\nISIC_1\tp1\n".encode(encoding))
    assert read_group_table(tmp_path / "a.csv").groups_of == {"isic_1": {"patient_id p1": 2}}


def test_a_column_that_is_there_twice_is_refused(write):
    with pytest.raises(ValueError, match="the heading has the column patient_id 2 times"):
        read_group_table(write("image,patient_id,Patient_ID\na,1,2\n"))


def test_a_heading_without_rows_is_refused(write):
    with pytest.raises(ValueError, match="a heading and no rows"):
        read_group_table(write("image,patient_id\n"))


def test_pictures_are_no_table(write, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(ValueError, match=r"`groups` .*a\.csv: no text"):
        read_group_table(tmp_path / "a.csv")
