"""Print the largest relative error of a small scan by the Triton kernels in Triton's interpreter, on the CPU.

TRITON_INTERPRET=1 NNUNET_MAMBA_SCAN=triton_gpu python -m gpu_checks.interpreted_scan
"""

import torch

from gpu_checks.scan_accuracy import chosen, relative_error, y_and_gradients
from gpu_checks.scan_shapes import Shape, moved, operands

# More than one tile and one channel too few for it; the interpreter takes a second for each kernel.
SHAPE = Shape(1, 5, 19, n=4)


def main() -> None:
    """Print the error."""
    x = operands(SHAPE, "cpu", torch.float32)
    results = y_and_gradients(x)
    with chosen("reference"):
        exact = y_and_gradients(moved(x, "cpu", torch.float64))
    print(max(relative_error(result, right) for result, right in zip(results, exact, strict=True)))


if __name__ == "__main__":
    main()
