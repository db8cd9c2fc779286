"""A small generator with latents, and its training on any images: inversion can be tried on it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from lossnets.errors import ConfigError
from lossnets.torch_state import standard_state

HALVINGS = 3
"""Latents are 2^3 = 8 times smaller than the images."""
_LR = 3e-3
_NOISE = 0.1
"""Standard deviation of what is added to latents in training, so that the decoder is smooth around them."""


class LatentDecoder(nn.Module):
    """Latents (N, channels, side/8, side/8) -> images (N, 3, side, side) in [0, 1].

    Latents of the images that it was trained on have mean 0 and standard deviation 1 in every channel.

    Args:
        side: of the images, in pixels; a multiple of 8.
        channels: of the latents.
        width: channels of the last convolution but one; each coarser scale has half as many again.

    Raises:
        ConfigError: a number that does not fit.

    >>> LatentDecoder(32, channels=4, width=8)(torch.zeros(2, 4, 4, 4)).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(self, side: int, *, channels: int = 12, width: int = 12) -> None:
        super().__init__()
        if side < 2**HALVINGS or side % 2**HALVINGS:
            raise ConfigError(f"side must be a multiple of {2**HALVINGS} pixels, at least that; got {side}")
        if channels < 1 or width < 1:
            raise ConfigError(f"channels and width must be 1 or more; got {channels} and {width}")
        self.latent_shape = (channels, side // 2**HALVINGS, side // 2**HALVINGS)
        widths = scale_widths(width)
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1), nn.LeakyReLU(0.2)]
        for wide, narrow in pairwise(widths):
            layers += [
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.Conv2d(wide, narrow, 3, padding=1),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 3, padding=1))

    def forward(self, latents: Tensor) -> Tensor:
        """Make images of latents: ``(N, *latent_shape)`` -> (N, 3, side, side) in [0, 1]."""
        images: Tensor = self.layers(latents)
        return images.sigmoid()


def scale_widths(width: int) -> list[int]:
    """Channels of each scale, the coarsest first.

    >>> scale_widths(12)
    [40, 27, 18, 12]
    """
    return [int(width * 1.5**scale) for scale in range(HALVINGS, -1, -1)]


def _encoder(channels: int, width: int) -> nn.Sequential:
    """Images -> latents; used in training only."""
    widths = scale_widths(width)[::-1]
    layers: list[nn.Module] = []
    before = 3
    for narrow in widths[:HALVINGS]:
        layers += [nn.Conv2d(before, narrow, 4, 2, padding=1), nn.LeakyReLU(0.2)]
        before = narrow
    return nn.Sequential(
        *layers, nn.Conv2d(before, channels, 3, padding=1), nn.BatchNorm2d(channels, affine=False)
    )


@standard_state()
def train_decoder(
    images: Tensor, *, steps: int, batch: int = 8, channels: int = 12, width: int = 12, seed: int = 0
) -> LatentDecoder:
    """A decoder that was trained on images (N, 3, side, side) in [0, 1] as one half of an autoencoder.

    Squared differences of pixels, Adam with a rate that falls to 0 along a cosine. The same images and seed
    give the same decoder; torch's random state is left as it was. It comes back frozen, in eval mode, on the
    CPU.

    Args:
        images: what it is to make.
        steps: of training.
        batch: images of a step.
        channels: see `LatentDecoder`.
        width: see `LatentDecoder`.
        seed: of weights and order.

    Raises:
        ConfigError: there are no images, or a number does not fit.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3] or not len(images):
        raise ConfigError(
            f"images must be square ones (N, 3, side, side), N above 0; got {tuple(images.shape)}"
        )
    if steps < 1 or batch < 1:
        raise ConfigError(f"steps and batch must be 1 or more; got {steps} and {batch}")
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.inference_mode(False):
        torch.manual_seed(seed)
        decoder = LatentDecoder(images.shape[-1], channels=channels, width=width)
        encoder = _encoder(channels, width).train()
        adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=_LR)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(steps):
            chosen = images[torch.randint(len(images), (batch,))]
            latents = encoder(2 * chosen - 1)
            loss = functional.mse_loss(decoder(latents + _NOISE * torch.randn_like(latents)), chosen)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            schedule.step()
    return decoder.eval().requires_grad_(False)
