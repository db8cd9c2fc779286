"""Features of targets that stay the same: computed once, kept while they fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lossnets.errors import ConfigError
from lossnets.losses import EncodedTarget, ImageLoss

logger = logging.getLogger("lossnets")

LIMIT_BYTES = 2 * 2**30
"""Memory that cached targets of one training may take by default."""


def cached_targets(
    loss: ImageLoss,
    images: Callable[[Sequence[int]], Tensor],
    count: int,
    *,
    limit_bytes: int = LIMIT_BYTES,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
) -> EncodedTarget | None:
    """Encode all targets once -> (count,) encoded, cut with ``encoded.select(indices)``.

    The released code of the study computes these features again in every epoch.

    Args:
        loss: whose targets they are; it is on ``device``.
        images: indices -> (n, 3, H, W), always the same for the same index.
        count: number of images.
        limit_bytes: None is returned when the encoded targets would take more memory than this; the
            caller then compares with the images themselves.
        batch_size: images encoded at once.
        device: where they are encoded and kept.

    Raises:
        ConfigError: ``count`` is below 1.
    """
    if count < 1:
        raise ConfigError(f"count must be at least 1 image; got {count}.")
    first = loss.encode(images(range(min(batch_size, count))).to(device))
    total = first.nbytes * count // len(first)
    if total > limit_bytes:
        logger.info("targets are not cached: %d bytes of features, the limit is %d", total, limit_bytes)
        return None
    parts = [first]
    parts += [
        loss.encode(images(range(start, min(start + batch_size, count))).to(device))
        for start in range(batch_size, count, batch_size)
    ]
    return EncodedTarget.concatenate(parts)
