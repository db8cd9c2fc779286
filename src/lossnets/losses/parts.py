"""Turns what a user passes to `PerceptualLoss` into parts: the network, the taps, the spec, hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn
from urllib.parse import quote

import torch

from lossnets.content import Content, content_of
from lossnets.distances import Distance, parse_distance
from lossnets.errors import ConfigError
from lossnets.losses.spec import LossSpec, canonical_taps, canonical_weights
from lossnets.networks import LossNetwork, load_network
from lossnets.networks.load import Weights

Taps = Mapping[str, float] | Sequence[str] | str
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TapWeights(Mapping[str, float]):
    """{tap: weight} of a loss, in the order of computation; part of its name, so it cannot be changed."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)

    def __getitem__(self, tap: str) -> float:
        return self._weights[tap]

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def __repr__(self) -> str:
        return repr(self._weights)

    def __setitem__(self, tap: str, weight: float) -> NoReturn:
        raise fixed_weights()

    def __delitem__(self, tap: str) -> NoReturn:
        raise fixed_weights()


def fixed_weights() -> ConfigError:
    """Why tap weights cannot be changed, and what to do."""
    return ConfigError(
        "tap_weights are part of the loss's name and cannot be changed. Build another loss with the weights "
        "that you want: PerceptualLoss(network, {tap: weight}); the same LossNetwork may serve both"
    )


def own_identity(part: str, value: object, stated: str) -> str:
    """What a signature says of a function or network of the user's own: ``function:sha256:...``.

    Args:
        part: ``function`` or ``code``.
        value: what is identified by content, or what its `Content` is known to be.
        stated: what its author says that it is, instead of its content; or empty.
    """
    if stated:
        return f"{part}:stated:{quote(stated, safe='/._-+~ ')}"
    content = value if isinstance(value, Content) else content_of(value)
    kind = f"unidentified({','.join(content.unidentified)})" if content.unidentified else "sha256"
    return f"{part}:{kind}:{content.sha256}"


def build_network(
    network: str | LossNetwork,
    taps: Taps | None,
    weights: Weights,
    pooling: str,
    normalize: bool,
    trainable: bool,
) -> tuple[LossNetwork, tuple[tuple[str, float], ...]]:
    """The network, cut at its taps, and (canonical tap name, weight) in the order of computation."""
    named: dict[str, float] | None = None
    if isinstance(taps, str):
        named = {taps: 1.0}
    elif isinstance(taps, Mapping):
        named = {str(tap): float(weight) for tap, weight in taps.items()}
    elif taps is not None:
        named = {str(tap): 1.0 for tap in taps}
        if len(named) != len(list(taps)):
            raise ConfigError(f"taps has a name twice; got {list(taps)!r}")
    mean, std = (None, None) if normalize else ((0.0,) * 3, (1.0,) * 3)
    if isinstance(network, str):
        built = load_network(
            network, None if named is None else list(named), weights=weights, pooling=pooling,
            trainable=trainable, mean=mean, std=std,
        )  # fmt: skip
        if named is not None:
            return built, canonical_taps(built.blueprint, named)
    elif isinstance(network, LossNetwork):
        if weights != "default" or pooling != "max" or not normalize:
            raise ConfigError(
                "weights, pooling and normalize_input belong to load_network when network is a LossNetwork"
            )
        if trainable != network.trainable:
            raise ConfigError("load the network with trainable=True to train it, False to freeze it")
        built = network
    else:
        raise ConfigError(
            f"network must be a name or a LossNetwork; got {type(network).__name__}. Wrap your own module: "
            "lossnets.wrap_network(module, taps)"
        )
    named = named if named is not None else {tap.name: 1.0 for tap in built.taps}
    weighted = canonical_taps(built.blueprint, named)
    return built.select([tap for tap, _ in weighted]), weighted


def make_spec(
    network: LossNetwork,
    taps: tuple[tuple[str, float], ...],
    distance: object,
    channels: str,
    compute_dtype: torch.dtype,
    normalize: bool,
) -> LossSpec:
    """What identifies the loss; refuses settings that do not exist."""
    if channels not in ("rgb", "gray", "per-channel"):
        raise ConfigError(f"channels must be one of rgb, gray, per-channel; got {channels!r}")
    dtype = next((name for name, value in _DTYPES.items() if value == compute_dtype), None)
    if dtype is None:
        raise ConfigError(f"compute_dtype must be torch.float32, bfloat16 or float16; got {compute_dtype}")
    if isinstance(distance, str):
        distance = parse_distance(distance)
    elif not isinstance(distance, Distance) and not callable(distance):
        raise ConfigError(f"distance must be text, a Distance or a function; got {type(distance).__name__}")
    return LossSpec(
        "perceptual",
        network.name,
        taps,
        distance if isinstance(distance, Distance) else Distance(),
        weights="custom"
        if network.weights_name == "module"
        else canonical_weights(network.spec, network.origin),
        pooling=network.blueprint.pooling,
        input="normalised" if normalize else "raw",
        channels=channels,
        dtype=dtype,
        function="" if isinstance(distance, Distance) else getattr(distance, "__name__", "own"),
    )
