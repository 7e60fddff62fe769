"""One ONNX file in onnxruntime, as a function of images."""

from pathlib import Path
from typing import Any

import numpy as np

from nnunet_mamba.onnx_models.agreement import FloatArray
from nnunet_mamba.onnx_models.optional_packages import require_packages
from nnunet_mamba.system.machine import available_cores

IMAGE, LOGITS, PROBABILITIES = "image", "logits", "probabilities"
# The entry of the file's own metadata that holds the facts, as JSON.
FACTS = "nnunet_mamba"
_ERRORS_ALONE = 3


class OnnxSession:
    """An ONNX file that is ready to run on the CPU.

    Args:
        source: the file, or what is in it.
        n_threads: that compute; None takes as many as ``available_cores``.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
        ValueError: onnxruntime cannot run the file, or it has other inputs or outputs; says why.
    """

    def __init__(self, source: Path | bytes, *, n_threads: int | None = None) -> None:
        require_packages("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ALONE
        # Threads that spin while they wait would take the cores from other programs, and from those that read images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # onnxruntime's own choice knows neither OMP_NUM_THREADS nor the limit of a container.
        options.intra_op_num_threads = available_cores() if n_threads is None else n_threads
        self._place = str(source) if isinstance(source, Path) else "the file"
        given = str(source) if isinstance(source, Path) else source
        try:
            self._session: Any = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        except _errors() as error:
            raise ValueError(f"{self._place}: onnxruntime cannot run it: {_told(error)}") from error
        names = [*(one.name for one in self._session.get_inputs()), *(one.name for one in self._session.get_outputs())]
        if names != [IMAGE, LOGITS, PROBABILITIES]:
            raise ValueError(
                f"{self._place} has the inputs and outputs {names}, expected {[IMAGE, LOGITS, PROBABILITIES]}; export "
                "the model anew"
            )

    @property
    def facts(self) -> str | None:
        """The facts inside the file, JSON; None where it has none."""
        found: str | None = self._session.get_modelmeta().custom_metadata_map.get(FACTS)
        return found

    def run(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the logits and the probabilities of images.

        Args:
            images: (b, c, h, w), float32.

        Returns:
            Two of (b, heads, h, w), float32.

        Raises:
            ValueError: the file cannot take them, such as a size that it was not made for; says why.
        """
        try:
            logits, probabilities = self._session.run(
                [LOGITS, PROBABILITIES], {IMAGE: np.ascontiguousarray(images, np.float32)}
            )
        except _errors() as error:
            raise ValueError(f"{self._place}: onnxruntime fails with images {images.shape}: {_told(error)}") from error
        return logits, probabilities


def _errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises; its classes have nothing but Exception in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return tuple(getattr(state, name) for name in (*names, "RuntimeException", "EPFail", "NoModel"))


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
