"""Perceptual gradient networks: a small network predicts the gradient of a perceptual loss."""

from lossnets.gradients.architecture import Architecture
from lossnets.gradients.card import Card, check_imitates
from lossnets.gradients.checkpoint import load_pgn, read_card, save_pgn
from lossnets.gradients.distilled import DistilledGradientNetwork
from lossnets.gradients.guard import PGNGuard, PGNWarning
from lossnets.gradients.loss import PGNLoss
from lossnets.gradients.network import (
    DirectGradientNetwork,
    GradientNetwork,
    PerceptualGradientNetwork,
    build_network,
    proxy_of_gradient,
)
from lossnets.gradients.pretrained import DEFAULT_PGN, list_pretrained, pretrained_card
from lossnets.gradients.released import load_released

__all__ = [
    "DEFAULT_PGN",
    "Architecture",
    "Card",
    "DirectGradientNetwork",
    "DistilledGradientNetwork",
    "GradientNetwork",
    "PGNGuard",
    "PGNLoss",
    "PGNWarning",
    "PerceptualGradientNetwork",
    "build_network",
    "check_imitates",
    "list_pretrained",
    "load_pgn",
    "load_released",
    "pretrained_card",
    "proxy_of_gradient",
    "read_card",
    "save_pgn",
]
