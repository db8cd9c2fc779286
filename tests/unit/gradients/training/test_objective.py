"""The meta-loss: every term against a few lines of its definition; true gradients by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.errors import ConfigError
from lossnets.gradients import PerceptualGradientNetwork, PGNLoss
from lossnets.gradients.training import PGNConfig
from lossnets.gradients.training.objective import Objective, Predicted, cosines, log_ratios
from lossnets.gradients.training.replay import Samples
from lossnets.gradients.training.truth import mse_gradient, training_loss, true_gradient
from lossnets.losses import ImageLoss, load_loss

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
LOSS = "squeezenet1_1/features.1:lpips:weights=random-0"
Tiny = Callable[..., PGNConfig]


def network(proxy: str = "sigmoid") -> PerceptualGradientNetwork:
    made = PerceptualGradientNetwork("shuffled", proxy=proxy, width=8, blocks=1, mean=MEAN, std=STD)
    return made.eval()  # batch statistics would mix images


@pytest.fixture(scope="module")
def loss() -> ImageLoss:
    return training_loss(LOSS)


def drawn(loss: ImageLoss, count: int = 3) -> tuple[Samples, list[tuple[int, Any]]]:
    """Samples whose first two are fresh, in two parts."""
    x, y = torch.rand(2, count, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    std = torch.tensor(STD).view(1, 3, 1, 1)
    value, gradient = true_gradient(loss, x, y, std)
    return Samples(x, y, gradient, value), [(1, loss.encode(y[:1])), (1, loss.encode(y[1:2]))]


def term(
    tiny: Tiny, loss: ImageLoss, name: str, proxy: str = "sigmoid", **more: Any
) -> tuple[float, Predicted]:
    """Value of a term alone, and what it was computed of."""
    config = tiny(proxy=proxy, **{"matching_cosine": 0, "matching_norm": 0, name: 2.0, **more})
    torch.manual_seed(0)
    objective = Objective(network(proxy), loss, config)
    p = objective.predict(*drawn(loss))
    total, terms = objective(p)
    assert list(terms) == [name]
    assert float(total.detach()) == pytest.approx(2 * float(terms[name]))
    total.backward()
    cut = {k: v.detach() for k, v in vars(p).items() if isinstance(v, Tensor)}
    return float(terms[name]), replace(p, **cut)


def test_true_gradient_of_mse_by_hand() -> None:
    loss = training_loss("pixel:mse")
    x, y = torch.rand(2, 2, 3, 8, 8)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    value, gradient = true_gradient(loss, x, y, std)
    assert torch.allclose(value, (x - y).square().mean((1, 2, 3)))
    assert torch.allclose(gradient, 2 * (x - y) / 192 * std)
    alone = true_gradient(loss, x[1:], loss.encode(y[1:]), std)[1]
    assert torch.allclose(alone[0], gradient[1])
    plain_value, plain = mse_gradient(x, y)
    assert torch.allclose(plain, 2 * (x - y) / 192)
    assert torch.allclose(plain_value, value)


def test_losses_that_cannot_be_imitated(thin_pgn: PGNLoss) -> None:
    with pytest.raises(ConfigError, match="is a gradient network; take the loss that it imitates"):
        training_loss(thin_pgn)
    with pytest.raises(ConfigError, match="takes grey images"):
        training_loss("squeezenet1_1/features.1:channels=gray:weights=random-0")


def test_the_callers_loss_is_left_as_it_was() -> None:
    mine = load_loss("pixel:l1", data_range=(-1, 1))
    copy = training_loss(mine)
    assert (mine.reduction, mine.data_range, mine.validate) == ("mean", (-1, 1), "always")
    assert (copy.reduction, copy.data_range, copy.validate) == ("none", (0, 1), "never")
    assert copy.signature() == mine.signature()


@pytest.fixture
def thin_pgn() -> PGNLoss:
    return PGNLoss(network())


def test_cosines_and_ratios_by_hand() -> None:
    a = torch.tensor([[[[1.0, 3.0], [0.0, 0.0]]]])
    b = torch.tensor([[[[3.0, -1.0], [0.0, 2.0]]]])
    assert float(cosines(a, b)) == pytest.approx(0, abs=1e-7)
    assert float(cosines(a, b, 2)) == pytest.approx(1)  # averages 1 and 1
    assert float(log_ratios(a, b).exp()) == pytest.approx((10 / 14) ** 0.5)
    assert bool(torch.isfinite(cosines(a, 0 * b)).all())


def test_matching_terms(tiny: Tiny, loss: ImageLoss) -> None:
    value, p = term(tiny, loss, "matching", matching_scale=8.0)
    assert value == pytest.approx(8 * float((p.gradient - p.true_gradient).square().mean()))
    value, p = term(tiny, loss, "matching_cosine", matching_scales=(1, 4))
    reference = []
    for scale in (1, 4):
        for g, d in zip(p.gradient, p.true_gradient, strict=True):
            u, v = (F.avg_pool2d(f, scale).flatten() for f in (g, d))
            reference.append(1 - float(u @ v / (u.norm() * v.norm())))
    assert value == pytest.approx(sum(reference) / 6, rel=1e-4)
    value, p = term(tiny, loss, "matching_norm")
    ratio = p.gradient.flatten(1).norm(dim=1) / p.true_gradient.flatten(1).norm(dim=1)
    assert value == pytest.approx(float(ratio.log().square().mean()), rel=1e-4)


def test_proxy_terms(tiny: Tiny, loss: ImageLoss) -> None:
    net = network()
    for name, reference in {
        "proxy_l1": lambda t, p: (t - p.target).abs().mean(),
        "proxy_mse_target": lambda t, p: (t - p.target).square().mean(),
        "proxy_mse_input": lambda t, p: (t - p.images).square().mean(),
        "proxy_loss": lambda t, p: loss(net.denormalise(t[:2]), net.denormalise(p.target[:2])).mean(),
    }.items():
        value, p = term(tiny, loss, name)
        torch.manual_seed(0)
        with torch.no_grad():
            t = network().proxy(p.images, p.target)
        assert value == pytest.approx(float(reference(t, p)), rel=1e-4), name


def test_predicted_value(tiny: Tiny, loss: ImageLoss) -> None:
    value, p = term(tiny, loss, "predicted_value")
    assert value == pytest.approx(float((p.value - p.true_value).square().mean()), rel=1e-5)


def test_terms_of_the_gradient_as_an_image_and_after_a_step(tiny: Tiny, loss: ImageLoss) -> None:
    net, n = network(), 2
    value, p = term(tiny, loss, "step_loss", step_size=0.5)
    rms = lambda v: v[:n].square().mean((1, 2, 3), keepdim=True).sqrt()  # noqa: E731
    length = 0.5 * rms(p.images - p.target) / rms(p.true_gradient)
    a, b = (net.denormalise(p.images[:n] - length * g[:n]) for g in (p.gradient, p.true_gradient))
    assert value == pytest.approx(float(loss(a, b).mean()), rel=1e-4)
    value, p = term(tiny, loss, "gradient_loss")
    a, b = ((0.5 + g[:n] / (8 * rms(p.true_gradient))).clamp(0, 1) for g in (p.gradient, p.true_gradient))
    assert value == pytest.approx(float(loss(a, b).mean()), rel=1e-4)


def test_terms_of_a_warped_proxy(tiny: Tiny, loss: ImageLoss) -> None:
    for name in ("warp_tv", "warp_l2", "additive_l2"):
        value, p = term(tiny, loss, name, proxy="warped-additive")
        assert p.output is not None
        field = F.avg_pool2d(p.output[:, :2], 8).tanh()
        reference = {
            "warp_tv": field.diff(dim=2).square().mean() + field.diff(dim=3).square().mean(),
            "warp_l2": field.square().mean(),
            "additive_l2": p.output[:, 2:].square().mean(),
        }
        assert value == pytest.approx(float(reference[name]), rel=1e-4), name


class Linear(PerceptualGradientNetwork):
    """g = A x with a matrix of one's choice over the pixels of an image."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__("shuffled", width=4, blocks=1)
        self.matrix = matrix

    def predict(self, images: Tensor, kept: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        gradient = (images.flatten(1) @ self.matrix.T).view_as(images)
        return gradient.mean((1, 2, 3)), gradient


def test_a_symmetric_jacobian_costs_nothing(tiny: Tiny) -> None:
    mse = training_loss("pixel:mse")
    config = tiny(matching_cosine=0, matching_norm=0, jacobian_symmetry=1)
    x = torch.rand(2, 3, 4, 4)
    samples, fresh = Samples(x, x, x, torch.zeros(2)), [(2, mse.encode(x))]
    any_matrix = torch.randn(48, 48)
    for matrix, low, high in ((any_matrix + any_matrix.T, 0, 1e-5), (any_matrix - any_matrix.T, 0.99, 1.01)):
        objective = Objective(Linear(matrix), mse, config)
        total, _ = objective(objective.predict(samples, fresh))
        assert low <= float(total.detach()) <= high


def test_jacobian_symmetry_trains_a_network(tiny: Tiny, loss: ImageLoss) -> None:
    value, _ = term(tiny, loss, "jacobian_symmetry")
    assert 0 < value < 1


def test_a_distilled_loss_learns_through_its_gradient(tiny: Tiny, loss: ImageLoss) -> None:
    from lossnets.gradients import DistilledGradientNetwork

    made = DistilledGradientNetwork("squeezenet1_1", ["features.1"], widths=[6], mean=MEAN, std=STD)
    objective = Objective(made, loss, tiny(backbone="distilled"))
    total, terms = objective(objective.predict(*drawn(loss)))
    total.backward()
    assert set(terms) == {"matching_cosine", "matching_norm"}
    moved = [
        p.grad is not None and bool(p.grad.abs().sum() > 0) for p in made.parameters() if p.requires_grad
    ]
    assert all(moved[1:]) or sum(moved) >= len(moved) - 1  # the last bias may be at a plateau of ReLU
