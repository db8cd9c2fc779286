"""lossnets: deep perceptual loss. Which network, at which layer, computed right, at what cost.

The names below stand in the order in which data flow: an image becomes features, two feature maps
become a number, the number becomes a loss. They are imported when they are first used, so that
``import lossnets`` and the command's ``--help`` do not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lossnets.version import __version__

if TYPE_CHECKING:
    from lossnets.distances import Distance, parse_distance, unit_normalise
    from lossnets.errors import LossnetsError
    from lossnets.gradients import PGNGuard, PGNLoss
    from lossnets.home import offline_mode
    from lossnets.images import list_images, pair_folders, read_image, write_image
    from lossnets.losses import (
        LPIPS,
        EncodedTarget,
        LossBank,
        LossSpec,
        PerceptualLoss,
        PixelLoss,
        clear_cache,
        list_presets,
        load_loss,
        load_preset,
        parse_loss,
        perceptual_distance,
    )
    from lossnets.losses import parse_loss as parse
    from lossnets.networks import (
        LossNetwork,
        Tap,
        list_networks,
        load_network,
        network_spec,
        register_network,
        study_networks,
        wrap_network,
    )

_HOMES = {
    "errors": ["LossnetsError"],
    "home": ["offline_mode"],
    "images": ["list_images", "pair_folders", "read_image", "write_image"],
    "networks": [
        "LossNetwork", "Tap", "list_networks", "load_network", "network_spec", "register_network",
        "study_networks", "wrap_network",
    ],
    "distances": ["Distance", "parse_distance", "unit_normalise"],
    "losses": [
        "LPIPS", "EncodedTarget", "LossBank", "LossSpec", "PerceptualLoss", "PixelLoss", "clear_cache",
        "list_presets", "load_loss", "load_preset", "parse_loss", "perceptual_distance",
    ],
    "gradients": ["PGNGuard", "PGNLoss"],
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - in the order of the data flow
    "__version__",
    "LossnetsError",
    "offline_mode",
    "list_images",
    "pair_folders",
    "read_image",
    "write_image",
    "LossNetwork",
    "Tap",
    "list_networks",
    "load_network",
    "network_spec",
    "register_network",
    "study_networks",
    "wrap_network",
    "Distance",
    "parse_distance",
    "unit_normalise",
    "LPIPS",
    "EncodedTarget",
    "LossBank",
    "LossSpec",
    "PerceptualLoss",
    "PixelLoss",
    "clear_cache",
    "list_presets",
    "load_loss",
    "load_preset",
    "parse",
    "parse_loss",
    "perceptual_distance",
    "PGNGuard",
    "PGNLoss",
]


def __getattr__(name: str) -> Any:
    target = "parse_loss" if name == "parse" else name
    if target not in _HOME_OF:
        raise AttributeError(f"module 'lossnets' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"lossnets.{_HOME_OF[target]}"), target)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
