"""What the settings of a training are checked for: kinds, names, ranges, what goes together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lossnets.errors import ConfigError, unknown_name
from lossnets.gradients.architecture import FAMILIES
from lossnets.gradients.backbones import BACKBONES
from lossnets.gradients.proxies import PROXIES
from lossnets.gradients.pulls import PULLS

if TYPE_CHECKING:
    from lossnets.gradients.training.config import PGNConfig

SCHEDULES = ("constant", "linear", "cosine")
PRECISIONS = ("32", "bf16")
OPTIMISERS = ("adam", "sgd")
FIT_KINDS = ("deep-decoder", "image-prior")
MULTIPLE = 16
"""Sides of crops are multiples of this: the generators halve images four times."""

PROXY_TERMS = ("proxy_loss", "proxy_l1", "proxy_mse_target", "proxy_mse_input")
WARP_TERMS = ("warp_tv", "warp_l2", "additive_l2")
TERMS = (
    "matching", "matching_cosine", "matching_norm", *PROXY_TERMS, "predicted_value", "jacobian_symmetry",
    "gradient_loss", "step_loss", *WARP_TERMS,
)  # fmt: skip
"""Terms of the meta-loss: fields of `PGNConfig` that hold a weight; `objective` defines them."""
_AT_LEAST_ONE = ("batch", "steps", "first_taps", "autoencoder_width", "log_every", "fits")
_POSITIVE = (
    "lr",
    "autoencoder_lr",
    "fit_lr",
    "step_size",
    "channel_lr",
    "clip_start",
    "matching_scale",
    "reset_above",
)


def checked(name: str, kind: Any, value: Any) -> Any:
    """The value as the setting's type has it: whole numbers for floats, lists for tuples are taken.

    Raises:
        ConfigError: it is of another kind, or not finite.
    """
    text = str(kind)
    if text.startswith("tuple"):
        item = text[text.index("[") + 1 :].split(",")[0]
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise _wrong_kind(name, f"a list of {_NAMED[item]}", value)
        return tuple(checked(name, item, v) for v in value)
    if text.startswith("dict"):
        if not isinstance(value, Mapping):
            raise _wrong_kind(name, "a record of settings", value)
        return dict(value)
    if text == "float" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, _TYPES[text]) or isinstance(value, bool):
        raise _wrong_kind(name, _NAMED[text], value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number; got {value}")
    return value


_TYPES: dict[str, type] = {"float": float, "int": int, "str": str}
_NAMED = {"float": "a number", "int": "a whole number", "str": "text"}


def _wrong_kind(name: str, wanted: str, got: Any) -> ConfigError:
    return ConfigError(f"{name} must be {wanted}; got {got!r}")


def check_config(config: PGNConfig) -> None:
    """Everything that one value alone does not tell.

    Raises:
        UnknownNameError: a name is not known.
        ConfigError: a number is out of range, or settings do not go together.
    """
    _check_names(config)
    _check_signs(config)
    _check_ranges(config)
    _check_lists(config)
    _check_sources(config)
    _check_terms(config)


def _check_names(config: PGNConfig) -> None:
    known: dict[str, Any] = {
        "family": FAMILIES, "schedule": SCHEDULES, "precision": PRECISIONS, "optimiser": OPTIMISERS
    }  # fmt: skip
    known |= {"backbone": BACKBONES} if config.family != "distilled" else {}
    known |= {"proxy": PROXIES, "distance": PULLS} if config.family == "proxy" else {}
    for name, values in known.items():
        if getattr(config, name) not in values:
            raise unknown_name(name, getattr(config, name), values)
    for kind in [*config.fit_kinds, *config.fit_settings]:
        if kind not in FIT_KINDS:
            raise unknown_name("generator in fit_kinds or fit_settings", kind, FIT_KINDS)


def _check_signs(config: PGNConfig) -> None:
    for name in _AT_LEAST_ONE:
        if getattr(config, name) < 1:
            raise ConfigError(f"{name} must be 1 or more; got {getattr(config, name)}")
    for name in _POSITIVE:
        if getattr(config, name) <= 0:
            raise ConfigError(f"{name} must be a positive number; got {getattr(config, name):g}")
    for name, value in vars(config).items():
        if isinstance(value, (int, float)) and value < 0 and name != "seed":
            raise ConfigError(f"{name} must be 0 (off) or more; got {value:g}")


def _check_ranges(config: PGNConfig) -> None:
    for name in ("priors", "reset_probability", "clip_momentum"):
        if getattr(config, name) > 1:
            raise ConfigError(f"{name} is a share, from 0 to 1; got {getattr(config, name):g}")
    if config.held_out >= 1:
        raise ConfigError(f"held_out is a share of the images, from 0 to below 1; got {config.held_out:g}")
    if config.crop < 2 * MULTIPLE or config.crop % MULTIPLE:
        raise ConfigError(
            f"crop must be a multiple of {MULTIPLE} pixels, at least {2 * MULTIPLE}; got {config.crop}"
        )


def _check_lists(config: PGNConfig) -> None:
    if len(config.driven_by) != 3 or min(config.driven_by) < 0 or sum(config.driven_by) <= 0:
        raise ConfigError(
            "driven_by must be three shares, of fits that follow the predicted gradient, the true one and "
            f"that of MSE; got {config.driven_by}"
        )
    if len(config.fit_life) != 2 or not 1 <= config.fit_life[0] <= config.fit_life[1]:
        raise ConfigError(f"fit_life must be the least and the most steps of a fit; got {config.fit_life}")
    if any(depth < 0 or 2 ** (depth + 1) > MULTIPLE for depth in config.autoencoders):
        raise ConfigError(f"autoencoders must be depths from 0 to 3; got {config.autoencoders}")
    if not config.downscale or min(config.downscale) < 1:
        raise ConfigError(f"downscale must be factors of 1 or more; got {config.downscale}")
    scales = config.matching_scales
    if not scales or min(scales) < 1 or max(scales) > config.crop:
        raise ConfigError(f"matching_scales must be from 1 to crop = {config.crop} pixels; got {scales}")


def _check_sources(config: PGNConfig) -> None:
    rest = config.batch - config.prior_count
    if rest and not config.autoencoders:
        raise ConfigError(
            f"{rest} of {config.batch} images a step would come from no source: set priors=1, or name "
            "depths of autoencoders"
        )
    if rest and rest < len(config.autoencoders):
        raise ConfigError(
            f"{len(config.autoencoders)} autoencoders share {rest} images a step (batch={config.batch}, "
            f"priors={config.priors:g}); each needs one at least"
        )
    if config.prior_count and not config.fit_kinds:
        raise ConfigError(f"priors={config.priors:g} needs fit_kinds: {', '.join(FIT_KINDS)}")
    if bool(config.replay) != bool(config.replayed):
        raise ConfigError(
            "replay (how many samples are kept) and replayed (how many join each batch) go together; got "
            f"replay={config.replay}, replayed={config.replayed}"
        )


def _check_terms(config: PGNConfig) -> None:
    kind, refused = config.family, []
    if config.family != "proxy":
        refused += [*PROXY_TERMS, *WARP_TERMS]
    elif not config.proxy.startswith("warped"):
        kind, refused = f"the proxy {config.proxy!r}", [*WARP_TERMS]
    elif config.proxy == "warped":
        kind, refused = "the proxy 'warped'", ["additive_l2"]
    if config.family == "distilled":  # the field of a loss has a symmetric Jacobian as it is
        refused.append("jacobian_symmetry")
    wrong = [name for name in refused if getattr(config, name)]
    if wrong:
        raise ConfigError(
            f"{', '.join(wrong)} must be 0 for {kind}, where there is nothing that they could weigh; got "
            + ", ".join(f"{name}={getattr(config, name):g}" for name in wrong)
        )
    if config.channel_lr != 1 and config.family != "distilled":
        raise ConfigError(
            f"channel_lr must be 1 for {config.family}, which has no channel weights; got "
            f"{config.channel_lr:g}"
        )
    if not any(getattr(config, name) for name in TERMS):
        raise ConfigError(f"at least one term of the meta-loss needs a weight: {', '.join(TERMS)}")


def differences(before: Mapping[str, Any], now: Mapping[str, Any], free: Sequence[str]) -> list[str]:
    """What differs between the records of two trainings, entry by entry; ``free`` settings may.

    >>> differences({"config": {"lr": 1, "seed": 0}}, {"config": {"lr": 2, "seed": 1}}, ["seed"])
    ['lr is 1 there, 2 here']
    """
    flat = [{**{k: v for k, v in r.items() if k != "config"}, **r.get("config", {})} for r in (before, now)]
    names = [name for name in dict.fromkeys([*flat[0], *flat[1]]) if name not in free]
    old, new = flat
    return [f"{n} is {old.get(n)!r} there, {new.get(n)!r} here" for n in names if old.get(n) != new.get(n)]
