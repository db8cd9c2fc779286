"""The perceptual loss: network + {tap: weight} + distance.

L(x, y) = sum over taps k of weight_k * distance(features_k(x), features_k(y))
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lossnets.distances import Distance
from lossnets.errors import ConfigError, EncodingError
from lossnets.frozen import Follower, Move
from lossnets.images.contract import RANGE_TOLERANCE, DataRange
from lossnets.losses.base import NUMERICS_VERSION, ImageLoss, check_beside
from lossnets.losses.encoded import EncodedTarget
from lossnets.losses.heads import check_head, head_hash
from lossnets.losses.parts import Taps, TapWeights, build_network, fixed_weights, make_spec, own_identity
from lossnets.losses.spec import LossSpec
from lossnets.networks import LossNetwork
from lossnets.networks.catalogue import DEFAULT_NETWORK
from lossnets.networks.graph import has_products
from lossnets.networks.load import Weights
from lossnets.networks.weights import state_sha256
from lossnets.torch_state import operations_are_watched, standard_state


class PerceptualLoss(ImageLoss):
    """Difference of two images in the features of a loss network: (N, 3, H, W) x 2 -> a number, or (N,).

    The network is frozen, stays in eval mode under any parent, adds no key to ``state_dict()`` and no
    trainable parameter, and moves with ``.to()``. See `ImageLoss.forward` for the call.

    Args:
        network: a name (`list_networks`) or a `LossNetwork` (`load_network`, `wrap_network`).
        taps: {tap: positive weight}, or names (weights 1); None: the study's points of the network.
        distance: a `Distance` or its text: ``spatial`` (mean squared difference), ``l1``,
            ``lpips`` (= ``unit-spatial-sum``), ``gram``, ``unit-spatial+sort``, ...; or any function
            of two feature maps to (N,) (then maps, masks, channel weights and a name that parses are
            not available).
        weights: of the network, see `load_network`; only with a network name.
        data_range: (low, high) of the images; uint8 is always 0..255.
        reduction: ``mean``, ``sum`` or ``none`` over the batch.
        channels: ``rgb``, ``gray`` (one channel, repeated) or ``per-channel`` (any number of
            channels, each compared as a grey image, averaged).
        pooling: ``max``, or ``avg`` to replace max pooling.
        normalize_input: subtract mean and divide by std as the weights expect; False reproduces the
            training benchmarks of the study as published, which fed the network images in [0, 1].
        compute_dtype: ``torch.bfloat16`` or ``torch.float16`` run the network in that type;
            normalisation, difference and sums stay in float32. Default float32, also under autocast.
            float16 needs a gradient scaler, as everywhere: small gradients (``gram``) vanish without.
        channel_weights: {tap: non-negative (C,) tensor}, e.g. of a trained head.
        trainable: ``none``, ``head`` (the channel weights, kept non-negative) or ``all``.
        double_backward: allow second derivatives (gradient penalties); slower, and more memory.
        signature: what a distance function of your own is, stated by you, in place of the hash of its code,
            captured values, defaults and globals (functions that keep a state outside of these need it).
        validate: check the value range ``always``, on the ``first`` call, or ``never``.
        range_tolerance: share of the range by which values may leave it.

    Raises:
        UnknownNameError: unknown network, tap or distance.
        ConfigError: settings that do not go together.
        WeightsError: the weights cannot be had, are damaged, or do not fit.

    >>> loss = PerceptualLoss("vgg16", {"relu2_2": 1.0, "relu3_3": 0.5}, weights="random-0")
    >>> str(loss)
    'vgg16/relu2_2,relu3_3=0.5:weights=random-0'
    >>> x, y = torch.rand(2, 3, 32, 32, requires_grad=True), torch.rand(2, 3, 32, 32)
    >>> loss(x, y).backward()
    >>> target = loss.encode(y)  # once, for many x
    >>> bool(torch.allclose(loss(x, target), loss(x, y)))
    True
    """

    network: LossNetwork

    @standard_state()
    def __init__(
        self,
        network: str | LossNetwork = DEFAULT_NETWORK,
        taps: Taps | None = None,
        *,
        distance: str | Distance | Callable[[Tensor, Tensor], Tensor] = "spatial",
        weights: Weights = "default",
        data_range: DataRange = (0.0, 1.0),
        reduction: str = "mean",
        channels: str = "rgb",
        pooling: str = "max",
        normalize_input: bool = True,
        compute_dtype: torch.dtype = torch.float32,
        channel_weights: Mapping[str, Tensor] | None = None,
        trainable: str = "none",
        double_backward: bool = False,
        signature: str = "",
        validate: str = "always",
        range_tolerance: float = RANGE_TOLERANCE,
    ) -> None:
        if trainable not in ("none", "head", "all"):
            raise ConfigError(f"trainable must be 'none', 'head' or 'all'; got {trainable!r}")
        built, weighted = build_network(network, taps, weights, pooling, normalize_input, trainable == "all")
        spec = make_spec(built, weighted, distance, channels, compute_dtype, normalize_input)
        super().__init__(
            spec,
            data_range=data_range,
            reduction=reduction,
            validate=validate,
            range_tolerance=range_tolerance,
            double_backward=double_backward,
        )
        self.trainable = trainable
        self._tap_weights = TapWeights(dict(weighted))
        self._function: Distance | Callable[[Tensor, Tensor], Tensor] = (
            spec.distance if isinstance(distance, (str, Distance)) else distance
        )
        self._stated = check_stated(signature, spec)
        if compute_dtype != torch.float32:
            if trainable == "all":
                raise ConfigError(
                    "compute_dtype other than float32 needs a frozen network; use trainable='none'"
                )
            built.compute_in(compute_dtype)
        if trainable == "all":
            self.network = built
        else:  # not registered: no key in state_dict(), nothing for DDP to broadcast; _apply moves it
            object.__setattr__(self, "network", built)
        parts = self._function.parts if isinstance(self._function, Distance) else ("own",)
        self._has_products = has_products(built.stages) or not {"gram", "own"}.isdisjoint(parts)
        self._set_head(channel_weights)

    def _set_head(self, channel_weights: Mapping[str, Tensor] | None) -> None:
        head = check_head(channel_weights, self.network.taps) if channel_weights is not None else {}
        if self.trainable in ("head", "all") and isinstance(self._function, Distance):
            head = head or {tap.name: torch.ones(tap.channels) for tap in self.network.taps}
        if head and not isinstance(self._function, Distance):
            raise ConfigError("channel_weights need a Distance, not a function of your own")
        if head and self._function.compare == "gram":  # type: ignore[union-attr]
            raise ConfigError("channel_weights have no meaning for compare='gram'; leave them out")
        if channel_weights is not None:
            self._spec = replace(self.spec, head="custom")
        self._order = tuple(tap.name for tap in self.network.taps)
        self._follow_images = False
        parameters = [nn.Parameter(head[name]) for name in self._order] if head else []
        self._frozen_head: tuple[Tensor, ...] = ()
        if self.trainable == "none":
            self._frozen_head = tuple(p.detach() for p in parameters)
        else:
            self.head = nn.ParameterList(parameters)

    @property
    def min_size(self) -> int:
        """Smallest image side in pixels."""
        return self.network.min_size

    def ignored_border(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of (height, width) images without influence (`LossNetwork.ignored_border`)."""
        return self.network.ignored_border(height, width)

    def _planes(self) -> int:
        return self.network.mean.shape[1]

    @property
    def tap_weights(self) -> TapWeights:
        """{tap: weight}, in the order of computation; cannot be changed."""
        return self._tap_weights

    @tap_weights.setter
    def tap_weights(self, weights: object) -> None:
        del weights
        raise fixed_weights()

    @property
    def channel_weights(self) -> dict[str, Tensor]:
        """Channel weights by tap; empty where there are none."""
        values = self._head()
        return {} if values is None else dict(zip(self._order, values, strict=True))

    def _head(self) -> tuple[Tensor, ...] | None:
        if self.trainable == "none":
            return self._frozen_head or None
        if len(self.head) == 0:
            return None
        # Projected gradient descent: a step may leave the allowed set.
        if operations_are_watched():  # the gradient passes through, so that no weight is stuck at 0
            return tuple(w + (w.clamp(min=0) - w).detach() for w in self.head)
        with torch.no_grad():
            for weights in self.head:
                if bool((weights < 0).any()):
                    weights.clamp_(min=0)
        return tuple(self.head)

    def signature(self) -> str:
        """Name, weights and head by hash, input normalisation, version of the definitions, as they are now.

        The same signature means the same number, up to rounding of the machine. Weights that are no longer
        those that were loaded show as ``CHANGED``; a function or network of your own that cannot be
        identified by its content shows as ``unidentified``, with a number that no other one has.
        """
        return self._signature(exact=True)

    def _signature(self, *, exact: bool) -> str:
        network = self.network
        content = network.content(exact=exact)
        if self.trainable == "all":
            weights = f"TRAINED:state-sha256:{state_sha256(network.stage_state())}"
            loaded = network.loaded_content()
            if loaded is None or loaded.structure != content.structure:  # hooks, layers, training mode
                weights += f":structure:{content.structure}"
        elif content == network.loaded_content():
            weights = f"{network.weights_name}:sha256:{network.weights_sha256}"
        else:
            weights = f"CHANGED:content-sha256:{content.sha256}"
        mean, std = (",".join(f"{v:.6g}" for v in b.flatten().tolist()) for b in (network.mean, network.std))
        parts = [self.name, f"weights:{weights}", f"mean:{mean}", f"std:{std}"]
        head = head_hash(self.channel_weights)
        parts += [f"head:sha256:{head}"] if head else []
        if not isinstance(self._function, Distance):
            parts.append(own_identity("function", self._function, self._stated))
        if network.spec.library == "user":  # a name of the user's own does not say what it computes
            parts.append(own_identity("code", content, network.spec.stated))
        dtype = str(network.dtype).removeprefix("torch.")
        parts += [f"computed:{dtype}"] if dtype != self.spec.dtype else []
        return "|".join([*parts, f"numerics:{max(NUMERICS_VERSION, self.spec.distance.numerics)}"])

    def _state(self) -> str:
        return f"{self.network.content().sha256}:{self.network.dtype}"

    def _check_encodable(self) -> None:
        if self.trainable != "none" and operations_are_watched():
            raise EncodingError(
                "inside a tracer or a transform of torch.func the weights of a trainable loss cannot be "
                "compared with those that encoded the target; pass the target's images"
            )

    def _check_place(self, images: Tensor, name: str) -> None:
        self._join_images(images.device)
        check_beside(images, name, self.network.mean)
        self.network.check_size(images.shape[2], images.shape[3])

    def _arithmetic(self) -> contextlib.AbstractContextManager[object]:
        twice = self.double_backward or (operations_are_watched() and not torch.compiler.is_compiling())
        if self._has_products and twice:  # the fast attention has first derivatives only
            return sdpa_kernel(SDPBackend.MATH)
        return contextlib.nullcontext()

    def _features(self, images: Tensor) -> Iterator[Tensor]:
        return self.network.features(images.to(self.network.mean.dtype))

    def _steps(self) -> Iterator[tuple[str, float, Tensor | None]]:
        head = self._head()
        for k, tap in enumerate(self.network.taps):
            yield tap.name, self.tap_weights[tap.name], None if head is None else head[k]

    def _distances(self, images: Tensor, target: Tensor | EncodedTarget) -> Iterator[tuple[str, Tensor]]:
        """One tap of both images at a time, so that the maps of a tap are free before the next comes."""
        ours = self._features(images)
        theirs = None if isinstance(target, EncodedTarget) else self._features(target)
        frozen_target = isinstance(target, Tensor) and not target.requires_grad and self.trainable != "all"
        for k, (tap, weight, channel_weights) in enumerate(self._steps()):
            features = next(ours)
            if theirs is None:
                assert isinstance(target, EncodedTarget)  # noqa: S101 - the other case of the union
                value = self._compare_encoded(features, target.embeddings[k], target.raw, channel_weights)
            else:
                if frozen_target:
                    with torch.no_grad():
                        other = next(theirs)
                else:
                    other = next(theirs)
                value = self._compare(features, other, channel_weights)
                del other
            del features
            yield tap, value if weight == 1.0 else weight * value

    def _compare(self, features: Tensor, other: Tensor, channel_weights: Tensor | None) -> Tensor:
        distance = self._function
        if not isinstance(distance, Distance):
            return _own_distance(distance, features, other)
        spatial = distance.compare == "spatial"
        embedded = (other,) if spatial else distance.embed(other)
        return distance.between(features, embedded, channel_weights, raw=spatial, plain=self.double_backward)

    def _compare_encoded(
        self, features: Tensor, embedding: tuple[Tensor, ...], raw: bool, channel_weights: Tensor | None
    ) -> Tensor:
        distance = self._function
        if not isinstance(distance, Distance):
            return _own_distance(distance, features, embedding[0])
        return distance.between(features, embedding, channel_weights, raw=raw, plain=self.double_backward)

    def _encode(self, images: Tensor) -> tuple[tuple[tuple[Tensor, ...], ...], bool]:
        distance = self._function
        half = self.network.dtype in (torch.float16, torch.bfloat16)
        keep = not isinstance(distance, Distance) or (half and distance.compare == "spatial")
        embed = (lambda f: (f,)) if keep else distance.embed  # type: ignore[union-attr]
        return tuple(embed(f) for f in self._features(images)), keep

    def _maps(self, images: Tensor, target: Tensor) -> Iterator[tuple[str, Tensor]]:
        if not isinstance(self._function, Distance):
            raise ConfigError("maps and masks need a Distance, not a function of your own")
        ours, theirs = self._features(images), self._features(target)
        for (tap, weight, channel_weights), record in zip(self._steps(), self.network.taps, strict=True):
            if record.layout not in ("NCHW", "NHWC"):
                raise ConfigError(f"tap {tap!r} has no positions in the image (layout {record.layout})")
            yield tap, weight * self._function.map(next(ours), next(theirs), channel_weights)

    def channel_distances(self, input: Tensor, target: Tensor) -> dict[str, Tensor]:  # noqa: A002
        """Each channel's share of the distance, before channel weights: {tap: (N, C)}.

        With channel weights w the loss is the sum over taps of ``weight * (share @ w)``; training a
        head needs nothing else, so these shares can be computed once and kept.

        Raises:
            ConfigError: the distance is not a sum over channels (``gram``, ``l2``).
        """
        if not isinstance(self._function, Distance):
            raise ConfigError("channel distances need a Distance, not a function of your own")
        images = self._prepare(input, "input")
        other = self._prepare(self._alike(input, target), "target")
        with torch.autocast(images.device.type, enabled=False):
            pairs = zip(self._features(images), self._features(other), strict=True)
            shares = {tap: self._function.per_channel(*p) for tap, p in zip(self._order, pairs, strict=True)}
        return {tap: self._unfold(share, input.shape[0]) for tap, share in shares.items()}

    @standard_state()
    def _apply(self, fn: Move, recurse: bool = True) -> PerceptualLoss:
        """Let the frozen network and head follow the host; their values and precision stay."""
        network = self.network
        follower = Follower(fn, network.mean.device, torch.float32)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.trainable != "all":
            network._apply(fn)
        self._frozen_head = tuple(follower.exact(weights) for weights in self._frozen_head)
        return self

    def _replicate_for_data_parallel(self) -> PerceptualLoss:
        """A replica of `torch.nn.DataParallel`, which copies only what is registered."""
        replica: PerceptualLoss = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica._follow_images = self.trainable != "all"
        return replica

    def _join_images(self, device: torch.device) -> None:
        if self._follow_images and self.network.mean.device != device:
            object.__setattr__(self, "network", copy.deepcopy(self.network).to(device))
            self._frozen_head = tuple(weights.to(device) for weights in self._frozen_head)

    def extra_repr(self) -> str:
        """What goes into the number, for ``print``."""
        mean, std = (
            tuple(round(v, 4) for v in b.flatten().tolist()) for b in (self.network.mean, self.network.std)
        )
        return (
            f"{super().extra_repr()}, "
            f"weights={self.network.weights_name!r}, sha256={self.network.weights_sha256[:12]}..., "
            f"mean={mean}, std={std}, min_size={self.min_size}, trainable={self.trainable!r}"
        )


def check_stated(signature: str, spec: LossSpec) -> str:
    """What the author of a distance function says that it is; only with such a function."""
    if not isinstance(signature, str) or "|" in signature:
        raise ConfigError(f"signature must be text without '|'; got {signature!r}")
    if signature and not spec.function:
        raise ConfigError(
            "signature is for a distance function of your own; the distances of this package say themselves "
            "what they are. A network of your own takes it in wrap_network(..., signature=...)"
        )
    return signature


def _own_distance(function: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    value = function(a, b)
    if not isinstance(value, Tensor) or value.shape != (a.shape[0],):
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ConfigError(f"distance must return one number per image, shape ({a.shape[0]},); got {got}")
    return value
