"""The engine of a model in an ONNX file: nnU-Net's arithmetic around onnxruntime, without torch and nnU-Net."""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from nnunet_mamba.onnx_models.session import OnnxSession
from nnunet_mamba.onnx_models.sidecar import OnnxFile
from nnunet_mamba.prediction.engine import NOT_FINITE, Engine, NonFiniteLogitsError, PreparedImage, padded
from nnunet_mamba.prediction.importance import flips_of, importance, windows_over
from nnunet_mamba.prediction.label_maps import Logits, are_finite
from nnunet_mamba.prediction.plan import Normalization, PredictionPlan
from nnunet_mamba.prediction.preprocessing import FloatArray, UnsuitableImageError, check_image, prepare
from nnunet_mamba.system.counts import how_many

# Pixels that share one pass: more are no faster.
_PIXELS = 4 * 256 * 256
# Schemes that a part of an image is not enough for.
_OF_WHOLE_IMAGES = ("ZScoreNormalization", "RescaleTo01Normalization")
_NONE = Normalization(scheme="NoNormalization")
_WITH_THE_MODEL = "predict with the model that the file was exported from"


class OnnxNetworks:
    """The networks of an ONNX file, which predict slices of any size in windows, as ``SlidingWindow`` does in torch.

    Args:
        session: of the file, in which the logits of folds are averaged.
        plan: what the plans say.
        mirror_axes: axes of a slice, 0 or 1, along which copies are mirrored and averaged.
    """

    def __init__(self, session: OnnxSession, plan: PredictionPlan, *, mirror_axes: Sequence[int]) -> None:
        self._session = session
        self._plan = plan
        self._flips = flips_of(mirror_axes)
        self._importance = importance(plan.patch_size)
        self._last_weights = np.empty(0, np.float16)
        self._most_windows = max(1, _PIXELS // self._importance.size)

    @property
    def slices_at_once(self) -> int:
        """How many slices of one window fill a pass."""
        return max(1, self._most_windows // (1 + len(self._flips)))

    def logits(self, slices: FloatArray) -> Logits:
        """Return the logits of slices of one size: (k, heads, y, x).

        Args:
            slices: (k, c, y, x), as the file takes them; a window large at least.

        Raises:
            NonFiniteLogitsError: some are NaN or infinite.
        """
        size = slices.shape[2:]
        logits = np.zeros((len(slices), self._plan.heads.n_heads, *size), np.float16)
        # Numbers that half precision does not hold become infinite, which is found out below.
        with np.errstate(over="ignore", invalid="ignore"):
            for window in windows_over(size, self._plan.patch_size):
                for start in range(0, len(slices), self.slices_at_once):
                    place = (slice(start, start + self.slices_at_once), slice(None), *window)
                    # Added in single precision and rounded, as in torch.
                    logits[place] = self._mirrored(slices[place]) + logits[place]
            logits /= self._weights(size)
        if not are_finite(logits):
            raise NonFiniteLogitsError(NOT_FINITE)
        return logits

    def _weights(self, size: tuple[int, ...]) -> npt.NDArray[np.float16]:
        """Return how much the windows count together in each pixel of slices of a size."""
        # Most images have the size of those before them.
        if self._last_weights.shape != size:
            self._last_weights = np.zeros(size, np.float16)
            for window in windows_over(size, self._plan.patch_size):
                self._last_weights[window] += self._importance
        return self._last_weights

    def _mirrored(self, windows: FloatArray) -> FloatArray:
        """Return the weighted logits of windows and their mirrored copies, (k, heads, y, x)."""
        passes = self._passes([windows, *(np.flip(windows, axes) for axes in self._flips)])
        logits = next(passes)
        for axes, mirrored in zip(self._flips, passes, strict=True):
            logits += np.flip(mirrored, axes)
        if self._flips:
            logits /= np.float32(1 + len(self._flips))
        logits *= self._importance
        return logits

    def _passes(self, copies: Sequence[FloatArray]) -> Iterator[FloatArray]:
        """Yield the logits of every copy, from one pass if it may have so many windows."""
        if 1 < len(copies) <= self._most_windows // len(copies[0]):
            yield from np.split(self._session.run(np.concatenate(copies))[0], len(copies))
        else:
            yield from (self._session.run(copy)[0] for copy in copies)


class OnnxEngine(Engine):
    """A model in an ONNX file that is ready to predict.

    Args:
        file: of nnunet-mamba export.
        plan: what the plans say.
        mirror_axes: axes of a slice along which copies are mirrored and averaged.
        postprocessing: what is done to label maps, see ``postprocessing.postprocess``.
        n_threads: that compute, see ``OnnxSession``.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
        ValueError: only nnU-Net can prepare images for the model, onnxruntime cannot run the file, it is of an older
            nnunet-mamba, or its sidecar was changed.
    """

    def __init__(
        self,
        file: OnnxFile,
        plan: PredictionPlan,
        *,
        mirror_axes: Sequence[int],
        postprocessing: Sequence[str] = (),
        n_threads: int | None = None,
    ) -> None:
        if plan.needs_nnunet:
            raise ValueError(f"{file.path}: only nnU-Net prepares images for this model; {_WITH_THE_MODEL}")
        normalization = file.facts.at("normalization")
        normalises = normalization.at("is_inside").flag()
        self._sees_whole_images = normalises and any(one.scheme in _OF_WHOLE_IMAGES for one in plan.normalizations)
        if self._sees_whole_images and not normalization.at("cuts_margin").flag():
            normalization.at("cuts_margin").refuse("true, as nnunet-mamba export writes it for whole images")
        self._prepared_by = replace(plan, normalizations=(_NONE,) * len(plan.normalizations)) if normalises else plan
        self._around = _before_normalizing(plan.normalizations) if normalises else np.float32(0)
        networks = OnnxNetworks(file.session(n_threads=n_threads), plan, mirror_axes=mirror_axes)
        super().__init__(plan, networks, nnunet=_refuse_resampling, postprocessing=postprocessing)

    def prepare(self, image: npt.NDArray[Any], spacing: Sequence[float]) -> PreparedImage:
        """Return an image as the file takes it, see ``Engine.prepare``.

        Raises:
            UnsuitableImageError: the model cannot take it, nnU-Net would resample it, or the file sees whole images
                only.
        """
        check_image(image, self.plan)
        prepared = prepare(image, spacing, self._prepared_by)
        if prepared is None:
            _refuse_resampling()
        (k, *size), window = prepared.data.shape[1:], self.plan.patch_size
        if self._sees_whole_images and (k != 1 or any(map(operator.gt, size, window))):
            raise UnsuitableImageError(
                f"the image has {how_many(k, 'slice')} of {_times(size)} pixels, and the ONNX file takes one of "
                f"{_times(window)} at most, of which it sees all; {_WITH_THE_MODEL}"
            )
        slices, inside = padded(prepared.data.swapaxes(0, 1), window, around=self._around)
        return PreparedImage(slices=slices, inside=(slice(None), slice(None), *inside), way_back=prepared)


def _before_normalizing(normalizations: Sequence[Normalization]) -> npt.NDArray[np.float32]:
    """Return what a file makes the zeros of that nnU-Net puts around small images, (c, 1, 1)."""
    means = [one.intensities["mean"] if one.scheme == "CTNormalization" else 0.0 for one in normalizations]
    return np.array(means, np.float32)[:, None, None]


def _refuse_resampling() -> NoReturn:
    raise UnsuitableImageError(f"nnU-Net resamples such an image to the model's spacing; {_WITH_THE_MODEL}")


def _times(size: Sequence[int]) -> str:
    return "×".join(map(str, size))
