"""Write a trained model as a program that plain PyTorch loads, if it computes what the model computes."""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from nnunet_mamba.export.exported_file import ExportedFile, write_exported
from nnunet_mamba.export.gate import WAY_OUT, UnequalExportError, passed
from nnunet_mamba.export.plain_scan import plain_scan
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.export.tracing import quiet, traced, tracing
from nnunet_mamba.onnx_models.agreement import FloatArray
from nnunet_mamba.onnx_models.session import FACTS

# The entry of the file's extra files that holds the facts, JSON.
FACTS_FILE = f"{FACTS}.json"
# No scan of a larger image has more than ``plain_scan.MOST_TOKENS``.
_LARGEST_SIDE = 4096
# torch's programs take no map of a single pixel, to which the smallest multiple may lead.
_FEWEST_MULTIPLES = 2
# What torch keeps of the source code.
_OF_THE_SOURCE = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "torch_fn")
_PROGRAM, _BATCHES = "program.pt2", "batches.npz"
# Runs a program as those do who have PyTorch alone.
_SCRIPT = f"""
import sys
for name in [name for name in sys.modules if name.split(".")[0] == "nnunet_mamba"]:
    del sys.modules[name]
sys.modules["nnunet_mamba"] = None
import numpy, torch
network = torch.export.load("{_PROGRAM}").module()
with torch.no_grad(), numpy.load("{_BATCHES}") as batches:
    for name, images in batches.items():
        logits, probabilities = network(torch.from_numpy(images))
        numpy.savez(name, logits=logits.numpy(), probabilities=probabilities.numpy())
"""


def exported_program(subject: ExportSubject) -> ExportedProgram:
    """Return networks as a program of torch's own operators that is not checked yet.

    Args:
        subject: what is exported.

    Raises:
        ValueError: torch cannot export them.
    """
    given = traced(subject, largest_side=_LARGEST_SIDE, fewest_multiples=_FEWEST_MULTIPLES)
    with tracing():
        with_our_scan = torch.export.export(given.module, (given.image,), dynamic_shapes=(given.open_sizes,))
        program: ExportedProgram = with_our_scan.run_decompositions(
            {torch.ops.nnunet_mamba.selective_scan.default: plain_scan}
        )
    return program


def packed_program(program: ExportedProgram, facts: Mapping[str, Any]) -> bytes:
    """Return the content of a program's file.

    Args:
        program: is stripped in place of what tells of this machine's files, and of the image that was traced.
        facts: what is known of the model, JSON values.
    """
    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            for node in module.graph.nodes:
                for name in _OF_THE_SOURCE:
                    node.meta.pop(name, None)
    program.example_inputs = None
    content = io.BytesIO()
    extra_files = {FACTS_FILE: json.dumps(facts, ensure_ascii=False, allow_nan=False)}
    with quiet():
        torch.export.save(program, content, extra_files=extra_files)
    return content.getvalue()


def write_program(subject: ExportSubject, file: Path) -> ExportedFile:
    """Export networks, compare the loaded program with them, and only then write the file and its sidecar.

    Args:
        subject: what is exported.
        file: to write or replace.

    Raises:
        UnequalExportError: the program computes something else, or needs more than PyTorch; nothing is written.
        ValueError: torch cannot export the networks; nothing is written.
        OSError: the file cannot be written; nothing is written.
    """
    program = exported_program(subject)
    content = packed_program(program, subject.facts)
    return write_exported(
        subject,
        file,
        lambda facts: packed_program(program, facts),
        gate=passed(subject, lambda batches: outputs_in_fresh_process(content, batches)),
    )


def outputs_in_fresh_process(content: bytes, batches: Sequence[FloatArray]) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield logits and probabilities that a process with PyTorch and without nnunet_mamba computes.

    Args:
        content: of a program's file, of our own making: torch unpickles parts of it.
        batches: of images, (b, c, h, w).

    Raises:
        UnequalExportError: the process fails; says why.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / _PROGRAM).write_bytes(content)
        np.savez(folder / _BATCHES, *batches)
        done = subprocess.run([sys.executable, "-c", _SCRIPT], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise UnequalExportError(f"a process with PyTorch alone cannot run the program: {last}; {WAY_OUT}")
        for number in range(len(batches)):
            with np.load(folder / f"arr_{number}.npz") as found:
                yield found["logits"], found["probabilities"]
