"""From a name (or a module) and weights to a `LossNetwork`: the one place where names become parts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, WeightsError
from lossnets.networks import catalogue
from lossnets.networks import weights as weight_files
from lossnets.networks.blueprint import Blueprint, blueprint, user_blueprint
from lossnets.networks.defaults import default_taps
from lossnets.networks.extractor import LossNetwork
from lossnets.networks.spec import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, WeightsSpec
from lossnets.torch_state import standard_state

Weights = str | os.PathLike[str] | Mapping[str, Tensor]
_RANDOM = re.compile(r"random(?:-(\d+))?")


@standard_state()
def load_network(
    name: str = catalogue.DEFAULT_NETWORK,
    taps: Sequence[str] | None = None,
    *,
    weights: Weights = "default",
    pooling: str = "max",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    trainable: bool = False,
) -> LossNetwork:
    """Load a loss network: images (N, 3, H, W) in [0, 1] -> named feature maps.

    Args:
        name: as in `list_networks`.
        taps: extraction points; everything behind the deepest is left out. None: the study's points
            (for networks without any, four taps by `default_taps`, one a stage or at quarters of the
            depth), and the whole network is kept so that `LossNetwork.select` can take any other.
        weights: ``"default"`` (the exact published weights that `network_spec` names),
            the exact name of other published weights (``"IMAGENET1K_V2"``), ``"random"`` or
            ``"random-SEED"``, a local file (.safetensors, or .pth read with ``weights_only=True``),
            or a state dict. A file may hold the whole network or just its ``features``.
        pooling: ``"max"`` or ``"avg"`` (see `blueprint`).
        mean: per channel, of images in [0, 1]; default: that of the published weights.
        std: per channel, of images in [0, 1]; default: that of the published weights.
        trainable: leave the parameters trainable and obey `train`.

    Raises:
        UnknownNameError: unknown network, tap or weights name.
        WeightsError: the weights cannot be had, are damaged, or do not fit.

    >>> network = load_network("squeezenet1_1", ["features.1"], weights="random-0")
    >>> {name: tuple(f.shape) for name, f in network(torch.rand(2, 3, 32, 32)).items()}
    {'features.1': (2, 64, 15, 15)}
    """
    plan = blueprint(name, pooling)
    records = [plan.resolve(tap).module for tap in (default_taps(plan) if taps is None else taps)]
    published, state, label, digest = _resolve_weights(plan, weights)
    return LossNetwork(
        plan,
        records,
        state,
        weights_name=label,
        weights_sha256=digest,
        origin=_origin(weights),
        mean=mean if mean is not None else published.mean,
        std=std if std is not None else published.std,
        trainable=trainable,
        keep_state=taps is None,
    )


@standard_state()
def wrap_network(
    module: nn.Module,
    taps: Sequence[str] | None = None,
    *,
    name: str | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    size: tuple[int, int] = (224, 224),
    trainable: bool = False,
    signature: str = "",
) -> LossNetwork:
    """Make a loss network of your own ``nn.Module``, which takes one (N, C, H, W) tensor.

    Args:
        module: copied, so that later changes to it do not change the loss (and the other way round).
        taps: module paths, as in ``module.named_modules()``; None: up to four by `default_taps`.
        name: how results call it; default: its class name.
        mean: per channel, of images in [0, 1]; as many values as the module has input channels.
        std: per channel, of images in [0, 1].
        size: an image size (H, W) that the module accepts, for networks that take only one.
        trainable: leave the parameters trainable and obey `train`.
        signature: what the module computes, stated by you; default: a hash of its layers, attributes, hooks
            and code. A module that keeps a state outside of these needs it to be known again.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True))
    >>> network = wrap_network(net, ["0", "1"], mean=[0.5], std=[0.5])
    >>> [tuple(f.shape) for f in network(torch.rand(1, 1, 8, 8)).values()]
    [(1, 4, 6, 6), (1, 4, 6, 6)]
    """
    if not isinstance(module, nn.Module):
        raise ConfigError(f"module must be a torch.nn.Module; got {type(module).__name__}")
    if len(mean) != len(std):
        raise ConfigError(
            f"mean and std must have one value per input channel; got {len(mean)} and {len(std)}"
        )
    if taps is not None and not list(taps):
        raise ConfigError("taps must name at least one extraction point; got none")
    odd = [key for key, value in module.state_dict().items() if not isinstance(value, Tensor)]
    if odd:
        raise ConfigError(
            f"the state of {type(module).__name__} must be tensors only; {odd[0]!r} is none (quantized "
            "layers keep packed weights). Wrap the module before it is quantized"
        )
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        raise WeightsError(
            f"module {type(module).__name__} has tensors on the meta device, which have no values. Build it "
            "outside of torch.device('meta') or init_empty_weights, or fill it with load_state_dict first"
        )
    if not isinstance(signature, str) or "|" in signature:
        raise ConfigError(f"signature must be text without '|'; got {signature!r}")
    plan = user_blueprint(module, name or type(module).__name__, size, len(mean), taps or (), signature)
    state = {key: value.detach().clone() for key, value in module.state_dict().items()}
    return LossNetwork(
        plan,
        [plan.resolve(tap).module for tap in (default_taps(plan) if taps is None else taps)],
        state,
        weights_name="module",
        weights_sha256=weight_files.state_sha256(state),
        origin="default",
        mean=mean,
        std=std,
        trainable=trainable,
        keep_state=True,
    )


def _origin(given: Weights) -> str:
    if isinstance(given, Mapping):
        return "custom"
    text = os.fspath(given)
    return "random-0" if text == "random" else text


def _resolve_weights(plan: Blueprint, given: Weights) -> tuple[WeightsSpec, dict[str, Tensor], str, str]:
    """What the input must look like, the tensors, the weights' name, their sha256."""
    spec = plan.spec
    published = spec.weights or WeightsSpec("none")
    if isinstance(given, Mapping):
        own = {k: v.detach().clone() for k, v in given.items()}
        return (
            published,
            weight_files.match_state(own, plan.expected),
            "state",
            weight_files.state_sha256(own),
        )
    if isinstance(given, os.PathLike) or looks_like_file(given):
        path = Path(given)
        return published, _file_state(spec, plan, path), "file", weight_files.verify_file(path)
    random = _RANDOM.fullmatch(given)
    if random:
        seed = int(random.group(1) or 0)
        state = _random_state(plan, seed)
        return published, state, f"RANDOM-{seed}", weight_files.state_sha256(state)
    return _published(spec, plan, given)


