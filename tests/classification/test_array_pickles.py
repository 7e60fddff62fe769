import builtins
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from cifar_pickles import array, dictionary, number, numbers, text, texts

from nnunet_mamba.classification.array_pickles import read_array_pickle

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.fixture
def read(tmp_path):
    def read(content):
        (tmp_path / "batch").write_bytes(content)
        return read_array_pickle(tmp_path / "batch")

    return read


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


RECONSTRUCT, DTYPE = b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n"


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


@pytest.mark.parametrize("n_bytes", [0, 1, 30, 120])
def test_a_file_that_was_cut_is_told(read, n_bytes):
    with pytest.raises(ValueError, match=r"batch: not a whole file of CIFAR .*unpack the archive again"):
        read(dictionary({"data": array(PIXELS), "labels": numbers([1])})[:n_bytes])


def test_what_is_no_dictionary_with_names_is_refused(read):
    for content in (b"\x80\x02" + numbers([1]) + b".", b"\x80\x02}" + number(1) + text("a") + b"s."):
        with pytest.raises(ValueError, match="holds no dictionary with names"):
            read(content)
