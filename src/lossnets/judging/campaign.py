"""Many fits, each kept as soon as it is made: every rival on every generator, seed and batch of images."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lossnets.errors import ConfigError, unknown_name
from lossnets.judging.fits import FitSettings, fit_images, names_of
from lossnets.judging.ledger import Ledger, images_hash
from lossnets.judging.records import Fit, Progress
from lossnets.judging.rivals import Rival, check_images
from lossnets.judging.subjects import AUTOENCODER, GENERATORS
from lossnets.losses import ImageLoss

FITS_VERSION = 1
"""Raised whenever a change of this package changes what a fit gives; older results are not taken up then."""


@dataclass(frozen=True)
class Job:
    """The fits that are made, and kept, at once."""

    seed: int
    generator: str
    rival: Rival
    images: Tensor
    names: tuple[str, ...]
    start: int


def run_fits(
    true: ImageLoss,
    rivals: Sequence[Rival],
    images: Tensor,
    *,
    names: Iterable[str] | None = None,
    training: Tensor | None = None,
    generators: Sequence[str],
    seeds: Sequence[int],
    settings: FitSettings,
    store: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Fit]:
    """Fit every generator to every image with every rival, from equal starts, but for what is in ``store``.

    Args:
        true: the loss that judges.
        rivals: what drives.
        images: (N, 3, S, S) in [0, 1].
        names: of the images; their numbers by default.
        training: what autoencoders are trained on.
        generators: kinds.
        seeds: of initialisations.
        settings: of the fits.
        store: file of results (JSON lines), so that nothing is lost when this is interrupted.
        progress: called with (batches done, in all, what comes next).

    Raises:
        ConfigError: nothing to do, a name or number twice, unknown generators, images that do not fit.
        DataError: the store cannot be read or written.
    """
    check_images(images, "images")
    labels = names_of(names, len(images))
    _check(rivals, generators, seeds, training)
    ledger = Ledger(store)
    jobs = list(_jobs(rivals, images, labels, generators, seeds, settings))
    shared = {"version": FITS_VERSION, "true": true.signature()}
    made = "" if training is None else images_hash(training)
    fits: list[Fit] = []
    for done, job in enumerate(jobs):
        if progress:
            progress(done, len(jobs), f"{job.generator}, seed {job.seed}, {job.rival.record.title}")
        key = {**shared, **_key(job, settings, made if job.generator == "autoencoder" else "")}
        found = ledger.get(key)
        if found is None:
            seed = job.seed + 10_007 * job.start  # batches start from different parameters
            fresh = fit_images(
                job.generator, job.rival, true, job.images, seed=seed, settings=settings, names=job.names,
                training=training,
            )  # fmt: skip
            found = [{**fit.as_dict(), "seed": job.seed} for fit in fresh]
            ledger.put(key, found)
        fits += [Fit.from_dict(record) for record in found]
    if progress:
        progress(len(jobs), len(jobs), "done")
    return fits


def _check(
    rivals: Sequence[Rival], generators: Sequence[str], seeds: Sequence[int], training: Tensor | None
) -> None:
    for name, some in (
        ("generators", list(generators)),
        ("seeds", list(seeds)),
        ("rivals", [r.key for r in rivals]),
    ):
        if isinstance(generators, str) or not some or len(set(some)) < len(some):
            raise ConfigError(f"{name} must be a list of at least one, none twice; got {some}")
    for kind in generators:
        if kind not in GENERATORS:
            raise unknown_name("generator", kind, GENERATORS)
    if "autoencoder" in generators and training is None:
        raise ConfigError(
            "the generator 'autoencoder' needs images to train on, others than it is judged on: pass "
            "training=, or leave it out of generators"
        )


def _jobs(
    rivals: Sequence[Rival], images: Tensor, names: Sequence[str], generators: Sequence[str],
    seeds: Sequence[int], settings: FitSettings,
) -> Iterator[Job]:  # fmt: skip
    for seed, kind in itertools.product(seeds, generators):
        size = len(images) if kind == "autoencoder" else settings.batch
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            for rival in rivals:
                yield Job(seed, kind, rival, images[part], tuple(names[part]), start)


def _key(job: Job, settings: FitSettings, training: str) -> dict[str, Any]:
    """Everything that changes the numbers, and nothing of other jobs: any plan may take them up."""
    ours = settings.of(job.generator)
    defaults = AUTOENCODER if job.generator == "autoencoder" else {}
    own = {**asdict(ours), "generators": {**defaults, **ours.generators[job.generator]}}
    return {
        "rival": job.rival.record.signature, "key": job.rival.key, "generator": job.generator,
        "seed": job.seed, "start": job.start, "names": job.names,
        "images": images_hash(job.images), "training": training,
        "settings": own,
    }  # fmt: skip
