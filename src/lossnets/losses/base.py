"""What all losses share: checks, colour policy, masks and maps, reduction, encoded targets."""

from __future__ import annotations

import abc
import contextlib
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, EncodingError, ImageError
from lossnets.images.contract import (
    RANGE_TOLERANCE,
    DataRange,
    check_data_range,
    check_layout,
    check_validate,
    check_values,
    to_unit_range,
)
from lossnets.losses.encoded import EncodedTarget
from lossnets.losses.masks import checked_mask
from lossnets.losses.resize import area_resize
from lossnets.losses.spec import LossSpec
from lossnets.torch_state import (
    exact_products,
    keep_precision,
    operations_are_watched,
    products_are_rounded,
    restore_precision,
)

NUMERICS_VERSION = 1
"""Raised whenever a change of this package changes a number by more than rounding; part of signatures."""

_REDUCTIONS = ("mean", "sum", "none")
_OUTPUTS = ("value", "map")


class ImageLoss(nn.Module, abc.ABC):
    """Compares two batches of images: (N, C, H, W), (N, C, H, W) -> a number, or one per image.

    Lower is more alike; 0 for equal images. The caller's tensors are never changed, and the
    caller's gradient mode is obeyed: gradients flow to ``input``, and to ``target`` if it requires
    one. Call it as ``loss(input, target)``; see `forward`.

    Attributes:
        spec: what identifies the loss; ``str(loss)`` prints it.
        lower_is_better: True.
    """

    lower_is_better = True
    is_differentiable = True
    _bounded_input = False  # whether the formula has no meaning for images outside of the range
    _has_products = False  # whether matrix products are on the way back, which autocast would round

    def __init__(
        self,
        spec: LossSpec,
        *,
        data_range: DataRange = (0.0, 1.0),
        reduction: str = "mean",
        validate: str = "always",
        range_tolerance: float = RANGE_TOLERANCE,
        double_backward: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(double_backward, bool):
            raise ConfigError(f"double_backward must be True or False; got {double_backward!r}")
        self.double_backward = double_backward
        if reduction not in _REDUCTIONS:
            raise ConfigError(f"reduction must be one of {', '.join(_REDUCTIONS)}; got {reduction!r}")
        if not range_tolerance >= 0:
            raise ConfigError(
                f"range_tolerance must be a share of the range, 0 or more; got {range_tolerance!r}"
            )
        self._spec = spec
        self.reduction = reduction
        self.data_range = check_data_range(data_range)
        self.validate = check_validate(validate)
        self.range_tolerance = float(range_tolerance)
        self._validated: set[str] = set()
        self._handle = _register(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._handle = _register(self)  # a copy is another loss

    @property
    def spec(self) -> LossSpec:
        """What identifies the loss; cannot be changed, since the loss would not follow."""
        return self._spec

    @spec.setter
    def spec(self, spec: LossSpec) -> None:
        raise ConfigError(
            f"the spec of a loss cannot be changed; build the other one: load_loss({str(spec)!r})"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse settings that do not exist when they are made later, too."""
        if name == "reduction" and value not in _REDUCTIONS:
            raise ConfigError(f"reduction must be one of {', '.join(_REDUCTIONS)}; got {value!r}")
        if name == "validate":
            check_validate(value)
        checked: Any = check_data_range(value) if name == "data_range" else value
        super().__setattr__(name, checked)

    @property
    def name(self) -> str:
        """The loss name: one line that identifies the loss and parses back (`parse_loss`)."""
        return str(self.spec)

    def __str__(self) -> str:
        """The loss name."""
        return str(self.spec)

    @abc.abstractmethod
    def signature(self) -> str:
        """Everything that changes the number, on one line: name, weights hash, versions."""

    @abc.abstractmethod
    def _distances(self, images: Tensor, target: Tensor | EncodedTarget) -> Iterator[tuple[str, Tensor]]:
        """Yield (tap name, weighted distance (N,)) for images in [0, 1]."""

    @abc.abstractmethod
    def _maps(self, images: Tensor, target: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield (tap name, weighted distance at each position (N, 1, h, w)) for images in [0, 1]."""

    def forward(
        self,
        input: Tensor,  # noqa: A002 - the name that torch.nn's losses use
        target: Tensor | EncodedTarget,
        *,
        mask: Tensor | None = None,
        output: str = "value",
        per_tap: bool = False,
    ) -> Any:
        """Compare images with targets.

        Args:
            input: (N, C, H, W), floating point in ``data_range`` or uint8.
            target: images of the same shape, or what `encode` made of them.
            mask: (N, 1, H, W) or (1, 1, H, W), bool or in [0, 1]: the share of each pixel. The value
                becomes the average over the masked area (at each tap, the mask averaged over the
                pixels of a position). Only for spatial distances.
            output: ``"value"``, or ``"map"``: the (N, 1, H, W) difference at each pixel, whose mean
                is the value. Only for spatial distances.
            per_tap: return {tap: ...} instead of the sum; the entries add up to it.

        Returns:
            With ``output="value"`` a scalar for reduction ``mean`` or ``sum``, (N,) for ``none``, in
            float32 or wider; maps are never reduced.

        Raises:
            ImageError: wrong type, shape, size, range or device.
            EncodingError: the encoded target is stale or was made by another loss.
            ConfigError: a map or mask of a distance that is not spatial.
        """
        if output not in _OUTPUTS:
            raise ConfigError(f"output must be one of {', '.join(_OUTPUTS)}; got {output!r}")
        images = self._prepare(input, "input")
        other = self._target(target, input)
        zero = self._checked_maker(other) if isinstance(other, EncodedTarget) else None
        restore_precision()
        rounded = not torch.compiler.is_compiling() and products_are_rounded()
        exact = exact_products() if rounded else contextlib.nullcontext()
        with exact, torch.autocast(images.device.type, enabled=False), self._arithmetic():
            if output == "map" or mask is not None:
                terms = self._map_terms(images, other, mask, output, tuple(input.shape))
            else:
                terms = self._distances(images, other)
            folded = ((tap, self._unfold(term, input.shape[0])) for tap, term in terms)
            result = self._collect(folded, output, per_tap)
        if zero is not None:  # so that a compiler keeps the check
            result = {tap: v + zero for tap, v in result.items()} if per_tap else result + zero
        products = rounded or self._has_products or output == "map" or mask is not None
        if products and not operations_are_watched():
            for value in result.values() if per_tap else (result,):
                if value.requires_grad:
                    keep_precision(value, (input, target))
        return result

    def encode(self, target: Tensor) -> EncodedTarget:
        """Compute what is needed of a target once, for any number of calls: (N, C, H, W) -> encoded.

        Nothing of it requires a gradient. It is refused by other losses, and once the weights of
        this loss change.
        """
        # Not inference tensors, which could not take part in a training step later.
        with torch.inference_mode(False), torch.no_grad(), exact_products():
            images = self._prepare(target, "target")
            with torch.autocast(images.device.type, enabled=False):
                embeddings, raw = self._encode(images)
        made_by = self._signature(exact=False)
        return EncodedTarget(made_by, self._state(), tuple(target.shape), embeddings, raw)  # type: ignore[arg-type]

    def _arithmetic(self) -> contextlib.AbstractContextManager[object]:
        """Context in which operations have the derivatives that are asked for."""
        return contextlib.nullcontext()

    @abc.abstractmethod
    def _encode(self, images: Tensor) -> tuple[tuple[tuple[Tensor, ...], ...], bool]:
        """Embeddings of each tap for images in [0, 1], and whether spatial ones are raw."""

    def _state(self) -> str:
        """What must not change while an encoded target is in use: the weights by content, and their type."""
        return ""

    def _signature(self, *, exact: bool) -> str:
        """`signature`; if not ``exact``, weights are hashed only where a look at them shows a change."""
        del exact
        return self.signature()

    def _prepare(self, images: Tensor, name: str) -> Tensor:
        """Check, map to [0, 1], apply the colour policy: -> (N or N*C, C, H, W)."""
        images = check_layout(images, name, channels=self._channels())
        if not torch.compiler.is_compiling():
            self._check_place(images, name)
            if self.validate == "always" or (self.validate == "first" and name not in self._validated):
                learning = name == "input" and images.requires_grad and torch.is_grad_enabled()
                training = learning and not self._bounded_input
                check_values(images, name, self.data_range, self.range_tolerance, training=training)
                self._validated.add(name)
        return self._fold(to_unit_range(images, self.data_range))

    def _channels(self) -> int | None:
        """How many channels images must have; None: any number."""
        return {"rgb": self._planes(), "gray": 1}.get(self.spec.channels)

    def _fold(self, images: Tensor) -> Tensor:
        """Make RGB of what came: grey is repeated, other channels become grey images of their own."""
        if self.spec.channels == "rgb":
            return images
        return images.flatten(0, 1).unsqueeze(1).expand(-1, self._planes(), -1, -1)

    def _planes(self) -> int:
        """How many channels the network takes."""
        return 3

    def _check_place(self, images: Tensor, name: str) -> None:
        """Check size, device and type against the loss's tensors; nothing to check by default."""

    def _target(self, target: Tensor | EncodedTarget, images: Tensor) -> Tensor | EncodedTarget:
        if not isinstance(target, EncodedTarget):
            return self._prepare(self._alike(images, target), "target")
        if target.shape != tuple(images.shape):
            raise EncodingError(
                f"the encoded target is of images {target.shape}; got input {tuple(images.shape)}. "
                "Encode the matching batch, or cut it: encoded[a:b]"
            )
        if torch.compiler.is_compiling():
            return target
        device = target.embeddings[0][0].device
        if device != images.device:
            raise EncodingError(
                f"the encoded target is on {device}, input on {images.device}; "
                f"move it: encoded.to('{images.device}')"
            )
        return target

    def _checked_maker(self, target: EncodedTarget) -> Tensor | None:
        """Refuse a target of another loss or state, by an operation that compiled code does as it runs.

        Returns:
            0, or None where a tracer or transform follows single operations.
        """
        if operations_are_watched() and not torch.compiler.is_compiling():
            self._check_encodable()
            self._check_maker(target.signature, target.state)
            return None
        like = target.embeddings[0][0].detach()
        zero: Tensor = torch.ops.lossnets.checked_target(like, self._handle, target.signature, target.state)
        return zero

    def _check_maker(self, made_by: str, made_in: str) -> None:
        """Refuse what another loss encoded, or this one with other weights.

        Raises:
            EncodingError: the signature or the state of the loss that encoded it is another one.
        """
        state, signature = self._state(), self._signature(exact=False)
        if made_in != state and _but_weights(made_by) == _but_weights(signature):
            raise EncodingError(
                "the encoded target is stale: the weights of the loss that made it are not those that this "
                "loss has now; encode it again"
            )
        if made_by != signature or made_in != state:
            raise EncodingError(
                "the encoded target was made by another loss; encode it with this one.\n"
                f"  made by: {made_by}\n  this is: {signature}"
            )

    def _check_encodable(self) -> None:
        """Refuse encoded targets where it cannot be told what the loss is now."""

    def _alike(self, images: Tensor, target: Any) -> Tensor:
        """The target, unless its shape or device is another one than that of the images."""
        if not isinstance(target, Tensor):
            return check_layout(target, "target")  # raises, and says what images are
        if target.shape != images.shape:
            raise ImageError(
                f"input and target must have the same shape; got {tuple(images.shape)} and "
                f"{tuple(target.shape)}. Images are never resized or repeated silently"
            )
        if target.device != images.device:
            raise ImageError(
                f"input and target must be on the same device; got {images.device} and {target.device}. "
                f"Move one: target.to('{images.device}')"
            )
        return target

    def _map_terms(
        self,
        images: Tensor,
        target: Tensor | EncodedTarget,
        mask: Tensor | None,
        output: str,
        shape: tuple[int, ...],
    ) -> Iterator[tuple[str, Tensor]]:
        if isinstance(target, EncodedTarget):
            raise EncodingError("maps and masks need the target's images, not an encoded target")
        area = None if mask is None else self._mask(mask, images, shape)
        for tap, term in self._maps(images, target):
            if area is not None:
                share = area_resize(area, term.shape[2], term.shape[3])
                term = term * (share / share.mean((1, 2, 3), keepdim=True))
            yield tap, area_resize(term, shape[2], shape[3]) if output == "map" else term.mean((1, 2, 3))

    def _mask(self, mask: Tensor, images: Tensor, shape: tuple[int, ...]) -> Tensor:
        shape = tuple(int(n) for n in shape)  # tensors, while a tracer records them
        allowed = {(shape[0], 1, *shape[2:]), (1, 1, *shape[2:])}
        if not isinstance(mask, Tensor) or tuple(mask.shape) not in allowed:
            got = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
            raise ImageError(f"mask must have shape {(shape[0], 1, *shape[2:])}; got {got}")
        area = checked_mask(mask.to(images))
        return area.expand(shape[0], -1, -1, -1).repeat_interleave(images.shape[0] // shape[0], 0)

    def _unfold(self, term: Tensor, count: int) -> Tensor:
        """Average the channels of an image where each was compared on its own."""
        return term if term.shape[0] == count else term.reshape(count, -1, *term.shape[1:]).mean(1)

    def _collect(self, terms: Iterator[tuple[str, Tensor]], output: str, per_tap: bool) -> Any:
        if per_tap:
            return {tap: self._reduce(term, output) for tap, term in terms}
        total: Tensor | None = None
        for _, term in terms:
            total = term if total is None else total + term
        assert total is not None  # noqa: S101 - every loss has at least one tap
        return self._reduce(total, output)

    def extra_repr(self) -> str:
        """What goes into the number, for ``print``."""
        return f"{self.name!r}, data_range={self.data_range}, reduction={self.reduction!r}"

    def _reduce(self, values: Tensor, output: str) -> Tensor:
        if output == "map" or self.reduction == "none":
            return values
        return values.mean() if self.reduction == "mean" else values.sum()


_HANDLES = itertools.count()
_BY_HANDLE: weakref.WeakValueDictionary[int, ImageLoss] = weakref.WeakValueDictionary()


def _register(loss: ImageLoss) -> int:
    """A number by which compiled code finds a loss again."""
    handle = next(_HANDLES)
    _BY_HANDLE[handle] = loss
    return handle


@torch.library.custom_op("lossnets::checked_target", mutates_args=())
def _check_target(like: Tensor, handle: int, signature: str, state: str) -> Tensor:
    """A zero, if the loss is still the one that encoded the target: a step of compiled code."""
    _BY_HANDLE[handle]._check_maker(signature, state)
    return like.new_zeros((), dtype=torch.float32)


@_check_target.register_fake
def _(like: Tensor, handle: int, signature: str, state: str) -> Tensor:  # noqa: ARG001
    return like.new_zeros((), dtype=torch.float32)


def _but_weights(signature: str) -> list[str]:
    """What a signature says apart from the weights."""
    return [part for part in signature.split("|") if not part.startswith(("weights:", "code:"))]


def check_beside(images: Tensor, name: str, own: Tensor) -> None:
    """Refuse images on another device than a loss's own tensors, or float64 ones that it would round.

    Raises:
        ImageError: the message names the argument and how to move or convert it, or the loss.
    """
    if images.device != own.device:
        raise ImageError(
            f"{name} is on {images.device}, the loss on {own.device}; "
            f"move the loss: loss.to('{images.device}')"
        )
    if images.dtype == torch.float64 and own.dtype != torch.float64:
        raise ImageError(f"{name} is float64, the loss {own.dtype}; call loss.double(), or {name}.float()")
