"""Instructions, registers and spills of a compiled kernel, read from its machine code."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton

# A loop of kernels visits every token; what a branch in it jumps over, the store of a state, is for every 64th.
SAVED_EVERY = 64
# Shorter ones wait for a memory operation.
_SHORTEST_LOOP = 16
NVIDIA_INSTRUCTION = r"\s*/\*[0-9a-f]+\*/"
NVIDIA_BRANCH = r"/\s+(?P<condition>@!?U?P\w+ )?BRA.*\((?P<to>\.L\w+)\)"
AMD_INSTRUCTION = r"\s+(s|v|ds|global|flat|buffer|scratch)_"
AMD_BRANCH = r"s_(?P<condition>c)?branch\S*\s+(?P<to>\.L\w+)"


@dataclass(frozen=True)
class Code:
    """The machine code of a kernel.

    Args:
        loops: instructions of each innermost loop, as (always, where a branch does not jump over them).
        registers: of a lane.
        spilled: bytes of a lane's stack.
    """

    loops: tuple[tuple[int, int], ...]
    registers: int
    spilled: int

    def per_token(self, options: dict[str, Any]) -> float:
        """Return the instructions of all innermost loops for one channel and token, of all states."""
        share = options["T"] / SAVED_EVERY
        instructions = sum(always + share * sometimes for always, sometimes in self.loops)
        return instructions / (options["T"] * options["K"] * options["D"])


def _loops(text: str, instruction: str, branch: str) -> tuple[tuple[int, int], ...]:
    """Return the innermost loops of assembly: those between a label and a branch back to it."""
    labels: dict[str, int] = {}
    jumps: list[tuple[int, str, bool]] = []
    count = 0
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L\w+):", line):
            labels[label[1]] = count
        elif re.match(instruction, line):
            if jump := re.search(branch, line):
                jumps.append((count, jump["to"], bool(jump["condition"])))
            count += 1
    back = [(labels[to], at) for at, to, _ in jumps if at - labels[to] >= _SHORTEST_LOOP]
    innermost = {
        (first, last)
        for first, last in back
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in back)
    }
    found = []
    for first, last in sorted(innermost):
        jumped = {
            place
            for at, to, is_conditional in jumps
            if is_conditional and first <= at < labels[to] <= last
            for place in range(at + 1, labels[to])
        }
        found.append((last - first + 1 - len(jumped), len(jumped)))
    return tuple(found)


def _nvidia(cubin: bytes) -> Code:
    programs = Path(triton.__file__).parent / "backends/nvidia/bin"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)

        def output(*command: str) -> str:
            program = str(programs / command[0])
            return subprocess.run([program, *command[1:], str(file)], capture_output=True, text=True, check=True).stdout

        text, usage = output("nvdisasm", "-c"), output("cuobjdump", "-res-usage")
    loops = _loops(text, NVIDIA_INSTRUCTION, NVIDIA_BRANCH)
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert found, usage
    return Code(loops, int(found[1]), int(found[2]))


def _amd(text: str) -> Code:
    loops = _loops(text, AMD_INSTRUCTION, AMD_BRANCH)
    registers, stack = (re.search(rf"\.{name}:\s+(\d+)", text) for name in ("vgpr_count", "private_segment_fixed_size"))
    assert registers, text
    assert stack, text
    return Code(loops, int(registers[1]), int(stack[1]))


def code_of(compiled: Any) -> Code:
    """Return the machine code of what Triton has compiled."""
    return _nvidia(compiled.asm["cubin"]) if "cubin" in compiled.asm else _amd(compiled.asm["amdgcn"])
