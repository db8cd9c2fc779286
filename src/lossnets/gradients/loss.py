"""A gradient network used as a loss: the call of a perceptual loss, its gradient predicted.

from lossnets.gradients import PGNLoss
loss = PGNLoss.from_pretrained()
loss(input, target).backward()
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossnets.errors import ConfigError, ImageError
from lossnets.frozen import ContentWatch, Follower, Move
from lossnets.gradients.network import GradientNetwork, PerceptualGradientNetwork
from lossnets.images.contract import RANGE_TOLERANCE, DataRange
from lossnets.losses.base import NUMERICS_VERSION, ImageLoss, check_beside
from lossnets.losses.encoded import EncodedTarget
from lossnets.losses.spec import LossSpec
from lossnets.networks.weights import state_sha256
from lossnets.torch_state import operations_are_watched, standard_state

_COMPUTE = (torch.float32, torch.bfloat16)
_CHANNELS = ("rgb", "gray", "per-channel")


class _WithGradient(torch.autograd.Function):
    """value(x̂) whose gradient is a field that was computed beforehand; no graph behind it."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, value: Tensor, field: Tensor) -> Tensor:  # noqa: ARG004
        ctx.save_for_backward(field)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        if not torch.compiler.is_compiling() and torch.is_grad_enabled():
            raise ConfigError(
                "create_graph=True is not possible with a gradient network: its gradient is predicted, and "
                "the derivative of the prediction is not that of the loss. Use the loss that it imitates "
                "there, e.g. PerceptualLoss(..., double_backward=True)"
            )
        (field,) = ctx.saved_tensors
        return grad.view(-1, 1, 1, 1) * field, None, None


def _with_gradient(images: Tensor, value: Tensor, field: Tensor) -> Tensor:
    """``value`` (N,), with ``field`` (N, C, H, W) as its gradient with respect to ``images``."""
    if operations_are_watched():  # the same in operations that can be followed; adds exactly 0
        return value + ((images - images.detach()) * field).sum((1, 2, 3))
    out: Tensor = _WithGradient.apply(images, value, field)  # type: ignore[no-untyped-call]
    return out


