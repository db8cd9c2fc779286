"""Fidelity: how alike predicted and true gradients are, along real trajectories, beside the MSE gradient.

Cosine 1, norm ratio 1 and relative error 0 would be a perfect prediction. Pixel gradients of deep
networks look like noise that no generator can follow, so they are compared as they are, averaged over pixels
at several scales, and projected on the parameters of the generator that they act on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.errors import ConfigError
from lossnets.judging.choice import resolve_losses, resolve_rivals
from lossnets.judging.fidelity_result import PARAMETERS, FidelityResult, FidelityRow
from lossnets.judging.fields import Field
from lossnets.judging.fits import names_of
from lossnets.judging.ledger import Ledger, images_hash
from lossnets.judging.records import Progress, build, plain
from lossnets.judging.rivals import Rival
from lossnets.judging.trajectories import POPULATIONS, Stop, spread, trajectory
from lossnets.losses import ImageLoss

SCALES = (1, 2, 4, 8)


def compare(gradient: Tensor, true: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine, norm ratio and relative error of each image: (N, ...), (N, ...) -> (N,) three times, float64.

    >>> [round(float(v), 3) for v in compare(torch.tensor([[3.0, 0.0]]), torch.tensor([[3.0, 4.0]]))]
    [0.6, 0.6, 0.8]
    """
    g, t = gradient.flatten(1).double(), true.flatten(1).double()
    lengths, reference = g.norm(dim=1), t.norm(dim=1)
    nothing = torch.full_like(reference, torch.nan)
    error = torch.where(reference > 0, (g - t).norm(dim=1) / reference, nothing)
    ratio = torch.where(reference > 0, lengths / reference, nothing)
    product = lengths * reference
    cosine = torch.where(product > 0, (g * t).sum(1) / product, nothing)
    return cosine, ratio, error


def fidelity(
    true: str | ImageLoss,
    pgn: str | ImageLoss | None,
    images: Tensor,
    *,
    names: Iterable[str] | None = None,
    generators: Sequence[str] = POPULATIONS,
    drivers: Sequence[str] = ("true", "pgn", "mse"),
    rivals: Iterable[str] = ("pgn", "mse"),
    seeds: Sequence[int] = (0,),
    steps: int = 300,
    looks: int = 8,
    scales: Sequence[int] = SCALES,
    batch: int = 8,
    learning_rate: float = 0.01,
    generator_settings: Mapping[str, Mapping[str, Any]] | None = None,
    store: str | Path | None = None,
    progress: Progress | None = None,
) -> FidelityResult:
    """Compare gradients along fits that each of the drivers drives.

    Args:
        true: the loss that is imitated, or its name.
        pgn: what imitates it, or its name; None: leave it out of drivers and rivals too.
        images: (N, 3, S, S) in [0, 1] that the PGN was not trained on, on the device of the losses.
        names: of the images; their numbers by default.
        generators: ``deep-decoder``, ``image-prior``.
        drivers: keys of the rivals that drive a trajectory each.
        rivals: keys or letters of the rivals whose gradients are compared.
        seeds: of the generators.
        steps: of each trajectory.
        looks: places on it, from 0 to ``steps``.
        scales: pixels are averaged over squares of these sides.
        batch: images at once.
        learning_rate: of Adam.
        generator_settings: by kind.
        store: file (JSON lines) that keeps every trajectory's figures as they are made.
        progress: called with (trajectories done, in all, what comes next).

    Raises:
        ConfigError: settings that do not go together.
        ImageError: images that are none in [0, 1], or too small.
        DataError: the store cannot be read or written.
    """
    true, pgn = resolve_losses(true, pgn, images)
    labels = names_of(names, len(images))
    if not scales or min(scales) < 1 or max(scales) > min(images.shape[2:]):
        raise ConfigError(
            f"scales must be sides of squares from 1 to {min(images.shape[2:])}; got {list(scales)}"
        )
    pulls = resolve_rivals(true, pgn, images, ["true", *drivers], exactly=True)
    candidates = resolve_rivals(true, pgn, images, rivals, exactly=True)
    by_key = {rival.key: rival for rival in pulls}
    at = spread(steps, looks)
    ledger = Ledger(store)
    jobs = list(_jobs(seeds, generators, [by_key[key] for key in drivers], range(0, len(images), batch)))
    rows: list[FidelityRow] = []
    for done, (seed, kind, driver, start) in enumerate(jobs):
        if progress:
            progress(done, len(jobs), f"{kind}, seed {seed}, driven by {driver.record.title}")
        targets, own = images[start : start + batch], labels[start : start + batch]
        options = dict((generator_settings or {}).get(kind) or {})
        key = {
            "fidelity": 1, "true": true.signature(), "driver": driver.record.signature, "generator": kind,
            "options": options, "seed": seed, "start": start, "at": at, "scales": scales, "names": own,
            "rate": learning_rate, "images": images_hash(targets),
            "rivals": [r.record.signature for r in candidates],
        }  # fmt: skip
        found = ledger.get(key)
        if found is None:
            path = trajectory(
                kind, driver, targets, steps=steps, at=at, seed=seed + 10_007 * start,
                learning_rate=learning_rate, generator_settings=options,
            )  # fmt: skip
            head = (driver.key, kind, seed)
            fresh = _measure(path, by_key["true"].aim(targets), candidates, targets, scales, head, own)
            found = [asdict(row) for row in fresh]
            ledger.put(key, found)
        rows += [build(FidelityRow, row) for row in found]
    if progress:
        progress(len(jobs), len(jobs), "done")
    about = {
        "true": true.name, "pgn": "" if pgn is None else pgn.name, "images": len(images),
        "side": list(images.shape[2:]), "generators": list(generators), "drivers": list(drivers),
        "rivals": [r.key for r in candidates], "seeds": list(seeds), "steps": steps, "at": at,
        "scales": list(scales), "batch": batch, "learning_rate": learning_rate, "device": str(images.device),
        "generator_settings": generator_settings or {},
    }  # fmt: skip
    return FidelityResult(plain(about), tuple(rows))


def _jobs(
    seeds: Sequence[int], generators: Sequence[str], drivers: Sequence[Rival], starts: Iterable[int]
) -> Iterator[tuple[int, str, Rival, int]]:
    places = list(starts)
    for seed in seeds:
        for kind in generators:
            yield from ((seed, kind, driver, start) for start in places for driver in drivers)


def _measure(
    path: Iterator[Stop],
    true: Field,
    candidates: Sequence[Rival],
    targets: Tensor,
    scales: Sequence[int],
    head: tuple[str, str, int],
    names: Sequence[str],
) -> Iterator[FidelityRow]:
    fields_ = [(rival.key, rival.aim(targets, seed=head[2])) for rival in candidates]
    for stop in path:
        reference = _spaces(true(stop.images, stop.step), stop, scales)
        for key, field in fields_:
            ours = _spaces(field(stop.images, stop.step), stop, scales)
            for space, gradient in ours.items():
                figures = torch.stack(compare(gradient, reference[space]), 1).tolist()
                for name, row in zip(names, figures, strict=True):
                    yield FidelityRow(*head, stop.step, name, key, space, *row)


def _spaces(gradient: Tensor, stop: Stop, scales: Sequence[int]) -> dict[str, Tensor]:
    pooled = {f"pixels/{s}": F.avg_pool2d(gradient, s, ceil_mode=True) for s in scales}
    return {**pooled, PARAMETERS: stop.project(gradient)}
