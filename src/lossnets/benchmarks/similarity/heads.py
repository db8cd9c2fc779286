"""Train the channel weights of a loss on judgements of similarity, and use them: one function."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lossnets.benchmarks.base import Progress
from lossnets.benchmarks.similarity.trained import HEAD_FILE
from lossnets.benchmarks.similarity.training import train
from lossnets.benchmarks.similarity.training_loop import TrainingSettings
from lossnets.datasets import TwoAFCSet
from lossnets.errors import ConfigError


def train_head(
    loss: Any,
    data: TwoAFCSet,
    out: str | Path,
    *,
    seed: int = 0,
    settings: TrainingSettings | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> str:
    """Train one non-negative weight per channel on triplets; the network stays as it is.

    Features are computed once per pair of images, so this takes minutes on a CPU for any network and
    taps. Called again after an interruption, it goes on.

    Args:
        loss: loss name, e.g. ``"vgg16/relu3_3:unit-spatial-sum"``, its spec, or a `PerceptualLoss`.
        data: triplets with judgements, e.g. `lossnets.datasets.read_triplets_csv`.
        out: folder of the head: ``head.safetensors``, its card ``head.json`` (where it comes from), a
            log, and what resuming needs.
        seed: of first weights, order and dropout.
        settings: of the training; None: those of the study (with `seed`).
        device: where.
        progress: called with (epochs done, epochs in all).

    Returns:
        The name of the loss with that head, ``...:head=OUT/head.safetensors``, which `load_loss`,
        plans and every command take.

    Raises:
        ConfigError: data are no triplets, or the loss has no channel weights to train.
        DataError: the folder belongs to another training, or training diverged.
    """
    if not isinstance(data, TwoAFCSet):
        raise ConfigError(
            f"data must be a set of triplets, e.g. of read_triplets_csv; got {type(data).__name__}"
        )
    settings = TrainingSettings(seed=seed) if settings is None else settings
    trained = train(loss, data, "lin", settings, folder=out, device=device, progress=progress)
    return loss_with_head(trained.card.loss, Path(out) / HEAD_FILE)


def loss_with_head(loss: str, head: str | Path) -> str:
    """The loss name with a head file.

    >>> loss_with_head("vgg16/relu3_3:unit-spatial-sum", "heads/head.safetensors")
    'vgg16/relu3_3:unit-spatial-sum:head=heads/head.safetensors'
    """
    from lossnets.losses import parse_loss

    return str(replace(parse_loss(loss), head=str(head)))
