"""Variants of the similarity benchmark: baseline, lin, tune, scratch (Zhang et al. 2018).

==========  ================================  =======================================
variant     network                           trained
==========  ================================  =======================================
baseline    its own weights                   nothing
lin         its own weights, frozen           channel weights (on cached distances)
tune        its own weights to begin with     channel weights and network
scratch     random weights to begin with      channel weights and network
==========  ================================  =======================================

A frozen network gives the same channel distances in every epoch, so `lin` computes them once per
pair of images and then trains on a table: minutes on a CPU for any network and taps. Dropout
therefore leaves out a channel of a triplet as a whole, where the LPIPS code drops single positions
of its map; the expectation is the same.

BatchNorm: `lin` and `tune` use the running statistics that came with the weights. The LPIPS code
trains in training mode, which makes no difference to its three networks (none has BatchNorm);
fine-tuning on batch statistics would shift every feature at the first step. `scratch` has no
statistics to keep and learns them, reference and candidates together in one batch.

Only the channel weights are ever clamped at 0. (The LPIPS code clamps every module that is a 1×1
convolution, the frozen trunk's included.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossnets.benchmarks.base import Progress
from lossnets.benchmarks.similarity.trained import (
    TRUNK_FILE,
    ChannelDistances,
    HeadCard,
    TrainedDistance,
    read_head,
)
from lossnets.benchmarks.similarity.training_data import (
    CACHE_FILE,
    Batch,
    CachedTriplets,
    ImageTriplets,
    cache_channel_distances,
)
from lossnets.benchmarks.similarity.training_loop import (
    LOG_FILE,
    STATE_FILE,
    Job,
    Judge,
    TrainingSettings,
    fit,
)
from lossnets.benchmarks.tensors import read_tensors
from lossnets.datasets.similarity import TwoAFCSet
from lossnets.errors import ConfigError, DataChangedError, DataError, unknown_name
from lossnets.home import make_folder
from lossnets.version import __version__

VARIANTS = ("baseline", "lin", "tune", "scratch")
_SCALE_TRIPLETS = 64


@dataclass(frozen=True)
class Trainee:
    """A loss in parts, as training needs it.

    Attributes:
        name: loss name.
        channels: its network (trainable or frozen) and distance.
        sha256: of the weights that it begins with.
    """

    name: str
    channels: ChannelDistances
    sha256: str

    @property
    def numerics(self) -> int:
        """Version of the distance's definition."""
        return int(getattr(self.channels.distance, "numerics", 1))

    @property
    def parts(self) -> list[str]:
        """What its numbers depend on: name, weights, version of the distance where it is not the first."""
        return [self.name, self.sha256, *([f"numerics:{self.numerics}"] if self.numerics > 1 else [])]


def trainee(loss: Any, variant: str, seed: int = 0) -> Trainee:
    """Take a perceptual loss apart for a variant.

    Args:
        loss: loss name or spec, or a `PerceptualLoss` (its name and weights are used).
        variant: ``lin``, ``tune`` or ``scratch``.
        seed: of the random network, for ``scratch``.

    Raises:
        UnknownNameError: unknown variant.
        ConfigError: a loss without network, with a head, in half precision, or with a distance that
            is no sum over channels.
    """
    if variant not in VARIANTS[1:]:
        raise unknown_name("trained variant", variant, VARIANTS[1:])
    from lossnets.losses import PerceptualLoss, parse_loss

    spec = parse_loss(getattr(loss, "spec", loss))
    if spec.weights == "custom":
        raise ConfigError(
            f"loss {str(spec)!r} was built of tensors in Python; save them to a file and name the loss "
            "with weights=FILE, so that the trained head can say what it belongs to."
        )
    plain = (spec.family, spec.channels, spec.dtype, spec.head) == ("perceptual", "rgb", "float32", "")
    if not plain or spec.distance.compare == "gram" or spec.distance.metric == "l2":
        raise ConfigError(
            f"variant {variant!r} trains channel weights of a perceptual loss in float32 on RGB, without "
            f"head, whose distance is a sum over channels (not gram, not l2); got {str(spec)!r}. An LPIPS "
            "network is written with its taps, e.g. vgg16/relu1_2,relu2_2,relu3_3:unit-spatial-sum."
        )
    made = PerceptualLoss(
        spec.network,
        dict(spec.taps),
        distance=spec.distance,
        weights=f"random-{seed}" if variant == "scratch" else spec.weights,
        pooling=spec.pooling,
        normalize_input=spec.input == "normalised",
        trainable="none" if variant == "lin" else "all",
    )
    channels = ChannelDistances(made.network, spec.distance, dict(spec.taps))
    return Trainee(str(spec), channels, made.network.weights_sha256)


