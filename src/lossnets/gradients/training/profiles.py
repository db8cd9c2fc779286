"""Named sets of settings: the published training, one for a CPU, one that only tries things out."""

from __future__ import annotations

from typing import Any

from lossnets.errors import unknown_name
from lossnets.gradients.backbones import BACKBONES
from lossnets.gradients.training.config import PGNConfig

PROFILES = {
    "paper": "the published training: 224-pixel crops, 48 a step on each of 8 GPUs",
    "small": "64-pixel crops from live fits, replayed; minutes (distilled) or tens of minutes on a CPU",
    "smoke": "seconds, to see that everything works; the result is of no use",
}
"""Profile -> what it is for."""

BACKBONE_NAMES = (*(f"resnet-{n}" for n in (4, 6, 8)), "unet", "shuffled", "distilled")
"""What ``--backbone`` takes; ``resnet-N`` with any number of blocks."""

_EPOCH = 512
_EPOCHS = {"resnet-4": 330, "resnet-6": 400, "resnet-8": 1000, "unet": 2140}
_UNET_SCALE = 0.048
_NO_PROXY_TERMS = {"proxy_loss": 0.0, "proxy_l1": 0.0}
_CHANNEL_LR = 10.0
"""Channel weights are logarithms: at the rate of convolutions they would hardly move."""


def backbone_settings(name: str) -> dict[str, Any]:
    """The settings that a backbone's name stands for: ``resnet-4``, ``unet``, ``shuffled``, ``distilled``.

    Raises:
        UnknownNameError: there is none of that name.

    >>> backbone_settings("resnet-6")["settings"]
    {'blocks': 6}
    """
    kind, _, blocks = name.partition("-")
    if name == "distilled":
        return {"family": "distilled", "settings": {}, "channel_lr": _CHANNEL_LR, **_NO_PROXY_TERMS}
    if kind == "resnet" and blocks.isdecimal() and int(blocks) > 0:
        return {"backbone": "resnet", "settings": {"blocks": int(blocks)}}
    if name in BACKBONES:
        scale = {"grad_scale": _UNET_SCALE} if name == "unet" else {}
        return {"backbone": name, "settings": {}, **scale}
    raise unknown_name("backbone", name, BACKBONE_NAMES)


def profile(name: str, *, backbone: str | None = None, **changes: Any) -> PGNConfig:
    """The settings of a profile, for a backbone, with changes.

    Args:
        name: ``paper``, ``small`` or ``smoke`` (`PROFILES`).
        backbone: see `BACKBONE_NAMES`; None: ``resnet-4`` for ``paper``, ``distilled`` otherwise, or
            ``shuffled`` where ``changes`` name a family that has a backbone.
        changes: settings of `PGNConfig` that are other than the profile's.

    Raises:
        UnknownNameError: there is no such profile, backbone or setting.
        ConfigError: a value is not allowed, or does not go with the others.

    >>> profile("paper", backbone="unet").grad_scale, profile("small").family
    (0.048, 'distilled')
    """
    if name not in PROFILES:
        raise unknown_name("profile", name, PROFILES)
    backbone = backbone or _usual_backbone(name, str(changes.get("family", "")))
    values = _paper(backbone) if name == "paper" else _small(backbone, smoke=name == "smoke")
    values |= backbone_settings(backbone)
    if name != "paper" and values.get("family") != "distilled":
        values["grad_scale"] = 0.0  # measured: s of the paper is for its own loss and size
    if changes.get("family") == "direct":
        values |= _NO_PROXY_TERMS
    return PGNConfig.from_dict({**values, **changes})


def _usual_backbone(name: str, family: str) -> str:
    if family in ("proxy", "direct"):
        return "resnet-4" if name == "paper" else "shuffled"
    return "resnet-4" if name == "paper" and family != "distilled" else "distilled"


def _paper(backbone: str) -> dict[str, Any]:
    """Section 4.1 of Nikulin et al. 2021 and the released command; the defaults of the record are these."""
    epochs = _EPOCHS.get(backbone, _EPOCHS["resnet-4"])
    values: dict[str, Any] = {"steps": epochs * _EPOCH, "log_every": _EPOCH, "panel_every": 10 * _EPOCH}
    if backbone == "resnet-8":
        values["batch"] = 44  # as published, for memory
    if backbone == "distilled":
        values |= {"matching_cosine": 1.0, "matching_norm": 0.02, "matching": 0.0}
    return values


def _small(backbone: str, *, smoke: bool) -> dict[str, Any]:
    """Ours: x̂ from live fits, many replayed samples beside few fresh ones, directions matched."""
    values: dict[str, Any] = {
        "matching": 0.0, "matching_cosine": 1.0, "matching_norm": 0.02, **_NO_PROXY_TERMS,
        "autoencoders": (), "priors": 1.0, "driven_by": (0.5, 0.25, 0.25), "fits": 4,
        "replay": 6000, "replayed": 24, "batch": 4, "crop": 64, "downscale": (1, 2),
        "lr": 2e-3, "schedule": "linear", "clip_factor": 0.0, "clip_norm": 1.0,
        "steps": 4000, "log_every": 20, "panel_every": 400,
    }  # fmt: skip
    if backbone == "distilled":  # its channel weights are few and soon learned
        values |= {"steps": 450, "replay": 1500, "replayed": 12}
    if smoke:
        values |= {
            "crop": 32, "steps": 6, "log_every": 3, "panel_every": 3, "replay": 16, "replayed": 4, "fits": 2,
            "downscale": (1,), "fit_life": (2, 4), "fidelity_crops": 2, "fidelity_steps": 4,
            "fit_settings": {"image-prior": {"width": 4}, "deep-decoder": {"width": 8, "levels": 3}},
        }  # fmt: skip
    return values
