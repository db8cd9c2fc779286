"""Distances as settings: they print, parse, and compute what their parts say."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossnets.distances import Distance, parse_distance
from lossnets.errors import ConfigError, ImageError, UnknownNameError

from . import reference

COMPARE = ("spatial", "mean", "sort", "gram", "spatial+mean", "spatial+sort")
METRIC = ("squared_l2", "l1", "l2")
ALL = [Distance(*s) for s in itertools.product(COMPARE, METRIC, (False, True), ("mean", "sum"))]
distances = st.builds(
    Distance,
    compare=st.sampled_from(COMPARE),
    metric=st.sampled_from(METRIC),
    unit=st.booleans(),
    channels=st.sampled_from(("mean", "sum")),
)


@given(distances)
def test_parsing_what_was_printed_gives_the_same_distance(distance):
    assert parse_distance(str(distance)) == distance
    assert pickle.loads(pickle.dumps(distance)) == distance


@given(distances, distances)
def test_different_distances_print_differently(one, other):
    assert (str(one) == str(other)) == (one == other)


@given(st.text(alphabet="-+ unitspalmeorgw12_", max_size=20))
def test_any_text_is_parsed_or_refused(text):
    try:
        distance = parse_distance(text)
    except ConfigError:
        return
    assert parse_distance(str(distance)) == distance


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("lpips", "unit-spatial-sum"),
        ("mse", "spatial"),
        ("l1", "spatial-l1"),
        ("l2", "spatial-l2"),
        ("unit", "unit-spatial"),
        ("gram", "gram"),
        ("spatial-squared_l2-mean", "spatial"),
    ],
)
def test_shorthands(text, canonical):
    assert str(parse_distance(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "spatal", "unit-", "spatial-l3", "spatial-sum-l1", "sum", "spatial-unit"]
)
def test_unknown_text_is_refused(text):
    with pytest.raises(UnknownNameError, match="not known"):
        parse_distance(text)


def test_error_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'spatial'"):
        parse_distance("spatal")
    with pytest.raises(UnknownNameError, match=r"metric 'L1'.*Did you mean 'l1'"):
        Distance(metric="L1")
    with pytest.raises(UnknownNameError, match="channel reduction 'max'"):
        Distance(channels="max")


@pytest.mark.parametrize("distance", ALL, ids=str)
def test_against_numpy(distance):
    a, b = torch.randn(2, 2, 7, 5, 6)
    weights = None if distance.compare == "gram" else torch.rand(7)
    want = reference.distance(
        a.numpy(),
        b.numpy(),
        compare=distance.compare,
        metric=distance.metric,
        unit_length=distance.unit,
        channels=distance.channels,
        weights=None if weights is None else weights.numpy(),
    )
    np.testing.assert_allclose(distance(a, b, weights), want, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(distance.between(a, distance.embed(b), weights), want, rtol=1e-4, atol=1e-7)


def in_numpy(distance, a, b, weights=None):
    return reference.distance(
        a,
        b,
        compare=distance.compare,
        metric=distance.metric,
        unit_length=distance.unit,
        channels=distance.channels,
        weights=weights,
    )


@pytest.mark.parametrize("distance", ALL, ids=str)
def test_values_and_gradients_in_the_studys_order(distance):
    """Against NumPy in float64: the mean or the sort comes first, unit length over channels after it."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(1, 1, (2, 1, 3, 2, 3))  # means that are not 0: the two orders differ
    weights = None if distance.compare == "gram" else rng.uniform(0.5, 2, 3)
    x, y = (torch.from_numpy(v).requires_grad_(grad) for v, grad in ((a, True), (b, False)))
    w = None if weights is None else torch.from_numpy(weights)
    value = distance(x, y, w)
    np.testing.assert_allclose(value.detach(), in_numpy(distance, a, b, weights), rtol=1e-12)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    found, step = np.zeros_like(a), 1e-5
    for place in np.ndindex(*a.shape):
        up, down = a.copy(), a.copy()
        up[place] += step
        down[place] -= step
        change = in_numpy(distance, up, b, weights) - in_numpy(distance, down, b, weights)
        found[place] = change.item() / (2 * step)
    np.testing.assert_allclose(gradient, found, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("compare", ["mean", "sort", "spatial+mean", "spatial+sort"])
def test_the_order_changed_the_number_and_the_version_says_so(compare):
    a, b = torch.rand(2, 1, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    unit, plain = Distance(compare, unit=True), Distance(compare)
    scaled = [v / v.square().sum(1, keepdim=True).sqrt() for v in (a, b)]
    assert not torch.allclose(unit(a, b), plain(*scaled), rtol=0.01)  # the order of version 1
    assert (unit.numerics, plain.numerics) == (2, 1)


def test_no_other_distance_has_another_version():
    others = [d for d in ALL if not d.unit or d.compare in ("spatial", "gram")]
    assert {d.numerics for d in others} == {1}
    assert len(others) == len(ALL) - 4 * 3 * 2  # 4 comparisons, 3 metrics, 2 reductions with unit length


@pytest.mark.parametrize("distance", ALL, ids=str)
def test_equal_maps_give_exactly_zero(distance):
    a = torch.randn(2, 33, 12, 11)
    assert distance(a, a.clone()).tolist() == [0.0, 0.0]
    assert distance.between(a, distance.embed(a.clone())).tolist() == [0.0, 0.0]
    gradient = a.clone().requires_grad_()
    assert distance(gradient, a).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("distance", ALL, ids=str)
def test_symmetric(distance):
    a, b = torch.rand(2, 2, 6, 5, 4)
    torch.testing.assert_close(distance(a, b), distance(b, a), rtol=1e-6, atol=0)


@pytest.mark.parametrize("distance", ALL, ids=str)
def test_gradient_reaches_both_images(distance):
    a, b = (torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(distance, (a, b))
    assert torch.autograd.gradcheck(lambda x: distance(x, b.detach()), (a,))


@pytest.mark.parametrize("distance", [d for d in ALL if d.channels == "sum"], ids=str)
def test_plain_operations_can_be_differentiated_twice(distance):
    a, b = (torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    embedded = tuple(e.detach() for e in distance.embed(b))
    assert torch.autograd.gradgradcheck(lambda x: distance.between(x, embedded, plain=True), (a,))


@pytest.mark.parametrize("distance", [d for d in ALL if d.metric != "l2" and d.compare != "gram"], ids=str)
def test_channel_shares_times_weights_is_the_distance(distance):
    a, b = torch.randn(2, 3, 5, 4, 6)
    w = torch.rand(5)
    torch.testing.assert_close(distance.per_channel(a, b) @ w, distance(a, b, w), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("distance", [d for d in ALL if d.compare == "spatial"], ids=str)
def test_map_mean_is_the_distance(distance):
    a, b = torch.randn(2, 2, 5, 4, 6)
    w = torch.rand(5)
    found = distance.map(a, b, w)
    assert found.shape == (2, 1, 4, 6)
    torch.testing.assert_close(found.mean((1, 2, 3)), distance(a, b, w), rtol=1e-5, atol=1e-6)


def test_sums_are_sums():
    a, b = torch.randn(2, 2, 5, 4, 6)
    for second in ("mean", "sort"):
        total = parse_distance("spatial")(a, b) + parse_distance(second)(a, b)
        torch.testing.assert_close(parse_distance(f"spatial+{second}")(a, b), total)


def test_errors_say_what_is_wrong():
    a, b = torch.rand(2, 1, 3, 4, 4)
    for distance in (Distance(), Distance(metric="l2"), Distance("mean"), Distance("spatial+sort")):
        with pytest.raises(ImageError, match="equal shapes"):
            distance(a, torch.rand(1, 4, 4, 4))
    with pytest.raises(ImageError, match="equal shapes"):
        Distance()(a[0], b[0])
    for weights in (torch.ones(1), torch.ones(4), torch.ones(1, 3)):
        with pytest.raises(ConfigError, match=r"channel_weights must have shape \(3,\)"):
            Distance(unit=True)(a, b, weights)
    with pytest.raises(ConfigError, match="no meaning for compare='gram'"):
        Distance("gram")(a, b, torch.ones(3))
    with pytest.raises(ConfigError, match="needs compare='spatial'; this distance is sort"):
        Distance("sort").map(a, b)
    with pytest.raises(ConfigError, match="distance gram is not a sum over channels"):
        Distance("gram").per_channel(a, b)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # in torch itself
def test_forward_mode_and_function_transforms_see_every_operation():
    a, b, t = torch.randn(3, 2, 3, 4, 4, dtype=torch.float64)
    distance = parse_distance("unit-spatial-sum")
    x = a.clone().requires_grad_()
    (slope,) = torch.autograd.grad(distance(x, b).sum(), x)
    want = (slope * t).sum()
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(a, t)
        tangent = torch.autograd.forward_ad.unpack_dual(distance(dual, b)).tangent
    torch.testing.assert_close(tangent.sum(), want)
    torch.testing.assert_close(torch.func.grad(lambda v: distance(v, b).sum())(a), slope)


def test_weights_that_require_a_gradient_get_one():
    a, b = torch.rand(2, 2, 3, 4, 4)
    w = torch.ones(3, requires_grad=True)
    Distance(unit=True, channels="sum")(a, b, w).sum().backward()
    torch.testing.assert_close(w.grad, Distance(unit=True, channels="sum").per_channel(a, b).sum(0))
