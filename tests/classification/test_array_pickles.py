import builtins
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from cifar_pickles import array, dictionary, number, numbers, text, texts

from nnunet_mamba.classification.array_pickles import read_array_pickle

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)
RECONSTRUCT, DTYPE = b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n"


@pytest.fixture
def read(tmp_path):
    def read(content):
        (tmp_path / "batch").write_bytes(content)
        return read_array_pickle(tmp_path / "batch")

    return read


def test_arrays_that_are_stored_column_by_column_are_read(read):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    found = read(pickle.dumps({"data": np.asfortranarray(pixels)}, 2))
    assert np.array_equal(found["data"], pixels)


def test_what_python_2_wrote_is_read(read):
    content = {"data": array(PIXELS), "labels": numbers([0, 7, 300]), "names": texts(["frog", "ship"]), "n": number(5)}
    found = read(dictionary(content))
    assert found.keys() == {"data", "labels", "names", "n"}
    assert np.array_equal(found["data"], PIXELS)
    assert (found["labels"], found["names"], found["n"]) == ([0, 7, 300], [b"frog", b"ship"], 5)
    # It is the same that Python's own reading gives.
    own = pickle.loads(dictionary(content), encoding="bytes")
    assert np.array_equal(own[b"data"], found["data"])
    assert own[b"labels"] == found["labels"]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_python_3_writes_is_read(read, protocol):
    found = read(pickle.dumps({b"data": PIXELS, "labels": [1, 2, 3]}, protocol))
    assert np.array_equal(found["data"], PIXELS)
    assert found["labels"] == [1, 2, 3]


class Call:
    """Makes a pickle that calls a function with arguments when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("function", [os.system, builtins.eval, builtins.getattr, Path])
def test_code_is_not_run(read, tmp_path, protocol, function):
    mark = tmp_path / "ran"
    argument = f"touch {mark}" if function is os.system else f"__import__('pathlib').Path({str(mark)!r}).touch()"
    with pytest.raises(ValueError, match="could run code"):
        read(pickle.dumps({"data": Call(function, argument)}, protocol))
    assert not mark.exists()


@pytest.mark.parametrize(
    "instructions",
    [
        b"(S'touch ran'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nU\x09touch rano.",  # OBJ
        b"cos\nsystem\nU\x09touch ran\x85R.",
        b"\x80\x02cnumpy\nload\nU\x03ran\x85R.",
        b"\x80\x02cnumpy.core.multiarray\nfromfile\nU\x03ran\x85R.",
        b"\x80\x02c__builtin__\neval\nU\x011\x85R.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0ecore.os.system\x93.",
        b"\x80\x02\x82\x01.",  # EXT1
        b"Pname\n.",  # PERSID
        b"\x80\x02cnumpy\nndarray\n)\x81.",  # NEWOBJ
    ],
)
def test_instructions_that_could_run_code_are_refused(read, tmp_path, monkeypatch, instructions):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="could run code"):
        read(instructions)
    assert {path.name for path in tmp_path.iterdir()} == {"batch"}


@pytest.mark.parametrize(
    "value",
    [
        # Attributes of what stands for numpy's functions, and of its classes.
        RECONSTRUCT + b"}U\x08__code__Nsb",
        RECONSTRUCT + b"N}U\x08__call__Ns\x86b",
        b"cnumpy\nndarray\n}U\x01xNsb",
        # An array of objects, of another type, of a length that it does not have, and one that says nothing.
        array(PIXELS, code="O8"),
        array(PIXELS, code="f4"),
        array(PIXELS, shape=(3, 5)),
        array(PIXELS, shape=(3, 60000)),
        RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R",
        RECONSTRUCT + DTYPE + b"K\x00\x85U\x01b\x87R",
        DTYPE + b"U\x02u1K\x00K\x01\x87R(K\x03U\x01|U\x01aNNK\x00K\x00K\x00tb",
        # A call of what is no function.
        number(5) + b"\x85R",
    ],
)
def test_what_is_no_array_of_bytes_is_refused_and_leaves_no_trace(read, value):
    with pytest.raises(ValueError, match="batch"):
        read(dictionary({"data": value}))
    assert np.array_equal(read(dictionary({"data": array(PIXELS)}))["data"], PIXELS)


def test_little_content_cannot_take_much_memory(read):
    with pytest.raises(ValueError, match="it remembers entry 2000000000"):
        read(b"\x80\x02}r" + (2_000_000_000).to_bytes(4, "little") + b".")
    with pytest.raises(ValueError, match="not a whole file"):
        read(b"\x80\x02}U\x04dataT\xff\xff\xff\x7fabcs.")
    with pytest.raises(ValueError, match="it has more than 1000000 instructions"):
        read(b"\x80\x02" + b"]" * 1_100_000)
    # A hundred thousand letters, encoded again and again.
    once = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
    copies = b"\x80\x02}X\xa0\x86\x01\x00" + b"a" * 100_000 + b"q\x00" + once * 20 + b"."
    with pytest.raises(ValueError, match="it copies its texts"):
        read(copies)


def keyed_by(key):
    return b"\x80\x02}" + key + b"Ns."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (keyed_by(b")" + b"\x85" * 400_000), "three within each other"),
        (keyed_by(b")" + b"2\x86" * 60), "DUP"),
        (keyed_by(b")q\x00h\x00\x86" + b"q\x00h\x00\x86" * 60), "three within each other"),
        (keyed_by(b")\x85"), "keys that are no texts"),
        (b"\x80\x02}(" + text("a") + b"N)Nu.", "keys that are no texts"),
        (dictionary({"a": b"(" + b"K\x01" * 200_000 + b"t"}), "tuples of more than 9 entries"),
        (dictionary({"a": DTYPE + text("x" * 100_000) + b"\x85R"}), "numpy's type bytes, expected"),
    ],
)
def test_keys_tuples_and_names_are_small(read, content, message):
    """What is hashed or told may not be so deep that it fails outside of Python, nor so long that it fills a screen."""
    with pytest.raises(ValueError, match=message) as refused:
        read(content)
    assert len(str(refused.value)) < 500


def test_the_way_out_depends_on_what_is_wrong(read):
    with pytest.raises(ValueError, match=r"it asks for posix.system.* nothing in it was run; remove it, and download"):
        read(pickle.dumps({"data": Call(os.system, "true")}, 2))
    with pytest.raises(ValueError, match="unpack the archive again"):
        read(dictionary({"data": array(PIXELS)})[:-20])


@pytest.mark.parametrize("n_bytes", [0, 1, 30, 120])
def test_a_file_that_was_cut_is_told(read, n_bytes):
    with pytest.raises(ValueError, match=r"batch: not a whole file of CIFAR .*unpack the archive again"):
        read(dictionary({"data": array(PIXELS), "labels": numbers([1])})[:n_bytes])


def test_what_is_no_dictionary_with_names_is_refused(read):
    with pytest.raises(ValueError, match="holds no dictionary with names"):
        read(b"\x80\x02" + numbers([1]) + b".")
    with pytest.raises(ValueError, match="keys that are no texts"):
        read(b"\x80\x02}" + number(1) + text("a") + b"s.")
