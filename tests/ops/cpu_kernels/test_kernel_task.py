import ctypes

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from nnunet_mamba.ops.cpu_kernels.kernel_task import KernelTask, Task, integers, own_copy, task_numbers


class _Task(Task):
    _fields_ = integers("x", "order", "size")


@pytest.fixture
def structure():
    return _Task(size=7)


@pytest.fixture
def task(structure):
    return KernelTask(structure, owner="test")


def test_a_kernel_reads_what_python_wrote(structure):
    structure.next_job, structure.x = 3, -1
    read = np.frombuffer(structure, task_numbers(_Task))[0]
    assert read.dtype.names == ("next_job", "x", "order", "size")
    assert read.item() == (3, -1, 0, 7)


def test_tensors_are_made_contiguous_and_stay_alive(structure, task):
    numbers = torch.arange(6.0).reshape(2, 3)
    task.point(x=numbers.t())
    del numbers
    torch.full((64, 2, 3), -1.0)  # would take the memory of what was let go
    assert list((ctypes.c_float * 6).from_address(structure.x)) == [0, 3, 1, 4, 2, 5]


def test_an_absent_tensor_keeps_zero(structure, task):
    task.point(x=None)
    assert structure.x == 0


@pytest.mark.parametrize(
    ("point", "tensor", "message"),
    [
        ("point", torch.ones(2).double(), "^test: x is torch.float64 on cpu, expected torch.float32 on cpu"),
        ("point", torch.ones(2, device="meta"), "^test: x is torch.float32 on meta, expected torch.float32 on cpu"),
        ("point", torch.arange(2), "^test: x is torch.int64 on cpu, expected torch.float32"),
        ("point_to_integers", torch.ones(2), "^test: x is torch.float32 on cpu, expected torch.int64"),
    ],
)
def test_refuses_another_dtype_or_device(task, point, tensor, message):
    with pytest.raises(TypeError, match=message):
        getattr(task, point)(x=tensor)


@pytest.mark.filterwarnings("ignore:Accessing the data pointer")
def test_refuses_tensors_without_memory(task):
    with FakeTensorMode() as mode, pytest.raises(RuntimeError, match="x is a FakeTensor without memory"):
        task.point(x=mode.from_tensor(torch.ones(2)))


def test_an_own_copy_shares_no_memory_and_is_contiguous():
    whole = torch.arange(6.0).reshape(2, 3)
    part = own_copy(whole[:, :2].t())
    assert part.is_contiguous()
    assert part.untyped_storage().nbytes() == 4 * part.numel()
    assert torch.equal(part, whole[:, :2].t())
