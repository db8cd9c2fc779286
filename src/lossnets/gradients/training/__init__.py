"""Training of gradient networks: a loss, a folder of images, one checkpoint.

from lossnets.gradients.training import profile, train_pgn
train_pgn("pixel:l1", "photographs", "mine.safetensors", profile("small"))
"""

from lossnets.gradients.training.config import PGNConfig
from lossnets.gradients.training.profiles import PROFILES, backbone_settings, profile
from lossnets.gradients.training.progress import TrainingProgress
from lossnets.gradients.training.train import train_pgn

__all__ = ["PROFILES", "PGNConfig", "TrainingProgress", "backbone_settings", "profile", "train_pgn"]
