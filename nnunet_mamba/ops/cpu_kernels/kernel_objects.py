"""Machine code of compiled kernels as files, which another process loads without numba's compiler.

Numba's own cache needs the whole compiler to load a function, half a second of imports, and executes the pickles that
it finds. Here a file holds a checksum, a line of JSON, and an object file as LLVM wrote it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite.binding
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys

from nnunet_mamba.system.atomic import replacing

ENDING = ".kernel"
_DIGEST_SIZE = sha256().digest_size


@dataclass(frozen=True)
class LoadedKernel:
    """A kernel as a C function.

    Args:
        address: of ``void kernel(void *task)``.
        owner: what the code lives as long as.
    """

    address: int
    owner: Any


def object_file(folder: Path, kernel: Callable[[Any], None]) -> Path:
    """Return the file of a kernel's machine code.

    Args:
        folder: of one compiler, one CPU and one version of the sources.
        kernel: a function of a module.
    """
    return folder / f"{kernel.__module__}.{kernel.__qualname__}{ENDING}"


def write_object(file: Path, compiled: Any) -> None:
    """Store a compiled kernel, unless its code holds addresses of this process.

    Args:
        file: to create or replace.
        compiled: numba's C function.

    Raises:
        OSError: the file cannot be written.
    """
    library = compiled._library
    if library.has_dynamic_globals:
        return
    module = library._final_module
    used = (*module.functions, *module.global_variables)
    header = {
        "name": compiled.native_name,
        "uses": [one.name for one in used if one.is_declaration and not one.name.startswith("llvm.")],
    }
    content = json.dumps(header).encode() + b"\n" + library._get_compiled_object()
    with replacing(file) as temporary:
        temporary.write_bytes(sha256(content).digest() + content)


def read_object(file: Path) -> LoadedKernel | None:
    """Return a stored kernel; None if there is none, or one that a full disk or a power failure left incomplete."""
    try:
        stored = file.read_bytes()
    except OSError:
        return None
    content = stored[_DIGEST_SIZE:]
    if not content or sha256(content).digest() != stored[:_DIGEST_SIZE]:
        return None
    header, _, code = content.partition(b"\n")
    told = json.loads(header)
    # Tells LLVM of the functions of Python and of numba's runtime that the code may call.
    rtsys.initialize(cpu_target.target_context)
    if not all(map(llvmlite.binding.address_of_symbol, told["uses"])):
        # LLVM would end the process, or the code crash.
        return None
    machine = llvmlite.binding.Target.from_default_triple().create_target_machine(codemodel="jitdefault", jit=True)
    engine = llvmlite.binding.create_mcjit_compiler(llvmlite.binding.parse_assembly(""), machine)
    engine.add_object_file(llvmlite.binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return LoadedKernel(engine.get_function_address(told["name"]), engine)
