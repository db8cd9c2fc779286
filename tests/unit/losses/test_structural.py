"""1 - SSIM as a loss: the same call as every other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from lossnets.errors import ConfigError, EncodingError, ImageError
from lossnets.losses import LossBank, load_loss, parse_loss


def pair() -> tuple[Tensor, Tensor]:
    x = torch.rand(2, 3, 24, 32)
    return x, (x + 0.2 * torch.rand(2, 3, 24, 32)).clamp(0, 1)


def test_equal_images_and_reductions() -> None:
    x, y = pair()
    assert load_loss("pixel:ssim")(x, x).abs() < 1e-6
    each = load_loss("pixel:ssim", reduction="none")(x, y)
    assert each.shape == (2,)
    torch.testing.assert_close(load_loss("pixel:ssim")(x, y), each.mean())
    assert bool((each > 0).all())


def test_scikit_image_agrees_inside_the_border() -> None:
    x, y = pair()
    ours = load_loss("pixel:ssim", reduction="none")(x, y)
    for image, other, value in zip(x.double().numpy(), y.double().numpy(), ours, strict=True):
        theirs = structural_similarity(
            image, other, channel_axis=0, data_range=1.0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )  # fmt: skip
        assert abs(float(value) - (1 - float(np.mean(theirs)))) < 0.02  # the edges are treated differently


def test_gradient_encoding_range_and_bank() -> None:
    x, y = pair()
    loss = load_loss("pixel:ssim", reduction="none")
    leaf = x.clone().requires_grad_()
    loss(leaf, y).sum().backward()
    assert leaf.grad is not None
    assert bool(torch.isfinite(leaf.grad).all())
    torch.testing.assert_close(loss(x, loss.encode(y)), loss(x, y))
    wide = load_loss("pixel:ssim", reduction="none", data_range=(-1, 1))
    torch.testing.assert_close(wide(x * 2 - 1, y * 2 - 1), loss(x, y), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        LossBank(["pixel:ssim", "pixel:mse"]).distances(x, y)["pixel:ssim"], loss(x, y)
    )
    with pytest.raises(EncodingError, match="another loss"):
        loss(x, load_loss("pixel:mse").encode(y))


def test_errors_and_name() -> None:
    x, y = pair()
    loss = load_loss("pixel:ssim")
    assert parse_loss(str(loss)) == loss
    assert loss.signature().startswith("pixel:ssim|")
    with pytest.raises(ConfigError, match="no map or mask"):
        loss(x, y, output="map")
    with pytest.raises(ImageError, match="11"):
        loss(x[..., :8, :8], y[..., :8, :8])
