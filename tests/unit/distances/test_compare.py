"""Each comparison against a plain NumPy version, known answers, and what a comparison must promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lossnets.distances import (
    gram_distance,
    mean_distance,
    sort_distance,
    spatial_distance,
    unit_normalise,
)
from lossnets.distances.compare import METRICS, distance_map, per_channel
from lossnets.errors import ConfigError, ImageError

from . import reference

FUNCTIONS = {
    "spatial": spatial_distance,
    "mean": mean_distance,
    "sort": sort_distance,
    "gram": gram_distance,
}
SETTINGS = list(itertools.product(FUNCTIONS, METRICS, ("mean", "sum")))


def maps(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(*shape, dtype=dtype), torch.randn(*shape, dtype=dtype)


@pytest.mark.parametrize(("compare", "metric", "channels"), SETTINGS)
@pytest.mark.parametrize("shape", [(3, 5, 7, 4), (1, 1, 1, 1), (2, 8, 1, 9)])
def test_against_numpy(compare, metric, channels, shape):
    a, b = maps(*shape)
    got = FUNCTIONS[compare](a, b, metric=metric, channels=channels)
    want = reference.distance(a.numpy(), b.numpy(), compare=compare, metric=metric, channels=channels)
    assert got.shape == (shape[0],)
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(("compare", "metric"), list(itertools.product(("spatial", "mean", "sort"), METRICS)))
def test_channel_weights_against_numpy(compare, metric):
    a, b = maps(2, 6, 5, 3)
    w = torch.rand(6)
    got = FUNCTIONS[compare](a, b, metric=metric, channels="sum", channel_weights=w)
    want = reference.distance(
        a.numpy(), b.numpy(), compare=compare, metric=metric, channels="sum", weights=w.numpy()
    )
    np.testing.assert_allclose(got, want, rtol=2e-5)


def test_constant_shift_is_known_by_hand():
    a = torch.rand(2, 4, 3, 5)
    b = a + 0.5
    assert spatial_distance(a, b).tolist() == pytest.approx([0.25, 0.25])
    assert spatial_distance(a, b, channels="sum").tolist() == pytest.approx([1.0, 1.0])
    assert spatial_distance(a, b, metric="l1", channels="sum").tolist() == pytest.approx([2.0, 2.0])
    assert spatial_distance(a, b, metric="l2", channels="sum").tolist() == pytest.approx([1.0, 1.0], rel=1e-5)
    for function in (mean_distance, sort_distance):
        assert function(a, b).tolist() == pytest.approx([0.25, 0.25])


def test_mean_and_sort_do_not_see_where_things_are():
    a = torch.rand(1, 3, 4, 4)
    moved = a.flatten(2)[:, :, torch.randperm(16)].view_as(a)
    assert spatial_distance(a, moved) > 0.01
    assert sort_distance(a, moved) == 0
    assert mean_distance(a, moved) < 1e-12
    assert gram_distance(a, a.flip(3)) < 1e-12


@pytest.mark.parametrize(("compare", "metric", "channels"), SETTINGS)
def test_equal_maps_give_exactly_zero_and_order_does_not_matter(compare, metric, channels):
    a, b = maps(2, 17, 6, 5)
    function = FUNCTIONS[compare]
    assert function(a, a.clone(), metric=metric, channels=channels).tolist() == [0.0, 0.0]
    assert torch.equal(
        function(a, b, metric=metric, channels=channels), function(b, a, metric=metric, channels=channels)
    )


@pytest.mark.parametrize(("compare", "metric", "channels"), SETTINGS)
def test_gradcheck(compare, metric, channels):
    a, b = maps(2, 3, 2, 4, dtype=torch.float64)
    function = FUNCTIONS[compare]

    def call(x, y):
        return function(x, y, metric=metric, channels=channels)

    inputs = (a.requires_grad_(), b.requires_grad_())
    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("compare", FUNCTIONS)
def test_gradient_is_finite_between_equal_maps(compare, metric):
    a = torch.zeros(1, 3, 2, 2, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True, check_nan=True):
        FUNCTIONS[compare](a, torch.zeros(1, 3, 2, 2), metric=metric).sum().backward()
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("metric", METRICS)
def test_map_mean_is_the_distance(metric):
    a, b = maps(2, 5, 4, 6)
    w = torch.rand(5)
    found = distance_map(a, b, metric=metric, channels="sum", channel_weights=w)
    assert found.shape == (2, 1, 4, 6)
    scalar = spatial_distance(a, b, metric=metric, channels="sum", channel_weights=w)
    torch.testing.assert_close(found.mean((1, 2, 3)), scalar)


@pytest.mark.parametrize("metric", ["l1", "squared_l2"])
def test_channel_shares_times_weights_is_the_distance(metric):
    a, b = maps(3, 5, 4, 6)
    w = torch.rand(5)
    want = spatial_distance(a, b, metric=metric, channels="sum", channel_weights=w)
    torch.testing.assert_close(per_channel(a, b, metric=metric) @ w, want)


def test_half_precision_is_computed_in_float32():
    a = torch.full((1, 2, 64, 64), 300.0, dtype=torch.float16)  # its square is infinite in float16
    b = torch.zeros_like(a)
    for function in (spatial_distance, mean_distance, sort_distance):
        value = function(a, b)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(90000.0)


def test_autocast_around_it_changes_nothing():
    a, b = maps(2, 16, 8, 8)
    want = [f(a, b) for f in FUNCTIONS.values()]
    with torch.autocast("cpu", torch.bfloat16):
        got = [f(a, b) for f in FUNCTIONS.values()]
    assert all(torch.equal(x, y) for x, y in zip(got, want, strict=True))


def test_unit_normalise_against_numpy_and_at_zero():
    x = torch.randn(2, 5, 3, 4)
    x[0, :, 1, 1] = 0
    got = unit_normalise(x)
    np.testing.assert_allclose(got[1], reference.unit(x[1].double().numpy()), rtol=1e-5)
    assert got[0, :, 1, 1].tolist() == [0.0] * 5
    lengths = got.square().sum(1)
    torch.testing.assert_close(lengths[1], torch.ones(3, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_unit_normalise_has_a_finite_gradient_at_zero_vectors(dtype):
    x = torch.zeros(1, 4, 3, 3, dtype=dtype, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True, check_nan=True):
        value = (unit_normalise(x) * 1e-3).sum()
        value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(x.grad).all()


def test_errors_say_what_is_wrong():
    a, b = maps(1, 3, 4, 4)
    with pytest.raises(ImageError, match=r"equal shapes.*\(1, 3, 4, 4\) and \(1, 3, 4, 3\)"):
        spatial_distance(a, b[..., :3])
    with pytest.raises(ImageError, match="equal shapes"):
        spatial_distance(a[0], b[0])
    with pytest.raises(ConfigError, match=r"metric must be one of squared_l2, l1, l2; got 'l3'"):
        spatial_distance(a, b, metric="l3")
    with pytest.raises(ConfigError, match="channels must be 'mean' or 'sum'; got 'max'"):
        spatial_distance(a, b, channels="max")
    with pytest.raises(ConfigError, match=r"channel_weights must have shape \(3,\).*got \(1,\)"):
        spatial_distance(a, b, channel_weights=torch.ones(1))
    with pytest.raises(ConfigError, match="must be squared_l2 or l1 to be split"):
        per_channel(a, b, metric="l2")
