"""Losses to train and measure with: names, perceptual losses, LPIPS, pixel losses, presets."""

from lossnets.losses.bank import LossBank
from lossnets.losses.base import ImageLoss
from lossnets.losses.encoded import EncodedTarget
from lossnets.losses.load import DEFAULT_LOSS, clear_cache, load_loss, perceptual_distance
from lossnets.losses.lpips import LPIPS
from lossnets.losses.perceptual import PerceptualLoss
from lossnets.losses.pixel import PixelLoss
from lossnets.losses.presets import Preset, list_presets, load_preset
from lossnets.losses.spec import LossSpec, parse_loss

__all__ = [
    "DEFAULT_LOSS",
    "LPIPS",
    "EncodedTarget",
    "ImageLoss",
    "LossBank",
    "LossSpec",
    "PerceptualLoss",
    "PixelLoss",
    "Preset",
    "clear_cache",
    "list_presets",
    "load_loss",
    "load_preset",
    "parse_loss",
    "perceptual_distance",
]
