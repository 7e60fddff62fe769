import pytest

from nnunet_mamba.data.formats.picture_sizes import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [("256", (256, 256)), ("192x256", (192, 256)), ("192X256", (192, 256)), ("original", None), ("Original", None)],
)
def test_size_is_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "256x", "x256", "256x0", "1x2x3", "2.5", "huge", "99999"])
def test_size_that_means_nothing_is_refused(text):
    with pytest.raises(ValueError, match="expected 'original', a side such as 256"):
        parse_size(text)


@pytest.mark.parametrize("size", [None, (192, 256)])
def test_its_text_is_read_as_the_same_size(size):
    assert parse_size(size_text(size)) == size
