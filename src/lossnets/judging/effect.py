"""The effect of a gradient: what becomes of generators that it drives, beside those of its rivals.

result = effect("vgg16/relu3_3", pgn, images)
result.gap("image-prior", "pgn")      # gap closed, with its interval
result.table()                        # every rival on every generator
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from lossnets.judging.campaign import run_fits
from lossnets.judging.choice import fitting, resolve_losses, resolve_rivals
from lossnets.judging.effect_result import EffectResult
from lossnets.judging.fits import FitSettings
from lossnets.judging.records import Progress, plain
from lossnets.judging.rivals import Rival
from lossnets.judging.subjects import GENERATORS
from lossnets.losses import ImageLoss

__all__ = ["EffectResult", "effect"]


def effect(
    true: str | ImageLoss,
    pgn: str | ImageLoss | None,
    images: Tensor,
    *,
    names: Iterable[str] | None = None,
    training: Tensor | None = None,
    generators: Sequence[str] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 300,
    learning_rate: float = FitSettings.learning_rate,
    batch: int = FitSettings.batch,
    points: int = FitSettings.points,
    generator_settings: Mapping[str, Mapping[str, Any]] | None = None,
    rivals: Iterable[str] | Sequence[Rival] | None = None,
    extra: Mapping[str, ImageLoss] | None = None,
    store: str | Path | None = None,
    progress: Progress | None = None,
) -> EffectResult:
    """Fit generators of limited capacity from equal starts with every rival; judge by the true loss.

    Args:
        true: the loss that is imitated, or its name.
        pgn: what imitates it, or its name; None: the rivals only.
        images: (N, 3, S, S) in [0, 1] that the PGN was not trained on, on the device of the losses.
        names: of the images; their numbers by default.
        training: (M, 3, S, S) what the autoencoder is trained on; needed for it only.
        generators: kinds (`GENERATORS`); None: all, without the autoencoder where there is no ``training``.
        seeds: of initialisations; the autoencoder is one model a seed, so its interval needs several.
        steps: of Adam.
        learning_rate: of Adam.
        batch: images at once; part of the result's identity, since a batch draws its starts together.
        points: of the curves.
        generator_settings: by kind, e.g. ``{"image-prior": {"width": 128, "scales": 5}}``; ``steps`` and
            ``learning_rate`` among them are for that kind alone.
        rivals: keys or letters of those that are wanted, or rivals of your own (`make_rivals`); None: all.
        extra: other losses beside them, by key: several PGNs, say.
        store: file (JSON lines) that keeps every batch of fits as it is made; the same call goes on from it.
        progress: called with (batches done, in all, what comes next).

    Returns:
        The fits, their gaps closed and intervals.

    Raises:
        ConfigError: settings that do not go together.
        ImageError: images that are no images in [0, 1], or too small for the true loss.
        DataError: the store cannot be read or written.
    """
    true, pgn = resolve_losses(true, pgn, images)
    chosen = resolve_rivals(true, pgn, images, rivals, extra=extra)
    taking_part, left_out = fitting(chosen, images)
    if generators is None:
        generators = [g for g in GENERATORS if g != "autoencoder" or training is not None]
    settings = FitSettings(
        steps, learning_rate, batch, points,
        generators={kind: dict(options) for kind, options in (generator_settings or {}).items()},
    )  # fmt: skip
    fits = run_fits(
        true, taking_part, images, names=names, training=training, generators=generators, seeds=seeds,
        settings=settings, store=store, progress=progress,
    )  # fmt: skip
    about = {
        **asdict(settings), "true": true.name, "true_signature": true.signature(),
        "pgn": "" if pgn is None else pgn.name,
        "pgn_signature": "" if pgn is None else pgn.signature(), "images": len(images),
        "side": list(images.shape[2:]), "training": 0 if training is None else len(training),
        "generators": list(generators), "seeds": list(seeds), "device": str(images.device),
        "generator_settings": settings.generators,
    }  # fmt: skip
    return EffectResult(plain(about), tuple(r.record for r in taking_part), tuple(fits), left_out)
