"""A guard for training scripts: now and then a gradient network is compared with the loss it imitates.

from lossnets.gradients import PGNGuard, PGNLoss
loss = PGNGuard(PGNLoss.from_pretrained(), every=100, action="switch")
loss(input, target).backward()
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, LossnetsError, unknown_name
from lossnets.gradients.loss import PGNLoss
from lossnets.losses.base import ImageLoss
from lossnets.losses.encoded import EncodedTarget
from lossnets.losses.load import load_loss
from lossnets.processes import undisturbed

ACTIONS = ("warn", "switch", "raise")


class PGNWarning(UserWarning):
    """A gradient network misleads the training that it is used in."""


@dataclass(frozen=True)
class Check:
    """What one comparison found, on the first few images of a batch.

    Attributes:
        step: training calls before this one.
        cosine: of predicted and true gradient, mean over images; NaN where the true gradient is zero.
        norm_ratio: norm of the predicted over that of the true gradient, mean over images.
        true_loss: mean over images.
        trend: ``down`` or ``up``: the true loss against its mean in the checks before; "" on the first.
        problem: why the network misleads; "" where it does not.
    """

    step: int
    cosine: float
    norm_ratio: float
    true_loss: float
    trend: str = ""
    problem: str = ""


def _not_compiled(function: Callable[..., Any]) -> Any:
    with undisturbed():  # the compiler, which this imports, sets warnings and variables
        return torch.compiler.disable(function)  # type: ignore[no-untyped-call]


class PGNGuard(nn.Module):
    """A `PGNLoss` under supervision: called like it, (N, C, H, W) x 2 -> what the loss returns.

    Every ``every`` training calls (calls whose input requires a gradient; the first one included) the
    gradients of both losses are compared on the first few images. The network **misleads** when

    - a predicted gradient or the true loss is not finite, or
    - the mean cosine of the last ``patience`` checks is below ``min_cosine``, or
    - the mean true loss of the last ``patience`` checks exceeds ``rise`` times the lowest such mean so far.

    Then it warns, once until it has recovered; or warns and gives the true loss from that call on; or raises.
    Gradients and random states are those of the loss alone. Processes of a distributed training compare
    together (all of them have to call it) and decide alike.

    Counters and history are part of ``state_dict()``.

    Args:
        pgn_loss: what to train with.
        true_loss: what it imitates: a loss, its name, or None for what the network's card says.
        every: training calls from one check to the next.
        images: of the batch that are compared.
        min_cosine: below this the field is taken to point nowhere, or uphill.
        patience: checks that are averaged, since batches differ.
        rise: factor by which the true loss may rise over its lowest.
        action: ``warn``, ``switch`` (to the true loss, for good) or ``raise``.

    Attributes:
        history: a `Check` for each comparison.
        switched: whether the true loss is in use.

    Raises:
        ConfigError: a number is out of range, or the two losses take images of different ranges or
            channels, or it is not known what the network imitates.

    >>> from lossnets.gradients import PerceptualGradientNetwork
    >>> pgn = PGNLoss(PerceptualGradientNetwork("shuffled", width=8, blocks=1))
    >>> loss = PGNGuard(pgn, "pixel:mse", min_cosine=-1)
    >>> x, y = torch.rand(2, 3, 16, 16, requires_grad=True), torch.rand(2, 3, 16, 16)
    >>> loss(x, y).backward()
    >>> len(loss.history), loss.switched
    (1, False)
    """

    def __init__(
        self,
        pgn_loss: PGNLoss,
        true_loss: ImageLoss | str | None = None,
        *,
        every: int = 100,
        images: int = 4,
        min_cosine: float = 0.0,
        patience: int = 3,
        rise: float = 2.0,
        action: str = "warn",
    ) -> None:
        super().__init__()
        if not isinstance(pgn_loss, PGNLoss):
            raise ConfigError(f"pgn_loss must be a PGNLoss; got {type(pgn_loss).__name__}")
        if action not in ACTIONS:
            raise unknown_name("action of a guard", str(action), ACTIONS)
        for name, number in (("every", every), ("images", images), ("patience", patience)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ConfigError(f"{name} must be a whole number, 1 or more; got {number!r}")
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (min_cosine, rise))
        if not numbers or not -1 <= min_cosine < 1 or not rise > 1:
            raise ConfigError(
                f"min_cosine must be in [-1, 1) and rise above 1; got {min_cosine!r} and {rise!r}"
            )
        self.pgn_loss = pgn_loss
        self.true_loss = _true_loss(pgn_loss, true_loss)
        self.every, self.images, self.patience = every, images, patience
        self.min_cosine, self.rise, self.action = min_cosine, rise, action
        self.history: list[Check] = []
        self.switched = False
        self.calls = 0

    @property
    def active(self) -> ImageLoss:
        """The loss in use."""
        return self.true_loss if self.switched else self.pgn_loss

    def encode(self, target: Tensor) -> EncodedTarget:
        """What is needed of a target, once: (N, C, H, W) -> encoded, for this guard or its `PGNLoss`.

        It holds the target's images, so that it also serves after a switch.
        """
        return self.pgn_loss.encode(target)

    def forward(self, input: Tensor, target: Tensor | EncodedTarget, **options: Any) -> Any:  # noqa: A002 - as in ImageLoss
        """Compare images with targets; see `ImageLoss.forward` for arguments, options and errors.

        Raises:
            LossnetsError: the network misleads, and the action is ``raise``.
        """
        if isinstance(input, Tensor) and input.requires_grad and torch.is_grad_enabled():
            self._watch(input, target)
        if self.switched and isinstance(target, EncodedTarget):
            target = self._images_of(target)
        return self.active(input, target, **options)

    @_not_compiled
    def _watch(self, images: Tensor, target: Tensor | EncodedTarget) -> None:
        """Count a training call, and check where one is due."""
        step, self.calls = self.calls, self.calls + 1
        if self.switched or step % self.every:
            return
        few = slice(0, self.images)
        other = self._images_of(target) if isinstance(target, EncodedTarget) else target
        devices = [images.device] if images.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            found = self._compare(images.detach()[few], other.detach()[few])
        self._judge(step, *_over_processes(found, images.device))

    def _compare(self, images: Tensor, target: Tensor) -> list[float]:
        """Sums over images (cosines, norm ratios, true losses), images with a true gradient, images."""
        predicted, _ = _gradient(self.pgn_loss, images, target)
        true, values = _gradient(self.true_loss, images, target)
        p, t = predicted.flatten(1).double(), true.flatten(1).double()
        norms = t.norm(dim=1)
        defined = norms != 0  # NaN counts: it has to be told
        p, t, norms = p[defined], t[defined], norms[defined]
        ratio = p.norm(dim=1) / norms
        cosine = (p * t).sum(1) / (p.norm(dim=1) * norms).clamp_min(1e-300)
        sums = [float(v.sum()) for v in (cosine, ratio, values.double())]
        return [*sums, float(defined.sum()), float(len(values))]

    def _judge(self, step: int, cosines: float, ratios: float, values: float, n: float, count: float) -> None:
        cosine, ratio = (cosines / n, ratios / n) if n else (math.nan, math.nan)
        true_loss = values / count
        last = [check.true_loss for check in self.history[-self.patience :]]
        trend = ("down" if true_loss < sum(last) / len(last) else "up") if last else ""
        check = Check(step, cosine, ratio, true_loss, trend)
        finite = math.isfinite(true_loss) and (not n or math.isfinite(cosine + ratio))
        problem = self._problem([*self.history, check]) if finite else "a gradient or the loss is not finite"
        warned = bool(self.history) and bool(self.history[-1].problem)
        self.history.append(Check(step, cosine, ratio, true_loss, trend, problem))
        if problem and not warned:
            self._act(self.history[-1])

    def _problem(self, checks: list[Check]) -> str:
        """Why the network misleads, in half a sentence; empty where it does not."""
        cosines = [check.cosine for check in checks if not math.isnan(check.cosine)][-self.patience :]
        mean = sum(cosines) / len(cosines) if cosines else math.nan
        if len(cosines) == self.patience and mean < self.min_cosine:
            return f"the mean cosine to the true gradient is {mean:.3f}, below {self.min_cosine:g}"
        losses = [check.true_loss for check in checks if math.isfinite(check.true_loss)]
        windows = range(self.patience, len(losses) + 1)
        means = [sum(losses[end - self.patience : end]) / self.patience for end in windows]
        if means and means[-1] > self.rise * min(means):
            return f"the true loss is {means[-1]:.4g}, {means[-1] / min(means):.2f} times its lowest"
        return ""

    def _act(self, check: Check) -> None:
        text = (
            f"the gradient network {self.pgn_loss.name} misleads at step {check.step}: {check.problem} "
            f"(over {self.patience} checks; in this one cosine {check.cosine:.3f}, norm ratio "
            f"{check.norm_ratio:.3g}, true loss {check.true_loss:.4g}, {check.trend or 'first check'})"
        )
        if self.action == "raise":
            raise LossnetsError(f"{text}. Train with the true loss: {self.true_loss.name}")
        self.switched = self.action == "switch"
        then = f"From here on the true loss is used: {self.true_loss.name}" if self.switched else (
            f"Consider the true loss: {self.true_loss.name}"
        )  # fmt: skip
        warnings.warn(f"{text}. {then}", PGNWarning, stacklevel=6)

    def _images_of(self, target: EncodedTarget) -> Tensor:
        """The images of a target that the gradient network encoded, in the data range."""
        loss = self.pgn_loss
        if target.signature != loss.signature():
            raise ConfigError(
                "a guard needs the target's images: pass them, or what its own encode made of them; got a "
                f"target encoded by {target.signature}"
            )
        pixels = loss.pgn.denormalise(target.embeddings[0][0])
        if loss.spec.channels != "rgb":
            pixels = pixels.mean(1).view(target.shape)
        low, high = loss.data_range
        slack = loss.range_tolerance  # rounding must not put what was accepted out of range
        return pixels.clamp(-slack, 1 + slack) * (high - low) + low

    def get_extra_state(self) -> dict[str, Any]:
        """Counters and history, plain values."""
        history = [asdict(check) for check in self.history]
        return {"calls": self.calls, "switched": self.switched, "history": history}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on where `get_extra_state` was called."""
        self.calls, self.switched = int(state["calls"]), bool(state["switched"])
        self.history = [Check(**check) for check in state["history"]]

    def extra_repr(self) -> str:
        """The settings, for ``print``."""
        return (
            f"every={self.every}, images={self.images}, min_cosine={self.min_cosine:g}, "
            f"patience={self.patience}, rise={self.rise:g}, action={self.action!r}, switched={self.switched}"
        )


