"""Inversion: refine the latents of a generator, first with MSE, then with each gradient.

Nikulin et al. 2021, after Image2StyleGAN (Abdal et al. 2019): 5000 steps with MSE, then 1000 from there
with PGN + 20·MSE, with the true loss + 1·MSE, and with MSE alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, ImageError
from lossnets.judging.choice import resolve_losses
from lossnets.judging.cuts import as_python, cut_losses
from lossnets.judging.effect_result import EffectResult
from lossnets.judging.fields import Field, loss_field, mixed
from lossnets.judging.fits import FitSettings, Judge, drive, names_of
from lossnets.judging.ledger import Ledger, images_hash
from lossnets.judging.records import Fit, Progress, RivalRecord, plain
from lossnets.judging.rivals import Rival, per_image, smallest_side
from lossnets.judging.subjects import LatentSubject, generated
from lossnets.losses import ImageLoss
from lossnets.networks.weights import state_sha256

INVERSION = "inversion"
"""In the place of a generator's kind, in results."""
PGN_MSE = 20.0
TRUE_MSE = 1.0


@dataclass(frozen=True)
class InversionSettings:
    """How latents are refined.

    Attributes:
        fit_steps: with MSE, from the latents given.
        steps: with each rival, from where MSE ended.
        learning_rate: of Adam.
        pgn_mse: weight of MSE beside the PGN; MSE is that of images in the space of the loss network,
            (p - mean) / std, as in the paper.
        true_mse: weight of MSE beside the true loss, and beside it cut.
        cuts: numbers of taps after which the true loss is cut, as plain rivals.
        points: of the curves.
    """

    fit_steps: int = 5000
    steps: int = 1000
    learning_rate: float = 0.01
    pgn_mse: float = PGN_MSE
    true_mse: float = TRUE_MSE
    cuts: tuple[int, ...] = ()
    points: int = 20

    def __post_init__(self) -> None:
        """Check what `FitSettings` does not."""
        for name in ("pgn_mse", "true_mse"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} must be a weight, 0 or more; got {getattr(self, name)!r}")
        self.phase(self.fit_steps), self.phase(self.steps)

    def phase(self, steps: int) -> FitSettings:
        """Settings of one of the two parts."""
        return FitSettings(steps, self.learning_rate, points=self.points)


def inversion(
    generator: nn.Module,
    latents: Tensor,
    images: Tensor,
    true: str | ImageLoss,
    pgn: str | ImageLoss | None,
    *,
    names: Iterable[str] | None = None,
    settings: InversionSettings | None = None,
    store: str | Path | None = None,
    progress: Progress | None = None,
) -> EffectResult:
    """Refine latents until the generator makes the images, with MSE and then with each gradient.

    The generator is used in eval mode and its own parameters stay as they are; its modes are given back.
    Latents of different images do not depend on each other as long as the generator does not mix them.

    Args:
        generator: any module that maps latents (N, ...) to images (N, 3, H, W) in [0, 1].
        latents: (N, ...) where MSE starts, the mean latent say, on the generator's device.
        images: y, (N, 3, H, W) in [0, 1].
        true: the loss that is imitated and that judges, or its name.
        pgn: what imitates it, or its name; None: without.
        names: of the images; their numbers by default.
        settings: `InversionSettings`.
        store: file (JSON lines) that keeps each part as it is made.
        progress: called with (parts done, in all, what comes next).

    Returns:
        An `EffectResult` with the one generator ``inversion``: ``result.gap("inversion", "pgn")``; curves
        start where MSE ended.

    Raises:
        ImageError: the generator makes something else, or images of another size or range.
        ConfigError: settings that do not go together.
        DataError: the store cannot be read or written.
    """
    settings = settings or InversionSettings()
    true, pgn = resolve_losses(true, pgn, images)
    labels = names_of(names, len(images))
    rivals = list(_rivals(true, pgn, settings))
    ledger = Ledger(store)
    judge = Judge(true, images)
    with frozen(generator):
        _check(generator, latents, images)
        key = _key(generator, latents, images, true, labels, settings)
        if progress:
            progress(0, 1 + len(rivals), "MSE, from the latents given")
        began = _begin(ledger, key, generator, latents, images, settings)
        fits: list[Fit] = []
        for done, rival in enumerate(rivals, 1):
            if progress:
                progress(done, 1 + len(rivals), rival.record.title)
            own = {**key, "rival": rival.record.signature, "key": rival.key, "steps": settings.steps}
            found = ledger.get(own)
            if found is None:
                subject = LatentSubject(generator, began, rival, images, 0)
                made = drive(subject, INVERSION, rival.key, judge, 0, settings.phase(settings.steps), labels)
                found = [fit.as_dict() for fit in made]
                ledger.put(own, found)
            fits += [Fit.from_dict(record) for record in found]
    if progress:
        progress(1 + len(rivals), 1 + len(rivals), "done")
    about = {
        **asdict(settings), "true": true.name, "true_signature": true.signature(),
        "pgn": "" if pgn is None else pgn.name, "images": len(images), "side": list(images.shape[2:]),
        "latents": list(latents.shape), "device": str(images.device),
    }  # fmt: skip
    return EffectResult(plain(about), tuple(r.record for r in rivals), tuple(fits), {})


