import ctypes

import numba
import pytest

from nnunet_mamba.ops.cpu_kernels.kernel_compiler import compiled_kernel


@pytest.fixture(autouse=True)
def _cache_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))


def test_a_kernel_is_a_c_function_of_one_address():
    numbers = (ctypes.c_float * 2)(21, 0)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(compiled_kernel(_store_answer).address)(ctypes.addressof(numbers))
    assert numbers[1] == 42


def _store_answer(address):
    numbers = numba.carray(address, 2, numba.float32)
    numbers[1] = numbers[0] * 2


def test_a_kernel_is_compiled_once():
    assert compiled_kernel(_store_answer) is compiled_kernel(_store_answer)


def test_a_failing_compiler_says_what_to_do():
    def kernel(address):
        return address.no_such_attribute

    with pytest.raises(
        RuntimeError, match=r"(?s)cannot compile \w+ of \w+; .*NNUNET_MAMBA_SCAN=reference.*no_such_attr"
    ):
        compiled_kernel(kernel)
