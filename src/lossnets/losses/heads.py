"""Channel weights of a distance ("heads"): the published LPIPS ones, and files of trained ones."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lossnets.errors import ConfigError, MissingExtraError, WeightsError, unknown_name
from lossnets.networks import Tap
from lossnets.networks.weights import read_state_dict, state_sha256
from lossnets.torch_state import standard_state

_FILES = {"alexnet": "alex.pth", "vgg16": "vgg.pth", "squeezenet1_1": "squeeze.pth"}
# Packages that carry the heads of Zhang et al. 2018 as files; nothing of them is imported.
_PACKAGES = (
    ("lpips", "weights/v{version}", ("0.0", "0.1")),
    ("torchmetrics", "functional/image/lpips_models", ("0.1",)),
)


def lpips_head_file(network: str, version: str = "0.1") -> Path:
    """Path of the published LPIPS head (Zhang et al. 2018) in an installed package.

    Raises:
        UnknownNameError: no head was published for the network or version.
        MissingExtraError: no package that carries it is installed.
    """
    if network not in _FILES:
        raise unknown_name("LPIPS network", network, _FILES)
    for package, folder, versions in _PACKAGES:
        found = importlib.util.find_spec(package)
        if found is None or version not in versions or not found.submodule_search_locations:
            continue
        path = (
            Path(next(iter(found.submodule_search_locations)))
            / folder.format(version=version)
            / _FILES[network]
        )
        if path.is_file():
            return path
    raise MissingExtraError(
        f"the LPIPS head v{version} of {network} comes with the package 'lpips', which is not installed. "
        "Install it with: pip install 'lossnets[lpips]'"
    )


@standard_state()
def load_lpips_head(network: str, taps: Sequence[Tap], version: str = "0.1") -> dict[str, Tensor]:
    """Read the published channel weights: {tap name: (C,)}, one for each tap, in order."""
    path = lpips_head_file(network, version)
    state = read_state_dict(path)
    head = {}
    for k, tap in enumerate(taps):
        weight = state.get(f"lin{k}.model.1.weight")
        if weight is None or weight.numel() != tap.channels:
            raise WeightsError(
                f"{path} is not the LPIPS head of {network}: lin{k} does not fit tap {tap.name!r}"
            )
        head[tap.name] = weight.flatten().float()
    return head


@standard_state()
def load_head(path: str | Path, taps: Sequence[Tap]) -> dict[str, Tensor]:
    """Read trained channel weights: a safetensors file with one (C,) tensor per tap name."""
    file = Path(path)
    if not file.is_file():
        raise WeightsError(
            f"head file {file} does not exist; a head is trained with the similarity benchmark"
        )
    try:
        return check_head(load_file(file), taps)
    except SafetensorError as error:
        raise WeightsError(
            f"head file {file} cannot be read: {error}. It must be a safetensors file"
        ) from error


def check_head(head: Mapping[str, Tensor], taps: Sequence[Tap]) -> dict[str, Tensor]:
    """Channel weights by canonical tap name, float32: every tap once, (C,), finite, non-negative.

    Raises:
        ConfigError: missing or foreign taps, wrong lengths, negative or non-finite weights.
    """
    records = {name: tap for tap in taps for name in (tap.name, tap.module, *tap.aliases)}
    checked: dict[str, Tensor] = {}
    for name, weights in head.items():
        if name not in records:
            raise unknown_name("tap of channel_weights", name, [tap.name for tap in taps])
        tap = records[name]
        if not isinstance(weights, Tensor) or tuple(weights.shape) != (tap.channels,):
            got = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
            raise ConfigError(f"channel_weights[{name!r}] must have shape ({tap.channels},); got {got}")
        if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
            raise ConfigError(
                f"channel_weights[{name!r}] must be finite and non-negative; got min {weights.min()}"
            )
        checked[tap.name] = weights.detach().to(torch.float32).clone()
    missing = [tap.name for tap in taps if tap.name not in checked]
    if missing:
        raise ConfigError(f"channel_weights must have every tap; missing: {', '.join(missing)}")
    return checked


def head_hash(head: Mapping[str, Tensor]) -> str:
    """sha256 of all channel weights; empty for no head."""
    return state_sha256(dict(head)) if head else ""
