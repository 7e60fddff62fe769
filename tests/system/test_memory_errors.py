import errno

import pytest
import torch

from nnunet_mamba.system.memory_errors import is_lack_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("no words"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY"),
        RuntimeError("ptxas fatal   : Memory allocation failure"),
        ImportError("libLLVM.so: failed to map segment from shared object: Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, "anything"),
    ],
    ids=repr,
)
def test_memory_that_is_missing_is_seen_in_all_words(error):
    assert is_lack_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        # Shared memory of a multiprocessor, of which no kernel gets more later.
        RuntimeError("out of resource: shared memory, Required: 140000, Hardware limit: 101376"),
        ImportError("libgomp.so.1: cannot allocate memory in static TLS block"),
        OSError("libgomp.so.1: cannot allocate memory in static TLS block"),
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("out of memory is what this file is called"),
    ],
    ids=repr,
)
def test_other_failures_are_none(error):
    assert not is_lack_of_memory(error, of_workspace=True)


@pytest.mark.parametrize(
    "words",
    [
        "FIND was unable to find an engine to execute this computation",
        "GET was unable to find an engine to execute this computation",
        "Unable to find a valid cuDNN algorithm to run convolution",
    ],
)
def test_a_convolution_without_an_algorithm_lacks_memory_only_where_convolutions_work(words):
    assert is_lack_of_memory(RuntimeError(words), of_workspace=True)
    assert not is_lack_of_memory(RuntimeError(words))
