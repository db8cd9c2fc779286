"""What turns distances into human judgements: channel weights, and the judge network that trains them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

from lossnets.errors import ConfigError

_EPSILON = 0.1  # Zhang et al. 2018, appendix B


class ChannelWeights(nn.Module):
    """Channel shares {tap: (N, C)} -> distances (N,): their sum over taps and channels, weighted.

    The weights begin at one, so that training starts from the uncalibrated distance.

    Args:
        channels: C of each tap.
        dropout: share of the channel shares that is dropped in training.
    """

    def __init__(self, channels: Mapping[str, int], dropout: float = 0.5) -> None:
        super().__init__()
        if not channels:
            raise ConfigError("channels must name at least one tap; got none")
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout must lie in [0, 1); got {dropout!r}")
        self.taps = tuple(channels)
        self.dropout = dropout
        self.values = nn.ParameterList([nn.Parameter(torch.ones(c)) for c in channels.values()])

    def forward(self, shares: Mapping[str, Tensor]) -> Tensor:
        """{tap: (N, C)} -> (N,).

        Raises:
            ConfigError: other taps or channel counts than the weights have.
        """
        if set(shares) != set(self.taps):
            raise ConfigError(
                f"shares must be of the taps {', '.join(self.taps)}; got {', '.join(shares) or 'none'}"
            )
        weighted = []
        for tap, weight in zip(self.taps, self.values, strict=True):
            share = shares[tap]
            if share.ndim != 2 or share.shape[1] != len(weight):
                got = tuple(share.shape)
                raise ConfigError(f"shares of tap {tap!r} must have shape (N, {len(weight)}); got {got}")
            weighted.append(F.dropout(share, self.dropout, self.training) @ weight)
        return torch.stack(weighted).sum(0)

    @torch.no_grad()
    def clamp_(self) -> None:
        """Set negative weights to 0: no channel may bring images closer by differing."""
        for weight in self.values:
            weight.clamp_(min=0)

    def weights(self) -> dict[str, Tensor]:
        """{tap: (C,)}, as copies that training no longer changes."""
        return {tap: w.detach().clone() for tap, w in zip(self.taps, self.values, strict=True)}


class TwoAFCHead(nn.Module):
    """Distances of two images to a reference -> logit that people find the second closer: (N,), (N,) -> (N,).

    Two hidden layers of 32 on (d0, d1, d0 - d1, d0 / (d1 + 0.1), d1 / (d0 + 0.1)) (Zhang et al. 2018,
    appendix B). Only training uses it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(5, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)
        )

    def forward(self, d0: Tensor, d1: Tensor) -> Tensor:
        """(N,), (N,) -> (N,) logits."""
        inputs = torch.stack([d0, d1, d0 - d1, d0 / (d1 + _EPSILON), d1 / (d0 + _EPSILON)], dim=1)
        logits: Tensor = self.layers(inputs)
        return logits[:, 0]
