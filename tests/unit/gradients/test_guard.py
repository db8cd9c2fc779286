"""The guard: figures by hand, a deliberately wrong network found out, nothing changed while all is well."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, EncodingError, LossnetsError, UnknownNameError
from lossnets.gradients import Architecture, GradientNetwork, PGNGuard, PGNLoss, PGNWarning
from lossnets.losses import ImageLoss, PixelLoss, load_loss

Pair = tuple[Tensor, Tensor]


class Wrong(GradientNetwork):
    """The gradient of the mean squared difference of pixels, times a factor: -1 leads uphill."""

    def __init__(self, factor: float) -> None:
        super().__init__(Architecture("direct", "shuffled", mean=(0.0,) * 3, std=(1.0,) * 3))
        self.factor = nn.Parameter(torch.tensor(factor))

    def encode(self, target: Tensor) -> tuple[Tensor, ...]:
        return (target,)

    def predict(self, images: Tensor, kept: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        d = images - kept[0]
        return d.square().mean((1, 2, 3)), self.factor * 2 * d / d[0].numel()


def guard(factor: float, *, every: int = 1, **options: Any) -> PGNGuard:
    return PGNGuard(PGNLoss(Wrong(factor)), "pixel:mse", every=every, **options)


def fit(loss: Any, x: Tensor, target: Any, steps: int, rate: float = 100.0) -> Tensor:
    """Gradient descent on pixels."""
    x = x.clone()
    for _ in range(steps):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(x, target), x)
        x = (x - rate * gradient).detach().clamp(0, 1)
    return x


def test_figures_by_hand(pair: Pair) -> None:
    x, y = pair
    loss = guard(0.5, images=1)
    expected = (x - y).square().mean((1, 2, 3)).tolist()
    assert float(loss(x.requires_grad_(), y).detach()) == pytest.approx(sum(expected) / 2)
    (check,) = loss.history
    assert check.cosine == pytest.approx(1.0)
    assert check.norm_ratio == pytest.approx(0.5)
    assert check.true_loss == pytest.approx(expected[0])
    assert (check.step, check.trend, check.problem) == (0, "", "")


def test_half_precision_loses_no_small_gradient(pair: Pair) -> None:
    """Of 480 pixels in 16 bits, gradients of a nearly fitted image are below what float16 can tell apart."""
    x, y = pair
    near = (y + 1e-3 * (x - y)).half().requires_grad_()
    loss = guard(1.0)
    loss(near, y.half())
    assert loss.history[0].cosine == pytest.approx(1.0, abs=1e-6)
    assert loss.history[0].norm_ratio == pytest.approx(1.0)


def test_every_so_many_training_calls(pair: Pair) -> None:
    x, y = pair
    loss = guard(1.0, every=3)
    for _ in range(7):
        loss(x.requires_grad_(), y)
        loss(x.detach(), y)  # judging, not training
        with torch.no_grad():
            loss(x, y)
    assert [check.step for check in loss.history] == [0, 3, 6]
    assert loss.calls == 7


@pytest.mark.filterwarnings("error")
def test_a_good_network_is_left_alone_and_nothing_is_changed(pair: Pair) -> None:
    x, y = pair
    loss, plain = guard(1.0), PGNLoss(Wrong(1.0))
    torch.manual_seed(9)
    found = fit(loss, x, y, 6)
    after = torch.rand(2)
    torch.manual_seed(9)
    assert torch.equal(found, fit(plain, x, y, 6))
    assert torch.equal(after, torch.rand(2))
    assert [check.trend for check in loss.history] == ["", *["down"] * 5]
    assert not loss.switched
    assert list(nn.ModuleList([loss]).parameters()) == []


def test_a_network_that_leads_uphill_is_told_once(pair: Pair) -> None:
    loss = guard(-1.0, patience=3)
    with pytest.warns(PGNWarning) as told:
        fit(loss, *pair, 8, rate=1.0)
    assert len(told) == 1
    text = str(told[0].message)
    assert (
        "the gradient network pgn:custom misleads at step 2: the mean cosine to the true gradient is" in text
    )
    assert "-1.000, below 0" in text
    assert "norm ratio 1, true loss" in text
    assert "Consider the true loss: pixel:mse" in text
    assert [bool(check.problem) for check in loss.history] == [False, False, *[True] * 6]
    assert loss.history[-1].trend == "up"


def test_it_warns_again_after_it_has_recovered(pair: Pair) -> None:
    loss = guard(-1.0, patience=1)
    x = pair[0].requires_grad_()
    factor = loss.pgn_loss.pgn.factor
    for value, told in ((-1.0, True), (-1.0, False), (1.0, False), (-1.0, True)):
        factor.data.fill_(value)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loss(x, pair[1])
        assert bool(caught) == told


def test_switching_gives_the_true_loss_for_good(pair: Pair) -> None:
    x, y = pair
    loss = guard(-1.0, patience=2, action="switch")
    with pytest.warns(PGNWarning, match="From here on the true loss is used: pixel:mse"):
        fit(loss, x, y, 2, rate=1.0)
    assert loss.switched
    assert loss.active is loss.true_loss
    encoded, true = loss.encode(y), PixelLoss("mse")
    for target in (y, encoded):
        inputs = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(inputs, target), inputs)
        (expected,) = torch.autograd.grad(true(inputs, y), inputs)
        torch.testing.assert_close(slope, expected, rtol=1e-4, atol=1e-8)
    assert len(loss.history) == 2  # nothing is compared any more
    end = fit(loss, x, y, 30)
    assert float((end - y).abs().max()) < 0.02 < float((x - y).abs().max())


def test_raising_stops_the_training(pair: Pair) -> None:
    loss = guard(-1.0, patience=1, action="raise")
    with pytest.raises(LossnetsError, match=r"misleads at step 0.*Train with the true loss: pixel:mse"):
        loss(pair[0].requires_grad_(), pair[1])
    assert len(loss.history) == 1


def _losses_at(loss: PGNGuard, x: Tensor, y: Tensor, sizes: tuple[float, ...]) -> None:
    """Training calls at shares of the way from y to x: true losses in proportion to their squares."""
    for size in sizes:
        loss((y + size * (x - y)).requires_grad_(), y)


def test_a_rising_true_loss_is_noticed_with_any_cosine(pair: Pair) -> None:
    """Steps that are far too long: each gradient is right, and the loss rises all the same."""
    x, y = pair
    loss = guard(1.0, patience=2, min_cosine=-1.0)
    with pytest.warns(PGNWarning, match=r"step 3: the true loss is .*, 13\.\d+ times its lowest"):
        _losses_at(loss, x, y, (0.1, 0.1, 0.11, 0.5, 1.0))
    assert [bool(c.problem) for c in loss.history] == [False, False, False, True, True]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_told_at_once(bad: float, pair: Pair) -> None:
    loss = guard(bad, patience=5, action="switch")
    with pytest.warns(PGNWarning, match="a gradient or the loss is not finite"):
        value = loss(pair[0].requires_grad_(), pair[1])
    assert loss.switched
    assert math.isfinite(float(value.detach()))


@pytest.mark.filterwarnings("error")
def test_at_the_target_there_is_no_direction_to_compare(pair: Pair) -> None:
    loss = guard(-1.0, patience=1)
    loss(pair[1].clone().requires_grad_(), pair[1])
    assert math.isnan(loss.history[0].cosine)
    assert loss.history[0].problem == ""


def test_encoded_targets_and_options(thin: Mapping[str, GradientNetwork], pair: Pair) -> None:
    x, y = pair
    pgn = PGNLoss(thin["proxy"], data_range=(-1, 1), reduction="none")
    loss = PGNGuard(pgn, "pixel:mse", every=1)
    x, y = 2 * x - 1, 2 * y - 1
    encoded = loss.encode(y)
    torch.testing.assert_close(loss(x.requires_grad_(), encoded), pgn(x, y))
    loss(x, y)
    first, second = loss.history
    assert first.cosine == pytest.approx(second.cosine, abs=1e-4)
    assert first.true_loss == pytest.approx(second.true_loss, rel=1e-4)
    assert loss(x, y, output="map").shape == (2, 1, 20, 24)
    with pytest.raises(ConfigError, match="a guard needs the target's images"):
        loss(x, PixelLoss("mse", data_range=(-1, 1)).encode(y))
    with pytest.raises(EncodingError):
        loss(x.detach(), PixelLoss("mse", data_range=(-1, 1)).encode(y))


def test_it_goes_on_after_a_resume(pair: Pair) -> None:
    x, y = pair
    whole, first, second = (guard(-1.0, patience=3, action="switch") for _ in range(3))
    with pytest.warns(PGNWarning):
        fit(whole, x, y, 3, rate=1.0)
    middle = fit(first, x, y, 2, rate=1.0)
    saved = nn.ModuleDict({"loss": first}).state_dict()
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    buffer.seek(0)
    nn.ModuleDict({"loss": second}).load_state_dict(torch.load(buffer, weights_only=True))
    with pytest.warns(PGNWarning, match="misleads at step 2"):
        fit(second, middle, y, 1, rate=1.0)
    assert second.history == whole.history
    assert second.switched
    assert second.calls == 3


def test_the_true_loss_may_be_left_to_the_card(pair: Pair) -> None:
    imitated = load_loss("pixel:l1").signature()
    loss = PGNGuard(PGNLoss(Wrong(1.0), imitates=imitated, reduction="sum"), every=1)
    assert str(loss.true_loss) == "pixel:l1"
    assert loss.true_loss.reduction == "sum"
    with pytest.raises(
        ConfigError, match="true_loss must be given: pgn:custom does not say what it imitates"
    ):
        PGNGuard(PGNLoss(Wrong(1.0)))


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "action": ({"action": "stop"}, UnknownNameError, "action of a guard 'stop' is not known"),
    "every": ({"every": 0}, ConfigError, "every must be a whole number, 1 or more; got 0"),
    "images": ({"images": 1.5}, ConfigError, "images must be a whole number, 1 or more; got 1.5"),
    "cosine": ({"min_cosine": 1.0}, ConfigError, r"min_cosine must be in \[-1, 1\)"),
    "cosine text": ({"min_cosine": None}, ConfigError, "and rise above 1; got None and 2.0"),
    "rise text": ({"rise": "a"}, ConfigError, "rise above 1; got 0.0 and 'a'"),
    "rise": ({"rise": 0.5}, ConfigError, "rise above 1; got 0.0 and 0.5"),
    "range": (
        {"true_loss": PixelLoss("mse", data_range=(-1, 1))}, ConfigError, "must have the same data_range",
    ),
    "reduction": (
        {"true_loss": PixelLoss("mse", reduction="sum")}, ConfigError, "same reduction; got 'mean' and 'sum'",
    ),
    "no loss": ({"true_loss": 3}, ConfigError, "true_loss must be a loss or its name; got int"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_settings_that_are_refused(case: str) -> None:
    options, error, text = BAD[case]
    with pytest.raises(error, match=text):
        PGNGuard(PGNLoss(Wrong(1.0)), **({"true_loss": "pixel:mse"} | options))
    with pytest.raises(ConfigError, match="pgn_loss must be a PGNLoss; got PixelLoss"):
        PGNGuard(PixelLoss("mse"), "pixel:mse")  # type: ignore[arg-type]


def test_it_is_no_trainable_part_and_moves_with_its_host() -> None:
    loss = guard(1.0)
    assert isinstance(loss.active, ImageLoss)
    host = nn.Sequential(nn.Conv2d(3, 3, 1), loss).double()
    assert {p.dtype for p in loss.pgn_loss.pgn.parameters()} == {torch.float64}
    assert len(list(host.parameters())) == 2
    assert "action='warn', switched=False" in repr(loss)