def _begin(
    ledger: Ledger, key: dict[str, Any], generator: nn.Module, latents: Tensor, images: Tensor,
    settings: InversionSettings,
) -> Tensor:  # fmt: skip
    """Latents where MSE ends; kept, so that all rivals start there after a kill too."""
    own = {**key, "part": "start"}
    found = ledger.get(own)
    if found is None:
        mse = _plain_mse(1.0, None)
        subject = LatentSubject(generator, latents, mse, images, 0)
        optimiser = torch.optim.Adam(subject.parameters(), settings.learning_rate)
        for step in range(settings.fit_steps):
            subject.pull(step)
            optimiser.step()
        if not bool(torch.isfinite(subject.latents).all()):
            raise ImageError(
                f"the latents are not finite after {settings.fit_steps} steps with MSE; check the generator, "
                f"or take a smaller learning_rate than {settings.learning_rate:g}"
            )
        found = subject.latents.detach().cpu().tolist()
        ledger.put(own, found)
    return torch.tensor(found, dtype=latents.dtype, device=latents.device)


def _key(
    generator: nn.Module, latents: Tensor, images: Tensor, true: ImageLoss, names: list[str],
    settings: InversionSettings,
) -> dict[str, Any]:  # fmt: skip
    state = {name: value.detach().cpu() for name, value in generator.state_dict().items()}
    return {
        "inversion": 1, "true": true.signature(), "generator": state_sha256(state), "code": repr(generator),
        "latents": images_hash(latents), "images": images_hash(images), "names": names,
        "fit_steps": settings.fit_steps, "rate": settings.learning_rate, "points": settings.points,
    }  # fmt: skip


def _check(generator: nn.Module, latents: Tensor, images: Tensor) -> None:
    if not isinstance(latents, Tensor) or not latents.is_floating_point() or len(latents) != len(images):
        got = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
        raise ConfigError(f"latents must be floating point, one for each of {len(images)} images; got {got}")
    with torch.no_grad():
        made = generated(generator, latents)
    if made.shape != images.shape:
        raise ImageError(
            f"the generator makes images {tuple(made.shape)}, the targets are {tuple(images.shape)}; resize "
            "the targets"
        )
    low, high = (float(v) for v in torch.aminmax(made))
    if not (low >= 0 and high <= 1):
        raise ImageError(
            f"the generator must make images in [0, 1]; got values from {low:.4g} to {high:.4g}. Wrap it in "
            "a module that maps its range, e.g. (images + 1) / 2, and clamps"
        )


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """In eval mode and without gradients for its parameters inside the block; as it was afterwards."""
    training = {part: part.training for part in module.modules()}
    flags = {parameter: parameter.requires_grad for parameter in module.parameters()}
    module.eval().requires_grad_(False)
    try:
        yield
    finally:
        for part, mode in training.items():
            part.training = mode
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)


def _rivals(true: ImageLoss, pgn: ImageLoss | None, settings: InversionSettings) -> Iterator[Rival]:
    std = _std(pgn) or _std(true)
    yield _beside(true, "true", "a", "true loss", settings.true_mse, std, plain=False)
    if pgn is not None:
        yield _beside(pgn, "pgn", "b", "PGN", settings.pgn_mse, std, plain=False)
    yield _plain_mse(1.0, None)
    for count, cut in cut_losses(true, settings.cuts):
        title = f"true loss cut after {count} tap{'s' if count > 1 else ''}"
        yield _beside(cut, f"cut-{count}", "e", title, settings.true_mse, std, plain=True)


def _std(loss: ImageLoss | None) -> tuple[float, ...] | None:
    """Of the space in which a loss sees images; None where it has none of its own."""
    network = getattr(loss, "pgn", None) or getattr(loss, "network", None)
    found = getattr(network, "std", None)
    return tuple(found.flatten().tolist()) if isinstance(found, Tensor) and found.numel() == 3 else None


def _beside(
    loss: ImageLoss, key: str, letter: str, title: str, weight: float, std: tuple[float, ...] | None, *,
    plain: bool,
) -> Rival:  # fmt: skip
    own, mse = per_image(loss), _plain_mse(1.0, std)
    record = RivalRecord(
        key, letter, f"{title} + {weight:g}·MSE", "",
        f"{as_python(loss)}(x, y) + {weight:g} * {mse.record.python}", plain=plain, period=1,
        smallest=smallest_side(own),
        signature=f"{own.signature()}|+{weight!r}|{mse.record.signature}",
    )  # fmt: skip
    make: Callable[[Tensor, int], Field] = lambda targets, seed: mixed(  # noqa: E731 - one expression
        loss_field(own, targets), mse.make(targets, seed), weight
    )
    return Rival(record, make)


def _plain_mse(weight: float, std: tuple[float, ...] | None) -> Rival:
    """MSE of images over std, whose mean falls out: 2 (x - y) / (std² C H W)."""

    def make(targets: Tensor, _seed: int) -> Field:
        scale = targets.new_tensor(std or (1.0,) * 3).view(1, 3, 1, 1)
        factor = 2 * weight / (scale.square() * targets[0].numel())
        return lambda images, _step: factor * (images - targets)

    inside = "x, y" if std is None else "x / std, y / std"
    record = RivalRecord(
        "mse", "c", "MSE", "pixel:mse", f"F.mse_loss({inside})", plain=True, period=1, smallest=1,
        signature=f"mse|{std}|{weight!r}",
    )  # fmt: skip
    return Rival(record, make)