def looks_like_file(given: Any) -> bool:
    """Whether weights are given as a path, not by name."""
    if not isinstance(given, str):
        raise ConfigError(
            "weights must be 'default', a name of published weights, 'random', 'random-SEED', a file or a "
            f"state dict; got {type(given).__name__}"
        )
    return (
        "/" in given
        or os.sep in given
        or Path(given).suffix in (".pth", ".pt", ".bin", ".safetensors", ".ckpt")
    )


def _check_initialisation() -> None:
    """Refuse random weights while somebody has switched off how torch draws them."""
    names = ("uniform_", "normal_", "trunc_normal_", "constant_", "zeros_", "ones_", "kaiming_uniform_",
             "kaiming_normal_", "xavier_uniform_", "xavier_normal_")  # fmt: skip
    off = [name for name in names if getattr(nn.init, name).__module__ != "torch.nn.init"]
    layers = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.LayerNorm)
    off += [k.__name__ for k in layers if k.reset_parameters.__module__ != k.__module__]
    if off:
        raise WeightsError(
            f"random weights cannot be drawn: {', '.join(off)} of torch was replaced (as no_init_weights of "
            "transformers does). Load the loss outside of that context"
        )


def _random_state(plan: Blueprint, seed: int) -> dict[str, Tensor]:
    _check_initialisation()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = dict(plan.rebuild().state_dict())
        if plan.spec.library == "user":
            torch.manual_seed(seed + 1)
            other = plan.rebuild().state_dict()
            if all(torch.equal(value, other[key]) for key, value in state.items()):
                raise ConfigError(
                    f"weights of {plan.spec.name} cannot be random: its module is built with the same "
                    "numbers each time. Register another network whose build() leaves them random"
                )
        return state


def _published(
    spec: NetworkSpec, plan: Blueprint, given: str
) -> tuple[WeightsSpec, dict[str, Tensor], str, str]:
    entry = spec.weights
    if entry is None and spec.library != "torchvision":
        raise WeightsError(f"{spec.name} has no published weights; use weights='random' or a file")
    if entry is None or (given not in ("default", entry.name) and spec.library == "torchvision"):
        entry = catalogue.torchvision_weights(spec.name, given)
    elif given not in ("default", entry.name):
        other = "Other weights of timm have names of their own: lossnets networks 'timm/NAME.*'"
        raise ConfigError(
            f"weights of {spec.name} must be 'default', 'random', a file or a state dict; got {given!r}. "
            + (other if spec.name.startswith(catalogue.TIMM) else "")
        )
    if spec.library == "user":
        state = dict(plan.rebuild().state_dict())
        return entry, state, entry.name, weight_files.state_sha256(state)
    if entry.package is not None:
        path = catalogue.packaged_file(spec.name)
        state = catalogue.rename_packaged(
            weight_files.read_state_dict(path), catalogue.build(spec.name, meta=True)
        )
        return (
            entry,
            weight_files.match_state(state, plan.expected),
            entry.name,
            weight_files.verify_file(path),
        )
    if entry.url is None:
        raise WeightsError(f"{spec.name} has no published weights; use weights='random' or a file")
    path = weight_files.find(entry)
    return entry, _file_state(spec, plan, path), entry.name, weight_files.verify_file(path)


def _file_state(spec: NetworkSpec, plan: Blueprint, path: Path) -> dict[str, Tensor]:
    """Tensors of a file under the network's names; strict."""
    state = weight_files.read_state_dict(path)
    try:
        return weight_files.match_state(state, plan.expected)
    except WeightsError:
        if not spec.name.startswith(catalogue.TIMM):
            raise
        # timm renames the parameters of older files; its own rules, just as strict
        return dict(catalogue.timm_pretrained(spec.name, path).state_dict())
