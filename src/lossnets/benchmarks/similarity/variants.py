"""Train and evaluate a variant of each loss on a 2AFC benchmark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from lossnets.benchmarks.base import Evaluation, Progress
from lossnets.benchmarks.similarity.heads import loss_with_head
from lossnets.benchmarks.similarity.measure import measure
from lossnets.benchmarks.similarity.trained import HEAD_FILE, TrainedDistance
from lossnets.benchmarks.similarity.training import Trainee, train, trainee
from lossnets.benchmarks.similarity.training_loop import TrainingSettings
from lossnets.datasets.similarity import TwoAFCSet
from lossnets.errors import LossnetsError
from lossnets.home import home


class _TwoAFCBenchmark(Protocol):
    def load(self, profile: str, seed: int = 0) -> TwoAFCSet: ...
    def training_set(self, profile: str, seed: int) -> TwoAFCSet: ...
    def evaluation(
        self, loss: str, data: TwoAFCSet, distances: Any, seed: int, profile: str
    ) -> Evaluation | LossnetsError: ...


@dataclass(frozen=True)
class TrainingSize:
    """What a profile means for training.

    Attributes:
        head_triplets: of each sub-split, for `lin`; None: all.
        network_triplets: of each sub-split, for `tune` and `scratch`; None: all.
        epochs: at constant rate, and as many with falling rate.
        network_batch: triplets in a batch of `tune` and `scratch`.
    """

    head_triplets: int | None
    network_triplets: int | None
    epochs: int
    network_batch: int


TRAINING_SIZES = {
    "paper": TrainingSize(None, None, 5, 256),
    "small": TrainingSize(20_000, 500, 5, 32),
    "smoke": TrainingSize(48, 24, 1, 8),
}


def evaluate_variant(
    benchmark: _TwoAFCBenchmark,
    losses: Sequence[Any],
    *,
    variant: str,
    seed: int,
    profile: str,
    device: str,
    progress: Progress | None,
    folder: str | Path | None,
) -> dict[str, Evaluation | LossnetsError]:
    """See `Triplets.evaluate_variant`; a loss that fails is answered with its error."""
    size = TRAINING_SIZES[profile]
    data = benchmark.load(profile, seed)
    per_split = size.head_triplets if variant == "lin" else size.network_triplets
    learn = benchmark.training_set(profile, seed).sample(per_split, seed)
    batch = 256 if variant == "lin" else size.network_batch
    settings = TrainingSettings(epochs=size.epochs, decay_epochs=size.epochs, batch_size=batch, seed=seed)
    out: dict[str, Evaluation | LossnetsError] = {}
    for loss in losses:
        name = str(getattr(loss, "spec", loss))
        try:
            subject = trainee(loss, variant, seed)
            name = subject.name
            place = _place(folder, subject, variant, learn, settings)
            trained = train(subject, learn, variant, settings, folder=place, device=device, progress=progress)
            distances = measure(trained, data, device=device)[trained.names[0]]
            result = benchmark.evaluation(name, data, distances, seed, profile)
        except LossnetsError as error:
            out[name] = error
            continue
        out[name] = _recorded(result, trained, place) if isinstance(result, Evaluation) else result
    return out


def _place(
    folder: str | Path | None, subject: Trainee, variant: str, data: TwoAFCSet, settings: TrainingSettings
) -> Path:
    """A folder of its own for each training, so that an interrupted one is found again."""
    content = [subject.name, subject.sha256, variant, data.fingerprint(), asdict(settings)]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:20]
    return (Path(folder) if folder is not None else home() / "trained") / key


def _recorded(result: Evaluation, trained: TrainedDistance, place: Path) -> Evaluation:
    """Add the head's place, and its loss name, to the facts; and the scores to the head's card."""
    rows = [
        {k: None if v != v else v for k, v in asdict(score).items()} for score in result.scores
    ]  # NaN is no JSON
    trained.card = replace(trained.card, scores=tuple(rows))
    trained.save(place)
    facts = {
        **result.facts,
        "variant": trained.card.variant,
        "head": str(place / HEAD_FILE),
        "trained_on": str(trained.card.data["fingerprint"]),
    }
    if trained.card.variant == "lin":  # with the other variants the network is another one, too
        facts["loss_with_head"] = loss_with_head(trained.card.loss, place / HEAD_FILE)
    return replace(result, facts=facts)
