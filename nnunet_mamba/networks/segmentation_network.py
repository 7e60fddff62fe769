"""The contract of a network: what it tells everything that builds, plans, counts, trains or loads it."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from torch import Tensor, nn

from nnunet_mamba.blocks.torch_script import held_to_trace, refuse_script
from nnunet_mamba.networks.input_images import require_images
from nnunet_mamba.networks.padding import Reductions, crop_outputs, pad_to_multiple
from nnunet_mamba.ops.transforms import is_traced


@dataclass(frozen=True)
class WeightsOrigin:
    """What is known about published weights that do not fit a network.

    Args:
        text: a sentence about them, without its full stop.
        networks: names of our networks that they may belong to.
    """

    text: str
    networks: tuple[str, ...] = ()


class SegmentationNetwork(nn.Module):
    """Turn images of any size into logits of that size.

    A new network is a subclass. It has to provide three things; the rest of this class has a default that suits most
    networks and is overridden where it does not.

    1. **A constructor** ``(input_channels, num_classes, *, ...)``. All further arguments are keyword-only, because
       presets and ``create_network`` pass them by name. ``deep_supervision: bool = False`` is one of them if the
       network can have heads at lower resolutions, and ``spatial_dims`` if it exists for images and for volumes. It
       checks its arguments (``blocks.arguments`` and ``input_images`` help), calls this class's constructor, builds its
       layers, and works on the device meta too, where planning and counting build it.
    2. **``segment``**, the forward pass of images that are padded already.
    3. **``heads``**, one for every output. By default they lie in ``decoder.seg_layers``; a network that keeps them
       elsewhere overrides ``heads``. Their weights have ``.seg_layers.`` in their names: nnU-Net leaves these out when
       a training begins with pretrained weights, which may be for other classes.

    A network with deep supervision also has a switch, by default the attribute ``decoder.deep_supervision``, which
    decides at any time whether ``segment`` returns the logits of one head or of all. If the switch lies elsewhere,
    override ``deep_supervision``.

    For weights of published code, map our names to the published ones in ``published_names``, here and in the blocks,
    and name in ``published_unused`` what that code saves and does not use.
    A network that may begin with the weights of a classification network overrides ``is_backbone``, which knows these
    weights by their names, and ``backbone_name``, which finds them. ``recognise_weights`` may say more about weights
    that fit no network than that their names are alike.
    A block that the papers count otherwise than by its layers has a method ``published_multiply_adds``, see
    ``networks.complexity``.

    Args:
        input_channels: channels of the images.
        size_multiple: the image is padded to a multiple of these numbers, one per axis; as many as the images have
            axes, 2 or 3.
        output_reductions: by how much each axis of every output is smaller than the image's: all ones for the first
            output, then for those that ``segment`` returns with deep supervision, the highest resolution first.
    """

    published_prefix: ClassVar[str] = ""
    """The name of a module in which published code wraps the whole network, with its dot, such as "vmunet."."""

    published_notice: ClassVar[str] = ""
    """A sentence for those who load weights of the published code, if these do not compute the same here."""

    published_unused: ClassVar[str] = ""
    """A pattern of published names, from their beginning, of weights that published code saves and never uses."""

    traces_any_size: ClassVar[bool] = True
    """Whether a trace of torch holds for images of other sizes; not where code counts in numbers that a trace keeps."""

    decoder: Any

    def __init__(self, input_channels: int, *, size_multiple: Sequence[int], output_reductions: Reductions) -> None:
        super().__init__()
        self.input_channels = input_channels
        self.size_multiple = tuple(size_multiple)
        self.output_reductions = tuple(tuple(reduction) for reduction in output_reductions)

    @classmethod
    def keyword_arguments(cls) -> Mapping[str, inspect.Parameter]:
        """Return the keyword arguments of the constructor, by their names."""
        parameters = inspect.signature(cls).parameters
        return {name: parameter for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}

    @classmethod
    def offers_deep_supervision(cls) -> bool:
        """Return whether the network can be created with heads at lower resolutions."""
        return "deep_supervision" in cls.keyword_arguments()

    @property
    def spatial_dims(self) -> int:
        """Axes of the images, 2 or 3."""
        return len(self.size_multiple)

    @property
    def heads(self) -> tuple[nn.Module, ...]:
        """What turns maps into logits, one for every output, the highest resolution first."""
        return tuple(self.decoder.seg_layers)

    @property
    def deep_supervision(self) -> bool:
        """Whether the result is a list of the logits of all heads; setting it fails where there is one head only."""
        return self.offers_deep_supervision() and bool(self.decoder.deep_supervision)

    @deep_supervision.setter
    def deep_supervision(self, enabled: bool) -> None:
        if self.offers_deep_supervision():
            self.decoder.deep_supervision = enabled
        elif enabled:
            raise ValueError(
                f"{type(self).__name__}: deep_supervision={enabled}, but this network has a single head; leave it False"
            )

    def check_heads(self) -> None:
        """Raise if the network does not keep its side of this contract.

        Raises:
            RuntimeError: there is not one head for every output.
        """
        if len(self.heads) != len(self.output_reductions):
            raise RuntimeError(
                f"{type(self).__name__} has {len(self.heads)} heads and {len(self.output_reductions)} "
                f"output_reductions, {self.output_reductions}; expected one of each for every output that it can "
                f"return: mend its heads, or what its constructor passes to SegmentationNetwork"
            )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits (b, num_classes, *spatial) of images ``x``, (b, input_channels, *spatial).

        With deep supervision a list: those, then (b, num_classes, *ceil(spatial / reduction)) for every further one of
        ``output_reductions``.
        """
        self.check_images(x)
        if is_traced():
            x = held_to_trace(x, owner=type(self).__name__, scans=self.uses_scan())
        logits = self.segment(pad_to_multiple(x, self.size_multiple))
        if not isinstance(logits, Tensor) and len(logits) != len(self.output_reductions):
            raise RuntimeError(
                f"{type(self).__name__}: segment() returned {len(logits)} outputs for {len(self.output_reductions)} "
                f"output_reductions, {self.output_reductions}; expected one for each of them"
            )
        return crop_outputs(logits, x.shape[2:], self.output_reductions)

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse ``torch.jit.script``, which asks every module for this first."""
        refuse_script(type(self).__name__)

    def segment(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of padded images ``x``, (b, input_channels, *spatial); a list with deep supervision."""
        raise NotImplementedError(f"{type(self).__name__} has no segment(); see SegmentationNetwork")

    def check_images(self, x: Tensor) -> None:
        """Refuse what is not a batch of images that the network takes; override this to refuse more.

        Raises:
            TypeError: ``x`` is no tensor of floating-point numbers.
            ValueError: it has another shape, or no images or positions.
        """
        require_images(type(self).__name__, x, input_channels=self.input_channels, spatial_dims=self.spatial_dims)

    @classmethod
    def axes_named_by(cls, arguments: Mapping[str, Any]) -> int | None:
        """Return the number of image axes that keyword arguments ask for without ``spatial_dims``.

        None stands for arguments that do not tell. Override this where an argument has one entry per axis.

        Args:
            arguments: of the constructor, not checked yet.
        """
        return None

    @classmethod
    def planned_arguments(
        cls, names: Collection[str], plan: Mapping[str, Any], *, published: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the values of the keyword arguments that nnU-Net's plans decide in a training.

        Override this where an argument is not what the plans say, but follows from it.

        Args:
            names: of these arguments, those that the preset lists for the plans.
            plan: what the plans say about a U-Net's stages (``presets.preset.STAGES``), and the patch size as
                "input_size".
            published: arguments of the preset's size for as many axes.
        """
        return {name: plan[name] for name in names}

    @property
    def published_names(self) -> Mapping[str, str]:
        """Our names of parts, relative to the network, and the published ones; every other name is the same."""
        return {}

    def uses_scan(self) -> bool:
        """Return whether a block runs our selective scan; such a block says so in its attribute ``scans``."""
        return any(getattr(module, "scans", False) for module in self.modules())

    @classmethod
    def recognise_weights(cls, names: Collection[str], *, network: type[nn.Module]) -> WeightsOrigin | None:
        """Return whose weights these are, if this class knows more about it than their names.

        Only classes of presets whose ``weights_known_by`` fits the names are asked.

        Args:
            names: of weights, without wrappers, that do not fit ``network``.
            network: any class of network or block.
        """
        return None

    def is_backbone(self, names: Collection[str]) -> bool:
        """Return whether weights with these names are a classification network's that a part of this one begins with.

        Args:
            names: of the weights, without wrappers.
        """
        return False

    def backbone_name(self, name: str) -> str | None:
        """Return the classification network's name of the weights that the published parameter ``name`` begins with.

        None stands for a parameter that it does not have.
        """
        return name