def train(
    loss: Any,
    data: TwoAFCSet,
    variant: str = "lin",
    settings: TrainingSettings | None = None,
    *,
    folder: str | Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> TrainedDistance:
    """Train a variant of a loss on triplets; called again after an interruption, it goes on.

    Args:
        loss: loss name, spec, `PerceptualLoss`, or a `Trainee` (which is trained in place).
        data: triplets with judgements; tune and scratch need images of one size.
        variant: ``lin``, ``tune`` or ``scratch``.
        settings: None: the study's.
        folder: of checkpoint, log (``log.jsonl``), cache and result; None: nothing is written.
        device: where.
        progress: called with (epochs done, epochs in all).

    Returns:
        The trained distance; with a folder, it was saved there (``head.safetensors``, ``head.json``).

    Raises:
        UnknownNameError: unknown variant.
        ConfigError: the loss has no channel weights to train.
        DataError: the data do not fit, the folder belongs to another training, training diverged, or the
            images changed meanwhile (DataChangedError), and what the folder holds of it is removed.
    """
    settings = settings or TrainingSettings()
    if variant not in VARIANTS[1:]:
        raise unknown_name("trained variant", variant, VARIANTS[1:])
    subject = loss if isinstance(loss, Trainee) else trainee(loss, variant, settings.seed)
    subject.channels.to(device)
    place = make_folder(Path(folder)) if folder is not None else None
    learnt_from = data.fingerprint()
    identity = json.dumps([*subject.parts, variant, learnt_from])
    prepare = _prepare_head if variant == "lin" else _prepare_network
    job, scale = prepare(subject, data, settings, identity, place, device, variant)
    fit(job, settings, folder=place, device=device, progress=progress)
    if data.fingerprint() != learnt_from:
        for kept in () if place is None else (place / name for name in (STATE_FILE, LOG_FILE, CACHE_FILE)):
            kept.unlink(missing_ok=True)
        raise DataChangedError(
            f"the images of {data.name!r} changed while {subject.name!r} was trained on them, and what it "
            "learnt belongs to neither. Leave them as they are, and train again."
        )
    subject.channels.to(device)  # Lightning leaves a network on the CPU
    weights = {tap: w * scale[tap] for tap, w in channel_vectors(job.judge).items()}
    card = _card(subject, data, variant, settings, weights)
    result = TrainedDistance(f"{subject.name} ({variant})", subject.channels, weights, card)
    if place is not None:
        result.save(place)
    return result


def _prepare_head(
    subject: Trainee,
    data: TwoAFCSet,
    settings: TrainingSettings,
    identity: str,
    folder: Path | None,
    device: str,
    variant: str,  # noqa: ARG001  # one signature for both
) -> tuple[Job, dict[str, float]]:
    cache = cache_channel_distances(
        subject.channels, data, device=device, folder=folder, identity=" ".join(subject.parts)
    )
    rows = torch.cat([cache.row0, cache.row1])
    sample = {tap: shares[rows] for tap, shares in cache.shares.items()}
    scale = _scales(sample, subject.channels.distance)
    judge = _judge(sample, settings)

    def shares(batch: Batch) -> Batch:
        return _times(batch[0], scale), _times(batch[1], scale), batch[2]

    return Job(judge, CachedTriplets(cache, data), shares, identity=identity), scale


def _prepare_network(
    subject: Trainee,
    data: TwoAFCSet,
    settings: TrainingSettings,
    identity: str,
    folder: Path | None,  # noqa: ARG001  # one signature for both
    device: str,
    variant: str,
) -> tuple[Job, dict[str, float]]:
    channels = subject.channels
    triplets = ImageTriplets(data)
    images, _ = triplets[list(range(min(_SCALE_TRIPLETS, len(data))))]
    with torch.no_grad():
        references, first, _ = (channels.eval().encode(part.to(device)) for part in images)
        sample = channels.between(first, references)
    scale = _scales(sample, channels.distance)

    def shares(batch: tuple[Tensor, Tensor]) -> Batch:
        (ref, p0, p1), judge = _encode_together(channels, batch[0]), batch[1]
        return _times(channels.between(p0, ref), scale), _times(channels.between(p1, ref), scale), judge

    judge = _judge(sample, settings)
    mode = variant == "scratch"
    return Job(judge, triplets, shares, trunk=channels, trunk_mode=mode, identity=identity), scale


def _encode_together(channels: ChannelDistances, images: Tensor) -> list[dict[str, Tensor]]:
    """(3, N, 3, H, W) -> features of references, p0, p1, from one batch of 3 N images."""
    n = images.shape[1]
    features = channels.encode(images.flatten(0, 1))
    return [{tap: f[k * n : (k + 1) * n] for tap, f in features.items()} for k in range(3)]


def _judge(sample: Mapping[str, Tensor], settings: TrainingSettings) -> Judge:
    from lossnets.distances.calibrate import ChannelWeights, TwoAFCHead

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        # sorted: parameters of a checkpoint are told apart by number, and a file keeps no order of taps
        counts = {tap: sample[tap].shape[1] for tap in sorted(sample)}
        judge = Judge(ChannelWeights(counts, dropout=settings.dropout), TwoAFCHead(), counts)
    judge.weights.clamp_()  # type: ignore[operator]
    return judge


def _scales(sample: Mapping[str, Tensor], distance: Any) -> dict[str, float]:
    """Factor of each tap that makes its distance 1 on average; ones for LPIPS' own distance.

    The judge network divides by d + 0.1, which presumes distances of the order of 1, as summed
    squares of unit-normalised features are. Others may be a thousand times smaller or larger.
    """
    if distance.unit and distance.channels == "sum":
        return dict.fromkeys(sample, 1.0)
    sizes = {tap: float(shares.sum(1).mean()) for tap, shares in sample.items()}
    return {tap: 1.0 / size if size > 0 else 1.0 for tap, size in sizes.items()}


def _times(shares: Mapping[str, Tensor], scale: Mapping[str, float]) -> dict[str, Tensor]:
    return {tap: s * scale[tap] for tap, s in shares.items()}


def channel_vectors(judge: Judge) -> dict[str, Tensor]:
    """The channel weights as {tap: (C,)}, read off as what each channel alone is worth."""
    weights = judge.weights.eval().cpu()
    vectors = {}
    with torch.no_grad():
        for tap, count in judge.channel_counts.items():
            probe = {t: torch.zeros(count, c) for t, c in judge.channel_counts.items()}
            probe[tap] = torch.eye(count)
            vectors[tap] = weights(probe).clone()
    return vectors


def _card(
    subject: Trainee, data: TwoAFCSet, variant: str, settings: TrainingSettings, weights: Mapping[str, Tensor]
) -> HeadCard:
    return HeadCard(
        loss=subject.name,
        variant=variant,
        taps={tap: len(w) for tap, w in weights.items()},
        distance=str(subject.channels.distance),
        network_sha256=subject.sha256,
        data={
            "name": data.name,
            "kind": data.kind,
            "items": len(data),
            "resize": data.resize,
            "fingerprint": data.fingerprint(),
        },
        settings={**asdict(settings), "betas": list(settings.betas)},
        versions={"lossnets": __version__, "torch": str(torch.__version__)},
        numerics=subject.numerics,
    )


def load_trained(folder: str | Path, *, device: str = "cpu") -> TrainedDistance:
    """Read a trained distance that `train` saved.

    Raises:
        DataError: a file is missing or damaged, or the loss now has other weights, or its distance another
            definition, than in training.
        WeightsError: the network's weights cannot be had.
    """
    weights, card = read_head(folder)
    subject = trainee(card.loss, card.variant, int(card.settings["seed"]))
    if subject.sha256 != card.network_sha256:
        raise DataError(
            f"{str(folder)!r} was trained on weights {card.network_sha256[:12]}..., and {card.loss!r} now "
            f"has {subject.sha256[:12]}...; use the same weights, or train again."
        )
    if subject.numerics != card.numerics:
        raise DataError(
            f"{str(folder)!r} was trained with version {card.numerics} of the distance {card.distance!r}, "
            f"which is computed in version {subject.numerics} now; train again."
        )
    if card.variant != "lin":
        state, _ = read_tensors(Path(folder) / TRUNK_FILE)
        subject.channels.network.load_state_dict(state)
    return TrainedDistance(f"{card.loss} ({card.variant})", subject.channels.to(device), weights, card)
