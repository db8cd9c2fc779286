"""The distilled family: a real loss, so conservative, zero at the target, its gradient autograd's."""

from __future__ import annotations

import copy

import pytest
import torch

from lossnets.errors import LossnetsError
from lossnets.gradients import DistilledGradientNetwork, PGNLoss
from lossnets.losses import PerceptualLoss


def network(distance: str = "spatial", widths: tuple[int, ...] = (6,)) -> DistilledGradientNetwork:
    torch.manual_seed(1)
    return DistilledGradientNetwork(
        "squeezenet1_1", ["features.1"], widths=widths, distance=distance
    ).eval()  # fmt: skip


def test_without_thin_stages_it_is_the_loss_of_the_first_layers() -> None:
    pgn = network("lpips", ())
    loss = PerceptualLoss("squeezenet1_1", "features.1", distance="lpips", weights="random-0")
    x, y = torch.rand(2, 2, 3, 32, 32)
    torch.testing.assert_close(PGNLoss(pgn)(x, y), loss(x, y), rtol=1e-4, atol=1e-7)
    slopes = []
    for function in (PGNLoss(pgn), loss):
        inputs = x.clone().requires_grad_()
        function(inputs, y).backward()
        slopes.append(inputs.grad)
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("distance", ["spatial", "lpips", "l1"])
def test_the_field_is_the_gradient_of_the_value(distance: str) -> None:
    pgn = network(distance).double()
    x, y = torch.randn(2, 1, 3, 16, 16, dtype=torch.float64)
    kept = pgn.encode(y)
    value, gradient = pgn.predict(x, kept)
    step = 1e-6 * torch.randn_like(x)
    change = pgn.value(x + step, kept) - pgn.value(x - step, kept)
    torch.testing.assert_close(change[0] / 2, (gradient * step).sum(), rtol=1e-3, atol=0)
    torch.testing.assert_close(value, pgn.value(x, kept), rtol=1e-5, atol=0)


@pytest.mark.parametrize("distance", ["mean", "unit-sort", "gram", "spatial+mean"])
def test_only_distances_by_position_are_taken(distance: str) -> None:
    with pytest.raises(LossnetsError, match="distance must compare position by position"):
        network(distance)


def test_zero_at_the_target_and_lower_is_nearer() -> None:
    pgn = network()
    y = torch.rand(1, 3, 24, 24)
    with torch.no_grad():
        value, gradient = pgn.predict(y, pgn.encode(y))
        near, far = (float(pgn.value(y + d, pgn.encode(y))) for d in (0.05, 0.5))
    assert float(value) == pytest.approx(0.0, abs=1e-12)
    assert float(gradient.abs().max()) < 1e-6
    assert 0 < near < far


def test_channel_weights_are_learned_and_the_first_layers_are_not() -> None:
    pgn = network()
    trained = {name for name, p in pgn.named_parameters() if p.requires_grad}
    assert any(name.startswith("log_weights") for name in trained)
    assert any(name.startswith("later") for name in trained)
    assert not any(name.startswith("first") for name in trained)
    x, y = torch.rand(2, 1, 3, 16, 16)
    _, gradient = pgn.predict(x, pgn.encode(y))
    gradient.square().sum().backward()  # differentiable with respect to them
    assert all(float(p.grad.abs().sum()) > 0 for p in pgn.log_weights)


def test_there_are_no_thin_stages_unless_asked_for() -> None:
    pgn = DistilledGradientNetwork("squeezenet1_1", ["features.1"])
    assert pgn.architecture.settings["widths"] == []
    assert [name for name, p in pgn.named_parameters() if p.requires_grad] == ["log_weights.0"]


def test_doubling_channel_weights_doubles_everything() -> None:
    pgn = network()
    x, y = torch.rand(2, 1, 3, 16, 16)
    value, gradient = pgn.predict(x, pgn.encode(y))
    twice = copy.deepcopy(pgn)
    with torch.no_grad():
        for weights in twice.log_weights:
            weights += torch.log(torch.tensor(2.0))
    found = twice.predict(x, twice.encode(y))
    torch.testing.assert_close(found, (2 * value, 2 * gradient), rtol=1e-4, atol=1e-9)


def test_errors() -> None:
    with pytest.raises(LossnetsError, match="unitt"):
        network("unitt")
    with pytest.raises(LossnetsError, match=r"'features.99' is not known"):
        DistilledGradientNetwork("squeezenet1_1", ["features.99"])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"widths": (0,)}, r"widths must be whole numbers of channels, 1 or more; got \[0\]"),
        ({"widths": [2.5]}, "1 or more; got"),
        ({"widths": 8}, "widths must be a list of numbers of channels, .*; got 8"),
        ({"taps": "features.1"}, "taps must be a list of extraction points; got 'features.1'"),
    ],
)
def test_settings_of_the_wrong_kind(settings: dict[str, object], text: str) -> None:
    with pytest.raises(LossnetsError, match=text):
        DistilledGradientNetwork("squeezenet1_1", **{"taps": ["features.1"], **settings})  # type: ignore[arg-type]