class PGNLoss(ImageLoss):
    """A loss whose gradient a small network predicts: (N, 3, H, W) x 2 -> a number, or (N,).

    For the proxy family the value is MSE(x̂, t) / s (or the other distance), with t held constant: how far
    x̂ is from where the imitated loss would push it. For a distilled loss it is that loss. The gradient with
    respect to ``input`` is exactly the predicted field (times that of what comes behind); no graph is kept
    through the network. A ``target`` that requires a gradient is refused. Nikulin et al. 2021, eq. 3.

    The network is a frozen copy, adds no key to ``state_dict()`` and no trainable parameter, stays in eval
    mode and moves with ``.to()``. See `ImageLoss.forward` for the call.

    Args:
        pgn: the gradient network.
        name: what the loss is called: its loss name is ``pgn:NAME``.
        imitates: signature of the loss that it imitates, for the record.
        data_range: of the images.
        reduction: ``mean``, ``sum`` or ``none`` over the batch.
        channels: ``rgb``, ``gray`` (one channel, repeated) or ``per-channel`` (any number of
            channels, each compared as a grey image, averaged).
        compute_dtype: in which the network computes: float32 (what it is in), or bfloat16.
        validate: check the value range ``always``, on the ``first`` call, or ``never``.
        range_tolerance: share of the range by which values may leave it.

    >>> pgn = PerceptualGradientNetwork("shuffled", width=8, blocks=1)
    >>> loss = PGNLoss(pgn)
    >>> x, y = torch.rand(2, 3, 16, 16, requires_grad=True), torch.rand(2, 3, 16, 16)
    >>> loss(x, loss.encode(y)).backward()
    >>> x.grad.shape
    torch.Size([2, 3, 16, 16])
    """

    pgn: GradientNetwork

    @standard_state()
    def __init__(
        self,
        pgn: GradientNetwork,
        *,
        name: str = "custom",
        imitates: str = "",
        data_range: DataRange = (0.0, 1.0),
        reduction: str = "mean",
        channels: str = "rgb",
        compute_dtype: torch.dtype = torch.float32,
        validate: str = "always",
        range_tolerance: float = RANGE_TOLERANCE,
    ) -> None:
        if not isinstance(pgn, GradientNetwork):
            raise ConfigError(
                f"pgn must be a gradient network; got {type(pgn).__name__}. Read one from a file or by name: "
                "PGNLoss.from_pretrained(...)"
            )
        if compute_dtype not in _COMPUTE:
            raise ConfigError(
                f"compute_dtype must be torch.float32 or torch.bfloat16; got {compute_dtype}. For float64 "
                "call loss.double()"
            )
        if channels not in _CHANNELS:
            raise ConfigError(f"channels must be one of {', '.join(_CHANNELS)}; got {channels!r}")
        dtype = str(compute_dtype).removeprefix("torch.")
        spec = LossSpec("pgn", name, channels=channels, dtype=dtype)
        super().__init__(
            spec,
            data_range=data_range,
            reduction=reduction,
            validate=validate,
            range_tolerance=range_tolerance,
        )
        frozen = copy.deepcopy(pgn).eval().requires_grad_(False)  # the caller may go on training theirs
        object.__setattr__(self, "pgn", frozen)  # not registered: no key in state_dict(), nothing for DDP
        self.imitates = imitates
        self._compute_dtype = compute_dtype
        self._sha256 = _weights_hash(frozen)
        self._watch = ContentWatch(frozen)
        self._loaded = self._watch.content()
        self._follow_images = False

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, *, loss: str | ImageLoss | None = None,
        device: str | torch.device = "cpu", **options: Any,
    ) -> PGNLoss:  # fmt: skip
        """A trained one, by name or file; without a name the one that comes with the package.

        Args:
            name: a name of `list_pretrained`, or a checkpoint's path.
            loss: the loss that is to be imitated; a checkpoint of another one is refused.
            device: where it computes.
            options: of `PGNLoss`: ``data_range``, ``reduction``, ``compute_dtype``, ...

        Raises:
            UnknownNameError: there is no such name.
            WeightsError: the file is missing, damaged, no checkpoint, or imitates another loss.
        """
        from lossnets.gradients.pretrained import load_pgn_loss

        return load_pgn_loss(cls, name, loss=loss, **options).to(device)

    @property
    def min_size(self) -> int:
        """Smallest image side in pixels."""
        return self.pgn.min_size

    def signature(self) -> str:
        """Name, hash of the weights as they are now, the imitated loss, version of the definitions."""
        return self._signature(exact=True)

    def _signature(self, *, exact: bool) -> str:
        content = self._watch.content(exact=exact)
        weights = f"sha256:{self._sha256}"
        if content != self._loaded:
            weights = f"CHANGED:content-sha256:{content.sha256}"
        record = json.dumps(self.pgn.architecture.as_dict(), sort_keys=True)
        architecture = hashlib.sha256(record.encode()).hexdigest()[:16]
        parts = [self.name, f"architecture:{architecture}", f"weights:{weights}"]
        parts += [f"imitates:({self.imitates.replace('|', ';')})"] if self.imitates else []
        dtype = str(self.pgn.mean.dtype).removeprefix("torch.")
        parts += [f"computed:{dtype}"] if dtype != "float32" else []
        return "|".join([*parts, f"numerics:{NUMERICS_VERSION}"])

    def proxy(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 - as in forward
        """The proxy target t as images in the data range (it may leave it a little): -> (N, C, H, W)."""
        with torch.no_grad():
            images, other = self._prepare(input, "input"), self._prepare(self._alike(input, target), "target")
            t = self.pgn.denormalise(self.pgn.proxy(self.pgn.normalise(images), self.pgn.normalise(other)))
        if self.spec.channels != "rgb":  # one grey image, of the three channels that it was given as
            t = t.mean(1).view(input.shape)
        low, high = self.data_range
        return t * (high - low) + low

    def _target(self, target: Tensor | EncodedTarget, images: Tensor) -> Tensor | EncodedTarget:
        if isinstance(target, Tensor) and target.requires_grad and torch.is_grad_enabled():
            raise ImageError(
                "target requires a gradient, and a gradient network has one for input only. Pass "
                "target.detach(), or use the loss that it imitates"
            )
        return super()._target(target, images)

    def _distances(self, images: Tensor, target: Tensor | EncodedTarget) -> Iterator[tuple[str, Tensor]]:
        x = self.pgn.normalise(images)
        with torch.no_grad():
            kept = target.embeddings[0] if isinstance(target, EncodedTarget) else self._keep(target)
        if operations_are_watched():
            yield "proxy", self._watched(x, kept)
            return
        with torch.no_grad():
            if x.requires_grad:
                value, field = self._predict(x.detach(), kept)
            else:
                value, field = self._value(x, kept), None
        yield "proxy", value if field is None else _with_gradient(x, value, field)

    def _watched(self, x: Tensor, kept: tuple[Tensor, ...]) -> Tensor:
        """The value with its gradient in operations that a compiler, a tracer or a transform can follow."""
        if self.pgn.is_loss:  # its gradient is that of its value
            return self._value(x, kept)
        transforms = torch._C._are_functorch_transforms_active()
        if transforms or torch.autograd.forward_ad._current_level >= 0:
            raise ConfigError(
                f"{self.name} predicts a gradient for backward() and torch.autograd.grad; transforms of "
                "torch.func and forward-mode derivatives would take the derivative of the prediction. Use "
                "the loss that it imitates there"
            )
        with torch.no_grad():
            value, field = self._predict(x.detach(), kept)
        return _with_gradient(x, value, field)

    def _value(self, x: Tensor, kept: tuple[Tensor, ...]) -> Tensor:
        with self._autocast(x):
            return self.pgn.value(x, kept)

    def _keep(self, target: Tensor) -> tuple[Tensor, ...]:
        with self._autocast(target):
            return self.pgn.encode(self.pgn.normalise(target))

    def _predict(self, x: Tensor, kept: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        with self._autocast(x):
            return self.pgn.predict(x, kept)

    def _autocast(self, images: Tensor) -> torch.autocast:
        """Half precision for the network's layers only; images, distance and gradient stay float32."""
        half = self._compute_dtype == torch.bfloat16
        return torch.autocast(images.device.type, torch.bfloat16, enabled=half)

    def _encode(self, images: Tensor) -> tuple[tuple[tuple[Tensor, ...], ...], bool]:
        return (self._keep(images),), False

    def _maps(self, images: Tensor, target: Tensor) -> Iterator[tuple[str, Tensor]]:
        if not isinstance(self.pgn, PerceptualGradientNetwork):
            raise ConfigError(f"{self.name} has no map and takes no mask: only the proxy family does")
        x = self.pgn.normalise(images)
        with torch.no_grad(), self._autocast(x):
            t = self.pgn.proxy_encoded(x.detach(), self._keep(target))
        scale = self.pgn.architecture.grad_scale
        yield "proxy", self.pgn.pull.map(x, t, self.pgn.mean, self.pgn.std) / scale

    def _state(self) -> str:
        return f"{self._watch.content().sha256}:{self.pgn.mean.dtype}"

    def _check_place(self, images: Tensor, name: str) -> None:
        if self._follow_images and self.pgn.mean.device != images.device:
            object.__setattr__(self, "pgn", copy.deepcopy(self.pgn).to(images.device))
        check_beside(images, name, self.pgn.mean)
        if min(images.shape[2:]) < self.min_size:
            raise ImageError(
                f"{name} must be at least {self.min_size} pixels on each side for {self.name}; "
                f"got {tuple(images.shape[2:])}"
            )
        self.pgn.check_size(images.shape[2], images.shape[3])

    @standard_state()
    def _apply(self, fn: Move, recurse: bool = True) -> PGNLoss:
        """Let the frozen network follow the host; its values and its type stay."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        put = Follower(fn, self.pgn.mean.device, torch.float32).moved(self.pgn)
        if put is not None:
            put()
            self._watch = ContentWatch(self.pgn)
        return self

    def _replicate_for_data_parallel(self) -> PGNLoss:
        """A replica of `torch.nn.DataParallel`, which copies only what is registered."""
        replica: PGNLoss = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica._follow_images = True
        return replica

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: everything but the watch, which holds addresses of this process."""
        return {key: value for key, value in self.__dict__.items() if key != "_watch"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._watch = ContentWatch(self.pgn)

    def extra_repr(self) -> str:
        """What goes into the number, for ``print``."""
        a = self.pgn.architecture
        kind = f"{a.family} {a.backbone}".strip()
        return f"{super().extra_repr()}, {kind}, sha256={self._sha256[:12]}..., imitates={self.imitates!r}"


def _weights_hash(network: GradientNetwork) -> str:
    return state_sha256({key: value.detach().cpu() for key, value in network.state_dict().items()})
