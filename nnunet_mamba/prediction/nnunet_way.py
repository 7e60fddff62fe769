"""Images that must be resampled, and networks that see volumes, by nnU-Net's own functions."""

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nnunet_mamba.prediction.engine import NOT_FINITE, NonFiniteLogitsError
from nnunet_mamba.prediction.label_maps import LabelMap, Logits
from nnunet_mamba.prediction.preprocessing import FloatArray
from nnunet_mamba.prediction.sliding_window import lack_of_memory_as_such

# nnU-Net's own words for volumes.
_INFINITE = "Encountered inf in predicted array"

_one_at_a_time = Lock()


class NnunetWay:
    """nnU-Net's preprocessing, its sliding window over volumes, and its way back, all in this process.

    Args:
        plans: nnU-Net's plans.json.
        configuration: "2d", "3d_fullres", …
        dataset_json: of the training data.
        networks: one for each fold, on ``device``.
        mirror_axes: axes of the networks' input along which copies are mirrored.
        device: of the networks.

    Raises:
        ValueError: nnU-Net does not know what they name.
    """

    def __init__(
        self,
        plans: Mapping[str, Any],
        configuration: str,
        dataset_json: Mapping[str, Any],
        *,
        networks: Sequence[nn.Module],
        mirror_axes: Sequence[int],
        device: torch.device,
    ) -> None:
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        self._dataset_json = dict(dataset_json)
        self._networks = networks
        self._mirror_axes = tuple(mirror_axes)
        self._device = device
        try:
            self._plans = PlansManager(dict(plans))
            self._configuration = self._plans.get_configuration(configuration)
            self._labels = self._plans.get_label_manager(self._dataset_json)
            self._refuse_unknown_names()
        # What nnU-Net raises for names and values that it does not know.
        except (TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, AssertionError) as error:
            raise ValueError(
                f"nnU-Net cannot take the plans of this model ({type(error).__name__}: {error}); get the model "
                "again, or install the nnU-Net that it was made with"
            ) from error

    def _refuse_unknown_names(self) -> None:
        """Look up all that the plans name, before an image is read."""
        import nnunetv2
        from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

        self._configuration.preprocessor_class(verbose=False)
        for name in ("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities"):
            getattr(self._configuration, name)
        folder = str(Path(nnunetv2.__path__[0], "preprocessing", "normalization"))
        for scheme in self._configuration.normalization_schemes:
            if recursive_find_python_class(folder, scheme, "nnunetv2.preprocessing.normalization") is None:
                raise LookupError(f"there is no normalization {scheme!r}")

    def prepare(self, image: npt.NDArray[Any], spacing: Sequence[float]) -> tuple[FloatArray, dict[str, Any]]:
        """Return an image as the network sees it, and what leads back.

        Args:
            image: (c, z, y, x) as nnU-Net's readers give it.
            spacing: mm, (z, y, x).

        Returns:
            (c, z, y, x) in nnU-Net's order of axes, float32; nnU-Net's properties of the image.
        """
        preprocessor = self._configuration.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case_npy(
            image, None, {"spacing": list(spacing)}, self._plans, self._configuration, self._dataset_json
        )
        return np.ascontiguousarray(data, dtype=np.float32), properties

    def logits_of_volume(self, data: FloatArray) -> Logits:
        """Return the logits of a prepared volume, averaged over the networks: (heads, z, y, x).

        Args:
            data: (c, z, y, x), float32.

        Raises:
            NonFiniteLogitsError: some are NaN or infinite.
            MemoryError: not even a single window fits into the memory.
        """
        try:
            with lack_of_memory_as_such():
                logits = self._mean_logits(torch.from_numpy(data))
        except RuntimeError as error:
            if str(error).startswith(_INFINITE):
                raise NonFiniteLogitsError(NOT_FINITE) from error
            raise
        if not bool(torch.isfinite(logits).all()):
            raise NonFiniteLogitsError(NOT_FINITE)
        found: Logits = logits.numpy()
        return found

    @torch.inference_mode()
    def _mean_logits(self, data: Tensor) -> Tensor:
        predictor = _predictor_of_nnunet(is_mirroring=bool(self._mirror_axes), device=self._device)
        total: Tensor | None = None
        for network in self._networks:
            predictor.manual_initialization(
                network,
                self._plans,
                self._configuration,
                None,
                self._dataset_json,
                "",
                self._mirror_axes or None,
            )
            found = predictor.predict_sliding_window_return_logits(data).cpu()
            total = found if total is None else total.add_(found)
        assert total is not None, "no networks"
        if len(self._networks) > 1:
            total /= len(self._networks)
        return total

    def finish(
        self, logits: Logits, properties: Mapping[str, Any], *, with_probabilities: bool
    ) -> tuple[LabelMap, FloatArray | None]:
        """Return the label map, (z, y, x) of the image, and the probabilities if they are wanted.

        Args:
            logits: (heads, z, y, x) of what the network saw.
            properties: that ``prepare`` returned.
            with_probabilities: whether to return (heads, z, y, x) too.
        """
        from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

        found = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits,
            self._plans,
            self._configuration,
            self._labels,
            dict(properties),
            return_probabilities=with_probabilities,
            num_threads_torch=torch.get_num_threads(),
        )
        return found if with_probabilities else (found, None)


def _predictor_of_nnunet(*, is_mirroring: bool, device: torch.device) -> Any:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    # It prints a notice about CPUs, which is nobody's news; other threads must not find the stream exchanged for good.
    with _one_at_a_time, redirect_stdout(io.StringIO()):
        return nnUNetPredictor(use_mirroring=is_mirroring, device=device, allow_tqdm=False)
