"""Loss names: one line of text that identifies a loss, parses back to it, and is its key in results.

    NETWORK/TAP[=WEIGHT][,TAP[=WEIGHT]...][:DISTANCE][:OPTION=VALUE]...
    pixel:mse   pixel:l1   pixel:l2   pixel:ssim   lpips:alexnet   lpips:vgg16:version=0.0
    pgn:NAME   pgn:PATH:dtype=bfloat16   (gradient networks: `lossnets.gradients.pretrained`)

>>> str(parse_loss("vgg16/features.8,15"))
'vgg16/relu2_2,relu3_3'
>>> parse_loss("vgg16/relu3_3:unit-spatial-sum:weights=random-0").weights
'random-0'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import quote, unquote

from lossnets.distances import Distance, parse_distance
from lossnets.errors import ConfigError, unknown_name
from lossnets.losses.families import family_names, find_family
from lossnets.networks import NetworkSpec, blueprint, list_networks, network_spec

PIXEL_METRICS = {"mse": "squared_l2", "l1": "l1", "l2": "l2"}
PIXEL_LOSSES = (*PIXEL_METRICS, "ssim", "bce")
LPIPS_NETWORKS = {
    "alexnet": "alexnet", "alex": "alexnet", "vgg16": "vgg16", "vgg": "vgg16",
    "squeezenet1_1": "squeezenet1_1", "squeeze": "squeezenet1_1",
}  # fmt: skip
LPIPS_VERSIONS = ("0.1", "0.0")
OPTIONS = ("weights", "pooling", "input", "channels", "dtype", "head")
_LPIPS_OPTIONS = ("weights", "channels", "dtype", "version")
_PRINTED = (*OPTIONS, "version", "function")
_RANDOM = re.compile(r"random(?:-(\d+))?")
_COLON = re.compile(r"(?<![=:][A-Za-z]):|:(?![\\/])")  # not that of a Windows drive: weights=C:\\vgg16.pth
_FILES = (".pth", ".pt", ".bin", ".safetensors", ".ckpt")
_SAFE = "/._-+~"  # of a value, what stays readable: everything else is percent-quoted


@dataclass(frozen=True)
class LossSpec:
    """What identifies a loss. ``str(spec)`` is its loss name; ``parse_loss`` reads it back.

    Attributes:
        family: ``perceptual``, ``pixel``, ``lpips``, or one made elsewhere: ``pgn``.
        network: name of the loss network (for ``pixel``: mse, l1, l2, ssim or bce; for ``pgn``: name or
            file of the gradient network).
        taps: (tap name, weight) in the order of computation.
        distance: how two feature maps are compared.
        weights: of the network; see `load_network`. A state dict or module prints as ``custom``.
        pooling: ``max``, or ``avg`` to replace max pooling.
        input: ``normalised`` (what the weights were trained on), or ``raw``: the images in [0, 1] as
            they are, which reproduces the published training benchmarks of the study.
        channels: ``rgb``, ``gray`` (one channel, repeated) or ``per-channel`` (any number, averaged).
        dtype: in which the network computes: ``float32``, ``bfloat16`` or ``float16``.
        head: file with a non-negative weight per channel, or empty.
        version: of the LPIPS heads.
        function: name of a distance function of the user's own; printed, but cannot be parsed back.
    """

    family: str
    network: str
    taps: tuple[tuple[str, float], ...] = ()
    distance: Distance = field(default_factory=Distance)
    weights: str = "default"
    pooling: str = "max"
    input: str = "normalised"
    channels: str = "rgb"
    dtype: str = "float32"
    head: str = ""
    version: str = ""
    function: str = ""

    def __str__(self) -> str:
        """The canonical loss name."""
        kept: str | None = self.__dict__.get("_text")
        if kept is None:  # nothing in a spec ever changes, and losses ask for their name on every call
            kept = ":".join([self._stem(), *self._options()])
            object.__setattr__(self, "_text", kept)
        return kept

    def _stem(self) -> str:
        if self.family == "pixel":
            return f"pixel:{self.network}"
        if self.family == "lpips":
            return f"lpips:{self.network}"
        if self.family != "perceptual":
            return f"{self.family}:{quote(self.network, safe=_SAFE)}"
        taps = ",".join(name if weight == 1.0 else f"{name}={weight!r}" for name, weight in self.taps)
        return f"{self.network}/{taps}"

    def _options(self) -> Iterator[str]:
        plain = LossSpec(self.family, self.network)
        if self.family == "perceptual" and self.distance != plain.distance:
            yield str(self.distance)
        for name in _PRINTED:
            value = getattr(self, name)
            default = (
                LPIPS_VERSIONS[0] if (name, self.family) == ("version", "lpips") else getattr(plain, name)
            )
            if value != default:
                yield f"{name}={quote(value, safe=_SAFE)}"

    def files(self) -> dict[str, str]:
        """Option -> path, of the options that name a file; ``network`` is that of a gradient network."""
        found = {"head": self.head} if self.head else {}
        if self.family in family_names():
            found = {"network": self.network}
        elif self.family != "pixel":
            found["weights"] = self.weights
        return {option: path for option, path in found.items() if option == "head" or _is_path(path)}

    def portable(self) -> LossSpec:
        """The same without the folders that its files lie in: what moves with them does not change."""
        names = {option: PureWindowsPath(path).name for option, path in self.files().items()}
        return replace(self, **names) if names else self  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        """Equal to a spec of the same name, and to a loss that has it."""
        if not isinstance(other, LossSpec):
            other = getattr(other, "spec", None)
        return isinstance(other, LossSpec) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def parse_loss(name: str | LossSpec) -> LossSpec:
    """Read a loss name. Nothing is loaded, but every network, tap, option and value is checked.

    Raises:
        UnknownNameError: an unknown network, tap, distance or option, with the nearest names.
        ConfigError: the text has not the form of a loss name.
    """
    if isinstance(name, LossSpec):
        return name
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"a loss name is text such as 'vgg16/relu3_3' or 'pixel:mse'; got {name!r}")
    stem, *rest = _COLON.split(name.strip())
    if stem in ("pixel", "lpips"):
        return _parse_family(stem, rest, name)
    family = find_family(stem)
    if family is not None:
        return family.parse(rest, name)
    if "/" not in stem:
        raise _not_a_loss(stem, name)
    network, _, taps = stem.rpartition("/")
    spec = _with_options(LossSpec("perceptual", network), rest, name)
    plan = blueprint(network, spec.pooling)
    return replace(
        spec,
        network=plan.spec.name,
        taps=canonical_taps(plan, _parse_taps(taps, name)),
        weights=canonical_weights(plan.spec, spec.weights),
    )


def _is_path(text: str) -> bool:
    return bool(set("/\\") & set(text)) or text.endswith(_FILES)


def canonical_weights(network: NetworkSpec, weights: str) -> str:
    """One text for the same weights: ``random`` is ``random-0``, the name of the default ``default``."""
    random = _RANDOM.fullmatch(weights)
    if random:
        return f"random-{int(random.group(1) or 0)}"
    return "default" if network.weights is not None and weights == network.weights.name else weights


def _not_a_loss(stem: str, name: str) -> ConfigError:
    known = list_networks()
    if stem in known:
        return ConfigError(
            f"loss name {name!r} has no taps. Write {stem}/TAP[,TAP...]; the taps: lossnets taps {stem}"
        )
    return unknown_name(
        "loss", name, ["pixel:mse", "pixel:l1", "lpips:alexnet", "pgn:NAME", *known], see="lossnets networks"
    )


def _parse_family(family: str, rest: list[str], name: str) -> LossSpec:
    if not rest:
        raise ConfigError(f"loss name {name!r} must be {family}:NAME")
    known = PIXEL_LOSSES if family == "pixel" else tuple(LPIPS_NETWORKS)
    if rest[0] not in known:
        raise unknown_name(f"{family} loss", rest[0], known)
    if family == "pixel":
        if rest[1:]:
            raise ConfigError(f"loss name {name!r} must be pixel:{rest[0]}; pixel losses have no options")
        return LossSpec("pixel", rest[0], distance=Distance(metric=PIXEL_METRICS.get(rest[0], "squared_l2")))
    network = network_spec(LPIPS_NETWORKS[rest[0]])
    spec = LossSpec("lpips", network.name, distance=parse_distance("lpips"), version=LPIPS_VERSIONS[0])
    for option in rest[1:]:
        if option.partition("=")[0] not in _LPIPS_OPTIONS:
            raise unknown_name("option of lpips losses", option.partition("=")[0], _LPIPS_OPTIONS)
    spec = _with_options(spec, rest[1:], name)
    return replace(spec, weights=canonical_weights(network, spec.weights))


def _parse_taps(text: str, name: str) -> dict[str, float]:
    taps: dict[str, float] = {}
    for item in text.split(","):
        tap, equals, weight = item.partition("=")
        if not tap:
            raise ConfigError(f"loss name {name!r} has an empty tap; write NETWORK/TAP[=WEIGHT][,TAP...]")
        if tap in taps:
            raise ConfigError(f"loss name {name!r} has tap {tap!r} twice")
        try:
            taps[tap] = float(weight) if equals else 1.0
        except ValueError:
            raise ConfigError(f"the weight of tap {tap!r} must be a number; got {weight!r}") from None
    return taps


def canonical_taps(plan: Any, taps: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """Resolve taps to canonical names in the order of computation; refuse doubles and bad weights."""
    found: dict[str, float] = {}
    for tap, weight in taps.items():
        record = plan.resolve(tap)
        if record.name in found:
            raise ConfigError(f"taps name {record.name!r} of {plan.spec.name} twice (as {tap!r} too)")
        if not 0 < float(weight) < float("inf"):
            raise ConfigError(f"the weight of tap {tap!r} must be positive and finite; got {weight!r}")
        found[record.name] = float(weight)
    if not found:
        raise ConfigError(f"taps must name at least one extraction point of {plan.spec.name}; got none")
    order = [record.name for record in plan.taps.values()]
    return tuple(sorted(found.items(), key=lambda item: order.index(item[0])))


def _with_options(spec: LossSpec, options: list[str], name: str) -> LossSpec:
    seen: set[str] = set()
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            spec, key = replace(spec, distance=parse_distance(option)), "distance"
        elif key == "function":
            raise ConfigError(f"loss {name!r} compares with a function of its author's; build it in Python")
        elif key not in (_LPIPS_OPTIONS if spec.family == "lpips" else OPTIONS):
            raise unknown_name("loss option", key, OPTIONS)
        else:
            spec = replace(spec, **{key: _checked_option(key, unquote(value))})  # type: ignore[arg-type]
        if key in seen:
            raise ConfigError(f"loss name {name!r} gives {key} twice")
        seen.add(key)
    return spec


_ALLOWED = {
    "pooling": ("max", "avg"),
    "input": ("normalised", "raw"),
    "channels": ("rgb", "gray", "per-channel"),
    "dtype": ("float32", "bfloat16", "float16"),
    "version": LPIPS_VERSIONS,
}


def _checked_option(key: str, value: str) -> str:
    allowed = _ALLOWED.get(key)
    if allowed is not None and value not in allowed:
        raise unknown_name(f"value of {key}", value, allowed)
    if not value:
        raise ConfigError(f"loss option {key} has no value")
    return value
