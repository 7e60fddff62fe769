"""Give every registered operator of ours wrong operands, and valid ones in odd memory; run in a process of its own.

The valid operands are those of ``warm``, which calls every operator, so a new one is found here by itself. Prints one
line for every operator whose answer is wrong; a crash ends the process.

Usage: fuzz_operators.py SEED NUMBER_OF_DRAWS
"""

import random
import sys
import warnings

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nnunet_mamba.ops.warm import warm

REFUSALS = (TypeError, ValueError, RuntimeError)
DTYPES = (torch.float64, torch.float16, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn)
# Sizes that one operand alone decides; another one is another problem, not a wrong one.
OWN_AXES = {
    ("mamba_mixer", "tokens"): {0, 1},
    ("mamba_mixer", "conv"): {2},
    ("pooled_group_norm", "x"): {0, 1, 2},
    ("few_map_convolution", "x"): {0, 2, 3},
    ("few_map_convolution", "weight"): {2, 3},
}


def registered_operators():
    names = torch._C._dispatch_get_all_op_names()
    return sorted({name.partition(".")[0] for name in names if name.startswith("nnunet_mamba::")})


class Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name
        if name.startswith("nnunet_mamba::"):
            schema = function._schema.arguments
            detached = [x.detach().clone() if isinstance(x, torch.Tensor) else x for x in args]
            self.calls[name] = (detached, [(one.name, str(one.type)) for one in schema])
        return function(*args, **(kwargs or {}))


def recorded_calls():
    recorder = Recorder()
    with recorder:
        warm(d_state=3)
    # Autograd keeps some operators below the recorder's sight: what saves nothing runs without gradients.
    return recorder.calls


def wrong_tensor(x, rng):
    """Return something else than ``x`` that no operand in its place may be."""
    kind = rng.choice(["longer", "shorter", "none", "more", "fewer", "dtype", "device", "sparse", "list", "huge"])
    # A scan's second saved tensor may be empty, along every axis but the batch.
    axis = rng.choice([axis for axis, size in enumerate(x.shape) if size])
    if kind == "longer":
        return kind, torch.cat([x, x.narrow(axis, 0, 1)], axis)
    if kind == "shorter":
        return kind, x.narrow(axis, 0, x.shape[axis] // 2) if x.shape[axis] > 1 else x.narrow(axis, 0, 0)
    if kind == "none":
        return kind, x.narrow(axis, 0, 0)
    if kind == "more":
        return kind, x[None]
    if kind == "fewer":
        return kind, x.select(axis, 0)
    if kind == "dtype":
        return kind, x.to(rng.choice(DTYPES))
    if kind == "device":
        return kind, x.to("meta")
    if kind == "sparse":
        return kind, x.to_sparse()
    if kind == "huge":  # as many numbers as memory has not, at one address
        one = x.new_ones(1)
        return kind, one.expand(2**20, *[2**10] * (x.ndim - 1)) if x.ndim > 1 else one.expand(2**40)
    return kind, rng.choice([None, 3, [1.0], "text"])


def wrong_other(x, kind, rng):
    if kind == "bool":
        return rng.choice([None, "yes", [True]])
    if "[]" in kind or "List" in kind:
        return rng.choice([[], [2**40, 2**40], [-1, -130], [0, 0], [x[0]], [*x, 1], [x[0] + 1, *x[1:]], [1.5, 2], None])
    return rng.choice([0, -1, 2**62, x + 1, 3, None, "one", 1.5])


def odd_memory(x, rng):
    """Return ``x``'s numbers laid out in another way."""
    kind = rng.choice(["transposed", "strided", "offset", "negated"])
    if kind == "transposed":
        return x.movedim(0, -1).contiguous().movedim(-1, 0)
    if kind == "strided":
        return torch.stack([x, x + 1], dim=-1)[..., 0]
    if kind == "negated":
        return torch.complex(x, -x).conj().imag
    return torch.cat([x.flatten()[:1], x.flatten()])[1:].reshape(x.shape)


def results_of(operator, given):
    results = operator(*given)
    return results if isinstance(results, (tuple, list)) else (results,)


def is_another_problem(name, argument, x, wrong):
    if (
        not isinstance(wrong, torch.Tensor)
        or wrong.ndim != x.ndim
        or wrong.dtype != x.dtype
        or wrong.device != x.device
    ):
        return False
    own = next((axes for (start, one), axes in OWN_AXES.items() if f"::{start}" in name and one == argument), set())
    return all(axis in own or wrong.shape[axis] == x.shape[axis] for axis in range(x.ndim))


def fuzz(name, given, arguments, rng):
    """Return what is wrong with the answer to one draw, or None."""
    operator = getattr(torch.ops.nnunet_mamba, name.partition("::")[2])
    index = rng.randrange(len(given))
    x, (argument, kind) = given[index], arguments[index]
    if isinstance(x, torch.Tensor) and rng.random() < 0.25:
        expected = results_of(operator, given)
        results = results_of(operator, [*given[:index], odd_memory(x, rng), *given[index + 1 :]])
        if not all(torch.equal(a, b) for a, b in zip(results, expected, strict=True)):
            return f"{name}: other results for {argument} in other memory"
        return None
    if isinstance(x, torch.Tensor):
        what, wrong = wrong_tensor(x, rng)
        is_allowed = (wrong is None and kind.startswith("Optional")) or is_another_problem(name, argument, x, wrong)
        # The scan takes operands of several narrow dtypes, but for the gradient and the states.
        is_allowed |= (
            what == "dtype" and wrong.dtype == torch.float16 and name.startswith("nnunet_mamba::selective_scan")
        )
    elif x is None:
        return None
    else:
        what, wrong = "value", wrong_other(x, kind, rng)
        is_allowed = wrong == x or (kind == "bool" and wrong is None)  # which torch takes for False
        is_allowed |= argument == "dilation" and type(wrong) is int and 1 <= wrong <= 2**20
        is_allowed |= kind == "float" and isinstance(wrong, (int, float)) and wrong >= 0  # any of these may be added
    found = f"shape {tuple(wrong.shape)} {wrong.dtype}" if isinstance(wrong, torch.Tensor) else repr(wrong)
    try:
        results_of(operator, [*given[:index], wrong, *given[index + 1 :]])
    except REFUSALS as error:
        # torch itself refuses what does not fit the schema, and names the argument's position.
        shape = str(tuple(getattr(wrong, "shape", ())))
        is_told = any(word in str(error) for word in (argument, "argument", "nnunet_mamba::", shape))
        return None if is_told else f"{name}: {argument} = {found} ({what}) is refused without its name: {error}"
    return None if is_allowed else f"{name}: {argument} = {found} ({what}) is taken"


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rng, draws = random.Random(int(sys.argv[1])), int(sys.argv[2])
    calls = recorded_calls()
    missing = [name for name in registered_operators() if name not in calls]
    problems = [f"{name}: no valid call is known; warm() should make one" for name in missing]
    for name, (given, arguments) in sorted(calls.items()):
        problems += filter(None, (fuzz(name, given, arguments, rng) for _ in range(draws)))
    sys.stdout.write("\n".join(dict.fromkeys(problems)))


if __name__ == "__main__":
    main()
