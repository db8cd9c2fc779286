"""One training of an autoencoder: images or features in, images or features out, judged by a loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

from lossnets.benchmarks.autoencoding.data import Parts
from lossnets.benchmarks.autoencoding.images import Images
from lossnets.benchmarks.autoencoding.network import Autoencoder, Coded, kl_divergence
from lossnets.benchmarks.autoencoding.schemes import LossFeatures, Scheme, build_autoencoder, check_loss
from lossnets.benchmarks.engine import Recipe, Task, cached_targets, seeded_model
from lossnets.errors import ConfigError
from lossnets.losses import EncodedTarget, ImageLoss, PerceptualLoss

CACHE_BYTES = 2 * 2**30
"""Targets of a training set are kept up to this size; beyond it they are computed in every step."""
_ENCODED_AT_ONCE = 64


class AutoencodingTask(Task):
    """Train `Autoencoder` to give back an image, or features of it.

    Nothing is augmented, so targets stay the same: where they fit in memory the loss network sees each
    image once, and in every step only the reconstructions.

    Args:
        loss: judges reconstructions, and has the network that features come from.
        parts: the images.
        recipe: how to train.
        scheme: what goes in and comes out.
        gamma: weight of the Kullback-Leibler divergence; 0 makes the autoencoder deterministic.
        z: width of the embedding.
        hidden_limit: see `build_autoencoder`.
        seed: of the initial weights.

    Raises:
        ConfigError: gamma is negative, or the scheme cannot use the loss.
        ImageError: the images are too small for the loss network.
    """

    model: Autoencoder

    def __init__(
        self,
        loss: ImageLoss,
        parts: Parts,
        recipe: Recipe,
        *,
        scheme: Scheme,
        gamma: float = 0.0,
        z: int = 64,
        hidden_limit: int | None = None,
        seed: int = 0,
    ) -> None:
        check_gamma(gamma)
        check_loss(scheme, loss)
        self.loss, self.parts, self.recipe = loss, parts, recipe
        self.scheme, self.gamma = scheme, float(gamma)
        self._sets = {"train": parts.autoencoder_train, "validation": parts.autoencoder_validation}
        self.train_size, self.validation_size = len(self._sets["train"]), len(self._sets["validation"])
        self.validation_batch_size = 64
        size = self._sets["train"].size
        self.features: LossFeatures | None = None
        if scheme.needs_features and isinstance(loss, PerceptualLoss):
            self.features = LossFeatures(loss, size)
        width = self.features.width if self.features else 0
        self.model = seeded_model(
            lambda: build_autoencoder(scheme, size, z, gamma > 0, width, hidden_limit), seed
        )
        self._rows: dict[str, Tensor] = {}
        self._targets: dict[str, EncodedTarget] = {}

    def start(self, device: torch.device) -> None:
        """Move the loss, and encode what stays the same."""
        self.loss.to(device)
        for name, images in self._sets.items():
            if self.features is not None:
                self._keep_rows(name, images, device)
            if self.scheme.judged_by == "loss" and isinstance(self.loss, PerceptualLoss):
                found = cached_targets(
                    self.loss,
                    images.batch,
                    len(images),
                    limit_bytes=CACHE_BYTES,
                    batch_size=_ENCODED_AT_ONCE,
                    device=device,
                )
                if found is not None:
                    self._targets[name] = found

    def _keep_rows(self, name: str, images: Images, device: torch.device) -> None:
        assert self.features is not None  # noqa: S101 - the caller asked
        if len(images) * self.features.width * 4 <= CACHE_BYTES:
            self._rows[name] = feature_rows(self.features, images, device)

    def training_batch(self, epoch: int, indices: Sequence[int]) -> Any:  # noqa: ARG002 - nothing is augmented
        """Images (n, 3, H, W) and their numbers (n,)."""
        return self._sets["train"].batch(indices), torch.as_tensor(indices)

    def validation_batch(self, indices: Sequence[int]) -> Any:
        """Images (n, 3, H, W) and their numbers (n,)."""
        return self._sets["validation"].batch(indices), torch.as_tensor(indices)

    def training_loss(self, batch: Any) -> Tensor | dict[str, Tensor]:
        """What is minimised; of a variational autoencoder also its two terms."""
        difference, divergence = self._terms("train", batch)
        if divergence is None:
            return difference
        total = difference + self.gamma * divergence
        return {"loss": total, "difference": difference.detach(), "kl": divergence.detach()}

    def validation_scores(self, batch: Any) -> dict[str, Tensor]:
        """``val_loss``, what is minimised in training, with the mean embedding decoded."""
        difference, divergence = self._terms("validation", batch)
        if divergence is None:
            return {"val_loss": difference}
        return {"val_loss": difference + self.gamma * divergence, "val_kl": divergence}

    def _terms(self, name: str, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Difference from the target, and divergence per image; both means over the batch."""
        images, indices = batch
        rows = self._features_of(name, images, indices) if self.features is not None else None
        inputs = images if self.scheme.encodes == "image" else rows
        coded: Coded = self.model(inputs)
        difference = self._difference(name, coded.output, images, indices, rows)
        if coded.log_variance is None:
            return difference, None
        return difference, kl_divergence(coded.mean, coded.log_variance).mean()

    def _difference(
        self, name: str, output: Tensor, images: Tensor, indices: Tensor, rows: Tensor | None
    ) -> Tensor:
        if self.scheme.judged_by == "features":
            assert self.features is not None and rows is not None  # noqa: S101, PT018 - of this scheme
            return self.features.difference(output, rows)
        if self.scheme.judged_by == "pixels":
            return F.mse_loss(output.float(), images)
        targets = self._targets.get(name)
        value: Tensor = self.loss(output.float(), images if targets is None else targets.select(indices))
        return value

    def _features_of(self, name: str, images: Tensor, indices: Tensor) -> Tensor:
        if name in self._rows:
            return self._rows[name][indices]
        assert self.features is not None  # noqa: S101 - the caller asked
        return self.features(images)

    def inputs(self, images: Tensor) -> Tensor:
        """What the encoder takes of images (N, 3, H, W): themselves, or their features."""
        if self.scheme.encodes == "image" or self.features is None:
            return images
        return self.features(images)


def feature_rows(features: LossFeatures, images: Images, device: torch.device | str) -> Tensor:
    """Features of all images, on the device: (N, P)."""
    rows = []
    for start in range(0, len(images), _ENCODED_AT_ONCE):
        chosen = range(start, min(start + _ENCODED_AT_ONCE, len(images)))
        rows.append(features(images.batch(chosen).to(device)))
    return torch.cat(rows)


def check_gamma(gamma: float) -> float:
    """The weight of the divergence, if it is one.

    Raises:
        ConfigError: it is negative or not finite.
    """
    if isinstance(gamma, bool) or not isinstance(gamma, (int, float)) or not 0 <= gamma < float("inf"):
        raise ConfigError(
            "gamma must be 0 (deterministic autoencoder) or the positive weight of the divergence of a "
            f"variational one; got {gamma!r}."
        )
    return float(gamma)