def _true_loss(pgn_loss: PGNLoss, true_loss: ImageLoss | str | None) -> ImageLoss:
    if true_loss is None:
        true_loss = pgn_loss.imitates.split("|")[0]
        if not true_loss:
            raise ConfigError(f"true_loss must be given: {pgn_loss.name} does not say what it imitates")
    if isinstance(true_loss, str):
        options = {"data_range": pgn_loss.data_range, "reduction": pgn_loss.reduction}
        return load_loss(true_loss, device=pgn_loss.pgn.mean.device, **options)
    if not isinstance(true_loss, ImageLoss):
        raise ConfigError(f"true_loss must be a loss or its name; got {type(true_loss).__name__}")
    for name in ("data_range", "reduction"):
        ours, theirs = getattr(pgn_loss, name), getattr(true_loss, name)
        if ours != theirs:
            raise ConfigError(f"both losses must have the same {name}; got {ours!r} and {theirs!r}")
    return true_loss


def _gradient(loss: ImageLoss, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient (N, C, H, W) and value (N,) of each image by itself."""
    single = copy.copy(loss)  # shares the network
    single.reduction = "none"
    with torch.enable_grad():
        half = images.dtype in (torch.float16, torch.bfloat16)  # in which small gradients vanish
        inputs = (images.float() if half else images.clone()).requires_grad_()
        values = single(inputs, target)
        (gradient,) = torch.autograd.grad(values.sum(), inputs)
    return gradient, values.detach()


def _over_processes(figures: list[float], device: torch.device) -> list[float]:
    """Sums over the processes of a distributed training."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return figures
    total = torch.tensor(figures, device=device, dtype=torch.float64)
    torch.distributed.all_reduce(total)
    return [float(value) for value in total]
