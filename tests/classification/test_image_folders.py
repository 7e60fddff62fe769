import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.classification.image_folders import read_class_folders, read_label_table

ISIC = "image_id,melanoma,seborrheic_keratosis\nISIC_1,0.0,0.0\nISIC_2,1.0,0.0\nISIC_3,0.0,1.0\nISIC_4,1.0,0.0\n"


@pytest.fixture
def pictures(tmp_path):
    """Write pictures of noise, and return their folder."""

    def write(*names, folder=tmp_path / "images"):
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)
        return folder

    return write


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "labels.csv").write_text(text)
        return tmp_path / "labels.csv"

    return write


def test_folders_are_classes(pictures):
    folder = pictures("naevus/b.jpg", "naevus/below/c.png", "melanoma/a.PNG", ".hidden/x.png")
    (folder / "empty").mkdir()
    images = read_class_folders(folder)
    assert images.classes == ("melanoma", "naevus")
    assert images.counts() == {"melanoma": 1, "naevus": 2}
    assert {(path.name, label) for path, label in images} == {("a.PNG", 0), ("b.jpg", 1), ("c.png", 1)}


def test_folders_that_leave_the_class_open_are_refused(pictures):
    with pytest.raises(ValueError, match=r"found 1 folder with images, expected at least two"):
        read_class_folders(pictures("naevus/b.jpg"))
    with pytest.raises(ValueError, match=r"holds 1 image beside its folders, the first is a\.png; .*`labels`"):
        read_class_folders(pictures("a.png"))


@pytest.mark.parametrize(
    ("names", "passed"),
    [
        (("train/a/1.png", "train/b/2.png", "Val/a/3.png", "Val/b/4.png"), "train|Val"),
        (("train/a/1.png", "train/b/2.png", "other/3.png"), "train"),
        (("site 1/a/1.png", "site 1/b/2.png", "site 2/a/3.png", "site 2/b/4.png"), "site 1"),
    ],
)
def test_parts_of_a_data_set_are_not_taken_for_classes(pictures, names, passed):
    folder = pictures(*names)
    with pytest.raises(ValueError, match=rf"hold no images but folders .* pass .*images/({passed})$"):
        read_class_folders(folder)
    assert read_class_folders(folder / passed.split("|")[0]).classes == ("a", "b")


def test_folders_of_patients_below_the_classes_are_read(pictures):
    images = read_class_folders(pictures("naevus/p1/1.png", "naevus/p2/2.png", "melanoma/p3/3.png", "test/x/4.png"))
    assert images.counts() == {"melanoma": 1, "naevus": 2, "test": 1}


def test_files_that_are_no_images_are_counted_by_their_endings(pictures, table, caplog):
    folder = pictures("a/1.png", "b/2.png")
    for name in ("a/3.heic", "a/4.HEIC", "b/5.dcm"):
        (folder / name).touch()
    assert len(read_class_folders(folder)) == 2
    assert "left out (1 .dcm, 2 .heic)" in caplog.text
    caplog.clear()
    read_label_table(folder, table("image,dx\n1,nv\n2,mel\n"))
    assert not caplog.text
    with pytest.raises(ValueError, match="does not hold, such as 5"):
        read_label_table(folder, table("image,dx\n1,nv\n2,mel\n5,nv\n"))
    assert "left out (1 .dcm)" in caplog.text


def test_isics_diagnoses_are_read_as_they_come(pictures, table):
    folder = pictures(*(f"part/ISIC_{number}.jpg" for number in (5, 4, 3, 2, 1)))
    images = read_label_table(folder, table(ISIC))
    assert images.classes == ("melanoma", "seborrheic_keratosis", "other")
    assert [(path.stem, images.classes[label]) for path, label in images] == [
        ("ISIC_1", "other"),
        ("ISIC_2", "melanoma"),
        ("ISIC_3", "seborrheic_keratosis"),
        ("ISIC_4", "melanoma"),
    ]


def test_a_column_of_names_is_read(pictures, table):
    folder = pictures("a.png", "b.png", "c.png")
    images = read_label_table(folder, table("image;dx\nb.png;nv\na;mel\nC;nv\n"))
    assert images.classes == ("mel", "nv")
    assert [(path.name, int(label)) for path, label in images] == [("b.png", 1), ("a.png", 0), ("c.png", 1)]


def test_a_column_of_other_images_is_a_class_like_any(pictures, table):
    images = read_label_table(pictures("a.png", "b.png"), table("image,melanoma,other\na,1,0\nb,0,1\n"))
    assert (images.classes, images.labels.tolist()) == (("melanoma", "other"), [0, 1])


def test_numbers_in_a_single_column_are_names(pictures, table):
    images = read_label_table(pictures("a.png", "b.png"), table("image,is_malignant\na,1\nb,0\n"))
    assert (images.classes, images.labels.tolist()) == (("0", "1"), [1, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,a,b\na,1,1\nb,0,1\n", "line 2: a is a and b, expected one class"),
        ("image,dx\na,nv\na.png,mel\n", "line 3: a.png is mel, and another class before"),
        ("image,dx\na,nv\nb,\n", "line 3: no class, expected the image and its class"),
        ("image,dx,age\na,nv,30\n", "line 2: 3 columns, expected the image and its class"),
        ("image,a,other\na,1,0\nb,0,0\n", r"labels\.csv, line 3: b has no 1, not even in the column 'other'"),
        ("image,a,a\na,1,0\nb,0,1\n", r"labels\.csv has several columns 'a', expected one"),
        ("image,dx\na,nv\nb,nv\n", r"labels\.csv: all images are nv, expected at least two classes"),
        ("image,dx\na,nv\nx,mel\n", "names 1 image that .* does not hold, such as x"),
    ],
)
def test_tables_that_leave_the_class_open_are_refused(pictures, table, text, message):
    with pytest.raises(ValueError, match=message):
        read_label_table(pictures("a.png", "b.png"), table(text))


def test_two_images_of_one_name_are_refused(pictures, table):
    with pytest.raises(ValueError, match=r"a\.png and .*a\.jpg have one name in the table|a\.jpg and .*a\.png have"):
        read_label_table(pictures("a.png", "sub/a.jpg"), table("image,dx\na,nv\n"))
