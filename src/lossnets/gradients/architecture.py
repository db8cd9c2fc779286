"""What a gradient network is made of, as a record that a checkpoint can keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lossnets.errors import ConfigError, unknown_name
from lossnets.gradients.backbones import BACKBONES
from lossnets.gradients.proxies import PROXIES
from lossnets.gradients.pulls import PULLS

FAMILIES = ("proxy", "direct", "distilled")
GRAD_SCALE = 1 / 40
"""s of the published resnets; the published unet has 0.048."""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _are_three(values: object) -> bool:
    right = isinstance(values, Sequence) and len(values) == 3
    return right and all(_is_number(v) for v in values)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Architecture:
    """The parts of a gradient network; `build_network` makes the network, its weights not included.

    Attributes:
        family: ``proxy`` (a network predicts the proxy target t), ``direct`` (it predicts the gradient
            itself: the ablation that diverges) or ``distilled`` (a thin perceptual loss).
        backbone: name of the backbone (`BACKBONES`); "" for ``distilled``. ``resnet-6`` is ``resnet`` with
            the setting ``blocks=6``.
        settings: of the backbone, or of the thin loss.
        proxy: parametrisation of t (`PROXIES`); "" but for ``proxy``.
        distance: from x̂ to t (`PULLS`); "" but for ``proxy``.
        grad_scale: s, so that the gradient is that of distance(x̂, t) / s.
        mean: per channel, of images in [0, 1]: the space in which the network works is (p - mean) / std.
        std: per channel.
    """

    family: str = "proxy"
    backbone: str = "resnet"
    settings: dict[str, Any] = field(default_factory=dict)
    proxy: str = "sigmoid"
    distance: str = "mse"
    grad_scale: float = GRAD_SCALE
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        """Check every name and number."""
        self._check_kinds()
        self._spell_out()
        if self.family not in FAMILIES:
            raise unknown_name("family of gradient networks", self.family, FAMILIES)
        if self.family != "distilled" and self.backbone not in BACKBONES:
            raise unknown_name("backbone", self.backbone, BACKBONES)
        if self.family == "proxy" and self.proxy not in PROXIES:
            raise unknown_name("proxy parametrisation", self.proxy, PROXIES)
        if self.family == "proxy" and self.distance not in PULLS:
            raise unknown_name("distance to the proxy target", self.distance, PULLS)
        if not _is_number(self.grad_scale) or self.grad_scale <= 0:
            raise ConfigError(f"grad_scale must be a positive number; got {self.grad_scale!r}")
        if not _are_three(self.mean) or not _are_three(self.std) or min(self.std) <= 0:
            raise ConfigError(
                f"mean and std must be 3 finite numbers, std positive; got {self.mean!r}, {self.std!r}"
            )
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        unused = {"backbone": "distilled", "proxy": "direct distilled", "distance": "direct distilled"}
        for name, families in unused.items():
            if self.family in families.split():
                object.__setattr__(self, name, "")

    def _check_kinds(self) -> None:
        for name in ("family", "backbone", "proxy", "distance"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} must be a name, as text; got {getattr(self, name)!r}")
        if not isinstance(self.settings, dict):
            raise ConfigError(f"settings must be a record, NAME to value; got {self.settings!r}")

    def _spell_out(self) -> None:
        """``resnet-6`` as the paper has it: a backbone and its number of blocks."""
        kind, dash, blocks = self.backbone.partition("-")
        if kind != "resnet" or not dash or not blocks.isdecimal():
            return
        if self.settings.get("blocks", int(blocks)) != int(blocks):
            raise ConfigError(
                f"backbone {self.backbone!r} has {blocks} blocks; got blocks={self.settings['blocks']}"
            )
        object.__setattr__(self, "backbone", kind)
        object.__setattr__(self, "settings", {**self.settings, "blocks": int(blocks)})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Architecture:
        """Read what `as_dict` wrote.

        Raises:
            ConfigError: an entry is unknown or of the wrong kind.
        """
        known = {f.name for f in fields(cls)}
        if not isinstance(record, dict) or set(record) - known:
            raise ConfigError(f"an architecture has the entries {', '.join(sorted(known))}; got {record!r}")
        return cls(**record)
