"""The fused distance against the plain one: value and gradient, every setting, every size of piece."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from lossnets.distances import kernel
from lossnets.distances.kernel import fused_spatial, plain_spatial, unit_target
from lossnets.distances.normalise import unit_normalise
from lossnets.errors import LossnetsError

SHAPES = [(2, 5, 7, 3), (3, 64, 8, 8), (1, 3, 1, 1), (4, 2, 2, 9)]
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}


def leaf(x: Tensor, *, channels_last: bool = False) -> Tensor:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return x.detach().clone(memory_format=layout).requires_grad_()


def value_and_gradient(function, x, y, weights, above, **settings):
    value = function(x, y, weights, **settings)
    (value * above).sum().backward()
    return value.detach(), x.grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("metric", "unit_x", "unit_y", "weighted"), [
    (m, *flags) for m in ("l1", "squared_l2") for flags in itertools.product((False, True), repeat=3)
])  # fmt: skip
def test_value_and_gradient_are_those_of_plain_operations(dtype, metric, unit_x, unit_y, weighted):
    settings = {"metric": metric, "unit_x": unit_x, "unit_y": unit_y}
    for shape, channels_last in itertools.product(SHAPES, (False, True)):
        x, y = torch.randn(2, *shape, dtype=torch.float64).to(dtype)
        w = torch.rand(shape[1]).to(torch.promote_types(dtype, torch.float32)) if weighted else None
        above = torch.rand(shape[0])
        ours, theirs = leaf(x, channels_last=channels_last), leaf(x)
        value, gradient = value_and_gradient(fused_spatial, ours, y, w, above, **settings)
        wanted, slope = value_and_gradient(plain_spatial, theirs, y, w, above, **settings)
        assert gradient.dtype == dtype
        assert value.dtype == torch.promote_types(dtype, torch.float32)
        torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-7)
        limit = TOLERANCE[dtype]
        torch.testing.assert_close(gradient, slope, rtol=limit, atol=limit * slope.abs().max().item())


@pytest.mark.parametrize("piece", [1, 7, 64, 65, 200, 1000, 1 << 20])
def test_size_of_the_pieces_does_not_matter(piece, monkeypatch):
    x, y = torch.randn(2, 3, 8, 5, 7)
    w = torch.rand(8)
    settings = {"metric": "squared_l2", "unit_x": True, "unit_y": True}
    want, slope = value_and_gradient(plain_spatial, leaf(x), y, w, torch.ones(3), **settings)
    monkeypatch.setattr(kernel, "_PIECE", piece)
    value, gradient = value_and_gradient(fused_spatial, leaf(x), y, w, torch.ones(3), **settings)
    torch.testing.assert_close(value, want)
    torch.testing.assert_close(gradient, slope)
    torch.testing.assert_close(unit_target(y), unit_normalise(y))


@pytest.mark.parametrize("positions", [1, 5, 16])
@pytest.mark.parametrize("piece", [1, 3, 8, 24, 100])
@pytest.mark.parametrize("small", [True, False])
def test_pieces_cover_every_position_once(positions, piece, small, monkeypatch):
    monkeypatch.setattr(kernel, "_PIECE", piece)
    seen = torch.zeros(3, positions)
    for images, rows in kernel._pieces(3, positions, 2, small):
        seen[images, rows] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("side", [1, 2, 16])
def test_zero_features_give_finite_gradients(dtype, side):
    y = torch.rand(1, 4, side, side).to(dtype)
    for target in (y, torch.zeros_like(y)):
        x = torch.zeros(1, 4, side, side, dtype=dtype, requires_grad=True)
        with torch.autograd.set_detect_anomaly(True, check_nan=True):
            value = fused_spatial(x, target, None, metric="squared_l2", unit_x=True, unit_y=True)
            value.sum().backward()
        assert torch.isfinite(value).all()
        if dtype == torch.float16 and side == 1 and target is y:
            continue  # 2e5 is the gradient, and no float16 holds it
        assert torch.isfinite(x.grad).all()


def test_small_gradients_of_large_maps_survive_half_precision_and_loss_scaling():
    x = (1 + 1e-2 * torch.randn(1, 4, 256, 256)).half()
    y = x + 0.01
    ours = leaf(x)
    scale = 65536.0  # where torch.amp.GradScaler begins: infinite as a float16
    (fused_spatial(ours, y, None, metric="squared_l2", unit_x=False, unit_y=False) * scale).sum().backward()
    want = 2 * (x.float() - y.float()) / 256**2 * scale
    torch.testing.assert_close(ours.grad.float(), want, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("metric", ["l1", "squared_l2"])
@pytest.mark.parametrize("unit", [True, False])
def test_gradcheck(metric, unit):
    x = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 3, 2, 3, dtype=torch.float64)
    w = torch.rand(3, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: fused_spatial(x, y, w, metric=metric, unit_x=unit, unit_y=unit), (x,)
    )


def test_second_backward_pass_gives_the_same_gradient():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    value = fused_spatial(x, torch.randn(2, 3, 4, 4), None, metric="squared_l2", unit_x=True, unit_y=True)
    first = torch.autograd.grad(value.sum(), x, retain_graph=True)[0]
    second = torch.autograd.grad(value.sum(), x)[0]
    assert torch.equal(first, second)
    assert first.abs().sum() > 0


@pytest.mark.parametrize("inner", [lambda x: x, lambda x: x.square()], ids=["leaf", "trunk"])
def test_a_second_derivative_is_refused_never_wrong(inner):
    """Behind a trunk, a silent answer would hold the trunk's part of the second derivative only."""
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    value = fused_spatial(inner(x), torch.rand(1, 3, 4, 4), None, metric="l1", unit_x=False, unit_y=False)
    with pytest.raises(LossnetsError, match=r"second derivative.*double_backward=True"):
        torch.autograd.grad(value.sum(), x, create_graph=True)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode):
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    y = torch.randn(2, 3, 4, 4)
    settings = {"metric": "squared_l2", "unit_x": True, "unit_y": True}
    want = fused_spatial(x, y, None, **settings)
    with mode():
        value = fused_spatial(x, y, None, **settings)
    assert want.requires_grad
    assert not value.requires_grad
    assert torch.equal(value, want.detach())


