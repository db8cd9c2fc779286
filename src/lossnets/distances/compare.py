"""Two feature maps -> one number per image, as pure functions: (N, C, H, W), (N, C, H, W) -> (N,).

Every comparison turns a feature map into channel vectors at positions, takes a metric of the
difference over channels, and averages over positions (Pihlgren et al. 2023, section on perceptual
similarity; `gram` from Gatys et al. 2016 and Johnson et al. 2016):

==========  ==============================================  =====================
comparison  vectors                                         positions
==========  ==============================================  =====================
spatial     the features as they are                        pixels of the map
mean        each channel averaged over space                one
sort        each channel's activations in ascending order   ranks
gram        rows of the Gram matrix F F^T / (C H W)         channels
==========  ==============================================  =====================

With unit normalisation (`Distance.unit`) ``mean`` and ``sort`` come first and their vectors are scaled to
length 1 after it, in the study's order; ``spatial`` scales the features, ``gram`` the features before the
matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossnets.distances.normalise import at_least_float32, full_precision
from lossnets.errors import ConfigError, ImageError

METRICS = ("squared_l2", "l1", "l2")
COMPARISONS = ("spatial", "mean", "sort", "gram")
_ROOT_EPSILON = 1e-12


def spatial_distance(
    a: Tensor,
    b: Tensor,
    *,
    metric: str = "squared_l2",
    channels: str = "mean",
    channel_weights: Tensor | None = None,
) -> Tensor:
    """Difference of two feature maps position by position: (N, C, H, W) x 2 -> (N,).

    Args:
        a: features, any floating type; computed in float32 at least.
        b: features of the same shape.
        metric: of the difference d over channels: ``squared_l2`` (sum of w d^2), ``l1`` (sum of w abs(d)),
            ``l2`` (root of the sum of w d^2).
        channels: ``sum`` as written, or ``mean``: divide the sum by C before any root.
        channel_weights: w, (C,) and non-negative; None: ones.

    Raises:
        ImageError: the shapes differ.
        ConfigError: an unknown metric or reduction, or channel weights that do not fit.
    """
    return distance_map(a, b, metric=metric, channels=channels, channel_weights=channel_weights).mean(
        (1, 2, 3)
    )


def mean_distance(
    a: Tensor,
    b: Tensor,
    *,
    metric: str = "squared_l2",
    channels: str = "mean",
    channel_weights: Tensor | None = None,
) -> Tensor:
    """Difference of the spatial averages of each channel: (N, C, H, W) x 2 -> (N,).

    Arguments and errors as in `spatial_distance`.
    """
    return spatial_distance(
        mean_vectors(a), mean_vectors(b), metric=metric, channels=channels, channel_weights=channel_weights
    )


def sort_distance(
    a: Tensor,
    b: Tensor,
    *,
    metric: str = "squared_l2",
    channels: str = "mean",
    channel_weights: Tensor | None = None,
) -> Tensor:
    """Difference of each channel's sorted activations: (N, C, H, W) x 2 -> (N,).

    Arguments and errors as in `spatial_distance`.
    """
    return spatial_distance(
        sorted_vectors(a),
        sorted_vectors(b),
        metric=metric,
        channels=channels,
        channel_weights=channel_weights,
    )


def gram_distance(a: Tensor, b: Tensor, *, metric: str = "squared_l2", channels: str = "mean") -> Tensor:
    """Difference of the Gram matrices: (N, C, H, W) x 2 -> (N,).

    With ``squared_l2`` and ``mean`` it is the mean squared difference of the entries of F F^T / (C H W).
    Arguments and errors as in `spatial_distance`.
    """
    return spatial_distance(gram_vectors(a), gram_vectors(b), metric=metric, channels=channels)


def distance_map(
    a: Tensor,
    b: Tensor,
    *,
    metric: str = "squared_l2",
    channels: str = "mean",
    channel_weights: Tensor | None = None,
) -> Tensor:
    """Difference at each position: (N, C, H, W) x 2 -> (N, 1, H, W); its mean is `spatial_distance`."""
    a, b = _checked(a, b)
    difference = a - b
    if metric not in METRICS:
        raise ConfigError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}")
    if channels not in ("mean", "sum"):
        raise ConfigError(f"channels must be 'mean' or 'sum'; got {channels!r}")
    terms = difference.abs() if metric == "l1" else difference.square()
    if channel_weights is not None:
        terms = terms * checked_weights(channel_weights, terms)
    total = terms.mean(1, keepdim=True) if channels == "mean" else terms.sum(1, keepdim=True)
    # The root is shifted so that it is 0 for equal features and its gradient finite there.
    return torch.sqrt(total + _ROOT_EPSILON) - _ROOT_EPSILON**0.5 if metric == "l2" else total


def per_channel(a: Tensor, b: Tensor, *, metric: str = "squared_l2") -> Tensor:
    """Each channel's share of `spatial_distance` with ``channels="sum"``: (N, C, H, W) x 2 -> (N, C).

    Raises:
        ConfigError: metric ``l2``, which is not a sum over channels.
    """
    if metric not in ("squared_l2", "l1"):
        raise ConfigError(f"metric must be squared_l2 or l1 to be split into channels; got {metric!r}")
    a, b = _checked(a, b)
    difference = a - b
    return (difference.abs() if metric == "l1" else difference.square()).mean((2, 3))


def mean_vectors(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 1, 1), the spatial averages."""
    return at_least_float32(x).mean((2, 3), keepdim=True)


def sorted_vectors(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H*W, 1), each channel in ascending order."""
    return at_least_float32(x).flatten(2).sort(dim=2).values.unsqueeze(3)


def gram_vectors(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, C, 1), the Gram matrix F F^T / (C H W) (Johnson et al. 2016, eq. 3)."""
    flat = at_least_float32(x).flatten(2)  # (N, C, H*W)
    with full_precision(x):
        return (flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])).unsqueeze(3)


def _checked(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape != b.shape or a.ndim != 4:
        raise ImageError(
            f"feature maps must have equal shapes (N, C, H, W); got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    return at_least_float32(a), at_least_float32(b)


def checked_weights(weights: Tensor, terms: Tensor) -> Tensor:
    """Channel weights as (1, C, 1, 1) in the type of ``terms``; refuses wrong lengths."""
    if weights.ndim != 1 or weights.shape[0] != terms.shape[1]:
        raise ConfigError(
            f"channel_weights must have shape ({terms.shape[1]},), one per channel; "
            f"got {tuple(weights.shape)}"
        )
    return weights.to(terms).view(1, -1, 1, 1)
