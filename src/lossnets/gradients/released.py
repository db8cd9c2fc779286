"""The released checkpoints of Nikulin et al. 2021: ``.pth`` files with the backbone's state dict.

Read without running their code. Versions: 2 (a record of all settings), 1 (those of the backbone, under
``params``) and 0 (the bare state dict, its settings among its entries).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossnets.errors import ConfigError, WeightsError, unknown_name
from lossnets.gradients.architecture import GRAD_SCALE, Architecture
from lossnets.gradients.card import Card
from lossnets.gradients.network import GradientNetwork, build_network
from lossnets.gradients.proxies import WIDENED
from lossnets.losses.presets import PRESETS
from lossnets.losses.spec import parse_loss
from lossnets.networks.state_dicts import file_problem, match_state
from lossnets.torch_state import standard_state

RELEASED = (".pth", ".pt", ".bin")
UNET_GRAD_SCALE = 0.048
_BATCH_FREE = 1e-3
"""What version 0 of a unet states for 0.048: its gradients were not averaged over a batch of 48."""
_OUTPUTS = {"resnet": r"model\.\d+\.weight", "unet": r"conv_last\.weight"}
_DISTANCES = {"mse": "mse", "l1": "l1", "logcosh": "logcosh"}
_SETTINGS: dict[str, dict[str, Any]] = {
    "resnet": {
        "input_nc": 6, "output_nc": 3, "down_channels": (64, 128), "up_channels": (64,),
        "use_dropout": False, "padding_type": "zero",
    },
    "unet": {
        "out_channels": 3, "block_type": "doubleblaze", "conv_type": "sep", "norm_type": "batch",
        "down_channels": (64, 64, 128, 256, 512), "skip_channels": None,
        "up_channels": (64, 128, 256, 256, 512), "predict_value": False,
    },
}  # fmt: skip
"""Settings of the released code that have one value here; the number of blocks of a resnet is free."""


@standard_state()
def load_released(
    path: str | os.PathLike[str],
    *,
    mean: tuple[float, ...] = Architecture.mean,
    std: tuple[float, ...] = Architecture.std,
) -> GradientNetwork:
    """A network of a released ``.pth`` file, on the CPU, in eval mode.

    Where a file of version 0 or 1 does not say it, the proxy is ``sigmoid`` with the distance ``mse``, and
    the gradient scale 1/40 (resnet) or 0.048 (unet), as published.

    Args:
        path: the file.
        mean: per channel, of the normalised space that the network was trained in (ImageNet's).
        std: per channel.

    Raises:
        WeightsError: the file is missing, damaged, holds more than tensors and settings, is of another
            version, has settings that are computed otherwise here, or its tensors do not fit.
    """
    path = Path(path)
    record = _record(path)
    try:
        architecture, state, divide = _read(record, tuple(mean), tuple(std))
        with torch.random.fork_rng(devices=[]):
            network = build_network(architecture)
        fitted = match_state(state, network.backbone.state_dict())  # type: ignore[union-attr]
    except (ConfigError, WeightsError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"the entry {error} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"released checkpoint {path} is refused: {why}") from error
    bad = [key for key, value in fitted.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise WeightsError(f"released checkpoint {path} is refused: NaN or infinite numbers in {bad[0]}")
    if divide != 1.0:  # the last layer is linear, so that the scale of its output can go into it
        *_, last = (key for key in fitted if re.fullmatch(_OUTPUTS[architecture.backbone], key))
        for key in (last, last.replace("weight", "bias")):
            fitted[key] = fitted[key] / divide
    network.backbone.load_state_dict(fitted)  # type: ignore[union-attr]
    return network.eval()


def released_card(path: str | os.PathLike[str], architecture: Architecture | None = None) -> Card:
    """What is known of a released file: it says nothing of the loss, so that the publication's is named."""
    architecture = architecture or load_released(path).architecture
    return Card(
        Path(path).stem, str(parse_loss(PRESETS["pgn2021"].loss)), "", architecture,
        data={"source": "ImageNet, 224 pixel crops (the publication)"},
        training={"source": PRESETS["pgn2021"].citation}, versions={},
    )  # fmt: skip


def _record(path: Path) -> Mapping[str, Any]:
    problem = file_problem(path)
    if problem is not None:
        raise WeightsError(f"released checkpoint {path} cannot be read: it {problem}")
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises whatever its bytes lead to
        first = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise WeightsError(
            f"released checkpoint {path} cannot be read without running code from it, or is damaged: {first}"
        ) from error
    if not isinstance(record, Mapping):
        raise WeightsError(f"released checkpoint {path} must hold a record; got {type(record).__name__}")
    return record


def _read(
    record: Mapping[str, Any], mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[Architecture, dict[str, Tensor], float]:
    """Architecture, state dict of the backbone, and what its output is divided by."""
    version = record.get("version", 1 if "state_dict" in record else 0)
    if version not in (0, 1, 2):
        raise WeightsError(f"its version is {version!r}; known are 0, 1 and 2")
    state = {k: v for k, v in (record["state_dict"] if version else record).items() if isinstance(v, Tensor)}
    kind = record["backbone_type"] if version == 2 else _kind(state)
    if kind not in _SETTINGS:
        raise unknown_name("backbone of released checkpoints", str(kind), _SETTINGS)
    own = record[("", "params", "backbone_params")[version]] if version else _scalars(record)
    target = dict(record.get("backbone_to_grad_params", {}) if version else {})
    if version == 0 and "grad_scale" in record:
        target["grad_scale"] = _old_scale(kind, float(record["grad_scale"]))
    settings = _settings(kind, dict(own), state)
    family = record["backbone_to_grad_type"] if version == 2 else "proxy"
    if family not in ("proxy", "direct"):
        raise unknown_name("backbone_to_grad_type", str(family), ("proxy", "direct"))
    if version == 2 and "grad_scale" not in target:
        raise KeyError("grad_scale")
    usual = UNET_GRAD_SCALE if kind == "unet" else GRAD_SCALE
    scale = target.get("grad_scale", usual)
    proxy, distance = _proxy(target, family)
    divide = target.get("out_scale") if family == "direct" else None
    architecture = Architecture(
        family, kind, settings, proxy, distance, 1.0 if scale is None else float(scale), mean, std
    )
    return architecture, state, float(divide or 1.0)


def _kind(state: Mapping[str, Tensor]) -> str:
    """Backbone of a file that does not say it."""
    for kind, sign in (("resnet", "model.0.weight"), ("unet", "conv_last.weight")):
        if sign in state:
            return kind
    raise WeightsError("its tensors are neither those of a resnet nor of a unet of the released code")


def _scalars(record: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a file of version 0: the entries that are no tensors."""
    others = {k: v for k, v in record.items() if not isinstance(v, Tensor)}
    return {k: v for k, v in others.items() if k not in ("grad_scale", "version")}


def _old_scale(kind: str, scale: float) -> float:
    return UNET_GRAD_SCALE if kind == "unet" and scale == _BATCH_FREE else scale


def _settings(kind: str, given: dict[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of the backbone; refuses those with which it would compute something else than here."""
    blocks = {key.split(".")[1] for key in state if re.match(r"model\.\d+\.conv_block\.", key)}
    stated = given.pop("num_blocks", len(blocks)) if kind == "resnet" else 0
    if kind == "resnet" and stated != len(blocks):
        raise WeightsError(f"it states {stated} residual blocks and has tensors of {len(blocks)}")
    for name, value in given.items():
        if name not in _SETTINGS[kind]:
            raise unknown_name(f"setting of a released {kind}", name, (*_SETTINGS[kind], "num_blocks"))
        allowed = _SETTINGS[kind][name]
        if (tuple(value) if isinstance(value, (list, tuple)) else value) != allowed:
            raise WeightsError(f"its setting {name} is {value!r}; only {allowed!r} is computed here")
    return {"blocks": len(blocks)} if kind == "resnet" else {}


def _proxy(target: Mapping[str, Any], family: str) -> tuple[str, str]:
    """Parametrisation of the proxy target and distance to it."""
    kind = target.get("type", "sigmoid" if family == "proxy" else "raw")
    if kind == "warped_target":
        raise WeightsError("its proxy is 'warped_target', which the released code resamples otherwise")
    allowed = ("raw", "sigmoid") if family == "proxy" else ("raw",)
    if kind not in allowed:
        raise unknown_name(f"proxy type of a released {family} network", str(kind), allowed)
    own = target.get(kind) or {}
    if kind == "sigmoid" and abs(float(own.get("scale", WIDENED)) - WIDENED) > 1e-6:
        raise WeightsError(
            f"its sigmoid proxy has the scale {own['scale']!r}; only {WIDENED} is computed here"
        )
    distance = target.get("grad_type", "mse")
    if family == "proxy" and distance not in _DISTANCES:
        raise unknown_name("grad_type of released checkpoints", str(distance), _DISTANCES)
    return kind, _DISTANCES.get(str(distance), "mse")