def test_autocast_around_it_changes_nothing():
    x, y = torch.randn(2, 2, 64, 9, 9)
    settings = {"metric": "squared_l2", "unit_x": True, "unit_y": True}
    want, slope = value_and_gradient(fused_spatial, leaf(x), y, None, torch.ones(2), **settings)
    with torch.autocast("cpu", torch.bfloat16):
        value, gradient = value_and_gradient(fused_spatial, leaf(x), y, None, torch.ones(2), **settings)
        target = unit_target(y)
    assert torch.equal(value, want)
    assert torch.equal(gradient, slope)
    assert torch.equal(target, unit_target(y))


@pytest.mark.parametrize("shape", [(2, 64, 15, 15), (1, 192, 31, 31), (3, 3, 5, 7), (1, 512, 40, 41)])
@pytest.mark.parametrize("metric", ["l1", "squared_l2"])
def test_equal_maps_give_exactly_zero(shape, metric):
    x = torch.randn(shape)
    for y in (x.clone(), x.to(memory_format=torch.channels_last)):
        raw = fused_spatial(x, y, None, metric=metric, unit_x=True, unit_y=True)
        encoded = fused_spatial(x, unit_target(y), None, metric=metric, unit_x=True, unit_y=False)
        assert raw.tolist() == encoded.tolist() == [0.0] * shape[0]


def test_inputs_are_not_changed():
    x, y = torch.randn(1, 3, 4, 4, requires_grad=True), torch.randn(1, 3, 4, 4)
    copies, versions = (x.detach().clone(), y.clone()), (x._version, y._version)
    fused_spatial(x, y, None, metric="squared_l2", unit_x=True, unit_y=True).sum().backward()
    assert torch.equal(x.detach(), copies[0])
    assert torch.equal(y, copies[1])
    assert (x._version, y._version) == versions
