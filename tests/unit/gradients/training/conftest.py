"""What tests of the training share: pictures, a tiny network and loss, the smallest settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lossnets.gradients.training import PGNConfig, profile
from lossnets.images.files import write_image

LOSS = "squeezenet1_1/features.1,features.3:lpips:weights=random-0"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four smooth pictures of 48 x 56 pixels, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "more").mkdir()
    random = torch.Generator().manual_seed(0)
    for k, name in enumerate(("a.png", "b.png", "c.png", "more/d.png")):
        rough = torch.rand(1, 3, 6, 7, generator=random)
        smooth = torch.nn.functional.interpolate(rough, (48, 56), mode="bicubic").clamp(0, 1)[0]
        write_image(folder / name, smooth * (0.5 + 0.1 * k))
    return folder


@pytest.fixture
def tiny() -> Callable[..., PGNConfig]:
    """The profile ``smoke`` with a small proxy network, and changes."""

    def make(backbone: str = "shuffled", **changes: object) -> PGNConfig:
        settings = {"width": 8, "blocks": 1} if backbone == "shuffled" else {"widths": [6]}
        fixed = {
            "settings": settings, "steps": 4, "log_every": 2, "panel_every": 0, "fidelity_crops": 0,
            "fit_settings": {"image-prior": {"width": 4, "scales": 2}, "deep-decoder": {"width": 4}},
            "checkpoint_seconds": 0.0,
        }  # fmt: skip
        return profile("smoke", backbone=backbone, **{**fixed, **changes})

    return make
