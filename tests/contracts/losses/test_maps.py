"""Maps and masks against hand computations; taps; dtype; derivatives in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lossnets.errors import ConfigError, ImageError, LossnetsError
from lossnets.losses import PerceptualLoss, PixelLoss, load_loss
from lossnets.networks import wrap_network

from .cases import CASES, SPATIAL, SQUEEZE, Case, built, channel_weights, fresh, ids, pair, tiny_loss

spatial = pytest.mark.parametrize("case", SPATIAL, ids=ids)


@spatial
@pytest.mark.parametrize("size", [(32, 32), (37, 45)])
def test_mean_of_the_map_is_the_value(case: Case, size: tuple[int, int]) -> None:
    x, y = pair(case, size=size)
    loss = built(case, reduction="none")
    maps = loss(x, y, output="map")
    assert maps.shape == (2, 1, *size)
    assert float(maps.min()) >= 0
    torch.testing.assert_close(maps.mean((1, 2, 3)), loss(x, y), rtol=5e-5, atol=1e-9)
    assert built(case)(x, y, output="map").shape == (2, 1, *size)  # never reduced
    taps = loss(x, y, output="map", per_tap=True)
    torch.testing.assert_close(sum(taps.values()), maps)


def test_map_shows_where_the_images_differ() -> None:
    x, _ = pair()
    y = x.clone()
    y[:, :, 8:16, 20:28] = 1 - y[:, :, 8:16, 20:28]
    for case in SPATIAL:
        if case.channels == 3:
            maps = built(case)(x, y, output="map")
            assert float(maps[:, :, 8:16, 20:28].mean()) > 2 * float(maps[:, :, 24:, :8].mean())
    row, column = divmod(int(PixelLoss()(x, y, output="map")[0].argmax()), 32)
    assert 8 <= row < 16
    assert 20 <= column < 28


@pytest.mark.parametrize("case", [c for c in CASES if not c.spatial], ids=ids)
def test_only_spatial_distances_have_maps_and_masks(case: Case) -> None:
    x, y = pair(case)
    for options in ({"output": "map"}, {"mask": torch.ones(2, 1, 32, 32)}):
        with pytest.raises(ConfigError, match="map"):
            built(case)(x, y, **options)


@spatial
def test_mask_of_ones_is_no_mask(case: Case) -> None:
    x, y = pair(case)
    loss = built(case, reduction="none")
    expected = loss(x, y)
    for mask in (
        torch.ones(2, 1, 32, 32),
        torch.ones(1, 1, 32, 32, dtype=torch.bool),
        torch.full((2, 1, 32, 32), 0.3),
    ):
        torch.testing.assert_close(loss(x, y, mask=mask), expected, rtol=5e-5, atol=1e-9)


def test_mask_by_hand_on_pixels() -> None:
    # 0.5 inside the masked left half, 0.1 outside: the mean of the masked area is 0.25.
    x, y = torch.full((1, 3, 8, 8), 0.2), torch.full((1, 3, 8, 8), 0.3)
    y[..., :4] = 0.7
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., :4] = True
    loss = PixelLoss("mse")
    torch.testing.assert_close(loss(x, y, mask=mask), torch.tensor(0.25))
    torch.testing.assert_close(loss(x, y, mask=~mask), torch.tensor(0.01))
    share = mask.float() * 0.75 + 0.25  # weights 1 and 1/4: (0.25 * 1 + 0.01 / 4) / (1 + 1 / 4)
    torch.testing.assert_close(loss(x, y, mask=share), torch.tensor(0.202))
    shown = loss(x, y, mask=mask, output="map")
    torch.testing.assert_close(shown[..., :4], torch.full((1, 1, 8, 4), 0.5))
    torch.testing.assert_close(shown[..., 4:], torch.zeros(1, 1, 8, 4))


def test_mask_by_hand_on_features_of_a_coarser_grid() -> None:
    # One feature per 4x4 block: the block's mean. Blocks differ by 1, 2, 3, 4 tenths.
    network = wrap_network(
        nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(3, 1, 1)), ["0"], mean=[0.0] * 3, std=[1.0] * 3
    )
    x = torch.zeros(1, 3, 8, 8)
    y = (
        torch.tensor([[0.1, 0.2], [0.3, 0.4]])
        .repeat_interleave(4, 0)
        .repeat_interleave(4, 1)
        .expand(1, 3, 8, 8)
    )
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4, :4] = 1  # the first block wholly
    mask[..., :4, 4:6] = 1  # the second by one half
    loss = PerceptualLoss(network)
    torch.testing.assert_close(loss(x, y, mask=mask), torch.tensor((0.01 + 0.04 / 2) / 1.5))
    torch.testing.assert_close(loss(x, y), torch.tensor((0.01 + 0.04 + 0.09 + 0.16) / 4))


def test_masks_differ_between_images_of_a_batch() -> None:
    x, y = pair()
    masks = torch.zeros(2, 1, 32, 32)
    masks[0, :, :16], masks[1, :, 16:] = 1, 1
    for case in SPATIAL:
        x, y = pair(case)
        loss = built(case, reduction="none")
        singles = torch.cat([loss(x[i : i + 1], y[i : i + 1], mask=masks[i : i + 1]) for i in range(2)])
        tolerance = 0.02 if case.name == "bf16" else 1e-4
        torch.testing.assert_close(loss(x, y, mask=masks), singles, rtol=tolerance, atol=1e-9)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(2, 32, 32), r"mask must have shape \(2, 1, 32, 32\); got \(2, 32, 32\)"),
        (torch.ones(2, 3, 32, 32), r"got \(2, 3, 32, 32\)"),
        (torch.ones(2, 1, 16, 16), r"got \(2, 1, 16, 16\)"),
        ([[1.0]], "got list"),
        (torch.full((2, 1, 32, 32), 2.0), r"bool or lie in \[0, 1\]; got minimum 2, maximum 2"),
        (torch.full((2, 1, 32, 32), float("nan")), "bool or lie in"),
        (torch.zeros(2, 1, 32, 32), "at least one pixel of every image"),
        (
            torch.cat([torch.zeros(1, 1, 32, 32), torch.ones(1, 1, 32, 32)]),
            "at least one pixel of every image",
        ),
    ],
)
def test_bad_masks(mask: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        built(SPATIAL[0])(*pair(), mask=mask)


def test_gradient_stays_inside_the_mask() -> None:
    x, y = pair()
    x.requires_grad_()
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :8, :8] = 1
    tiny_loss()(x, y, mask=mask).backward()
    assert float(x.grad[..., 20:, 20:].abs().max()) == 0
    assert float(x.grad[..., :8, :8].abs().max()) > 0


# Channel weights and shares -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "distance", ["spatial", "l1", "mean", "sort", "spatial+mean", "lpips", "unit-spatial+sort-sum"]
)
def test_value_is_the_weighted_sum_of_channel_distances(distance: str) -> None:
    x, y = pair()
    taps = {"features.1": 1.0, "features.4": 0.5}
    loss = PerceptualLoss(
        "squeezenet1_1",
        taps,
        weights="random-0",
        distance=distance,
        channel_weights=channel_weights(),
        reduction="none",
    )
    shares = loss.channel_distances(x, y)
    expected = sum(taps[tap] * (share @ channel_weights()[tap]) for tap, share in shares.items())
    torch.testing.assert_close(loss(x, y), expected, rtol=5e-5, atol=1e-8)
    torch.testing.assert_close(loss(x, loss.encode(y)), expected, rtol=5e-5, atol=1e-8)


def test_channel_distances_of_no_sum_are_refused() -> None:
    for distance in ("l2", "gram"):
        with pytest.raises(ConfigError, match=r"sum over channels|split into channels"):
            tiny_loss("1", distance=distance).channel_distances(*pair())
    with pytest.raises(ConfigError, match="need a Distance"):
        tiny_loss("1", distance=lambda a, b: a.mean((1, 2, 3))).channel_distances(*pair())


# Precision -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("text", ["", ":lpips", ":l1", ":gram"])
def test_half_precision_networks_are_near_and_give_float32(dtype: str, text: str) -> None:
    x, y = pair()
    full = load_loss(f"{SQUEEZE}{text}:weights=random-0")
    half = load_loss(f"{SQUEEZE}{text}:weights=random-0:dtype={dtype}")
    x.requires_grad_()
    value = half(x, y)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, full(x, y), rtol=0.06 if dtype == "bfloat16" else 0.01, atol=0)
    torch.testing.assert_close(half(x, half.encode(y)), value, rtol=1e-3, atol=0)
    # Scaled as a gradient scaler does it: unscaled, gradients of Gram matrices are below float16's reach.
    slope, exact = (torch.autograd.grad(loss(x, y) * 2**20, x)[0].flatten().double() for loss in (half, full))
    cosine = torch.nn.functional.cosine_similarity(slope, exact, dim=0)
    assert float(cosine) > (0.9 if dtype == "bfloat16" else 0.99)


DERIVATIVES = ["spatial", "l1", "l2", "lpips", "gram", "mean", "sort", "spatial+mean-l2", "unit-spatial+sort"]


@pytest.mark.parametrize("distance", DERIVATIVES)
def test_gradients_in_double_precision(distance: str) -> None:
    loss = tiny_loss("1", "2", distance=distance).double()
    x, y = (t[:1, :, :7, :7].double().contiguous().requires_grad_() for t in pair())
    encoded = loss.encode(y)
    assert torch.autograd.gradcheck(lambda a: loss(a, y.detach()), (x,), eps=1e-7, atol=1e-5)
    assert torch.autograd.gradcheck(lambda a: loss(a, encoded), (x,), eps=1e-7, atol=1e-5)
    assert torch.autograd.gradcheck(loss, (x, y), eps=1e-7, atol=1e-5)


def test_second_derivatives_on_request_only() -> None:
    x, y = (t[:1, :, :6, :6].double().contiguous().requires_grad_() for t in pair())
    loss = tiny_loss("1", distance="lpips", double_backward=True).double()
    assert torch.autograd.gradgradcheck(lambda a: loss(a, y.detach()), (x,), eps=1e-7, atol=1e-4)
    fast = tiny_loss("1", distance="lpips").double()
    with pytest.raises(LossnetsError, match="double_backward=True"):
        torch.autograd.grad(fast(x, y.detach()), x, create_graph=True)[0].square().sum().backward()


def test_dead_features_have_a_finite_gradient() -> None:
    # Convolutions without bias: a black image has zero features everywhere, before and after the ReLU.
    for distance in ("lpips", "unit-spatial-l2", "l2", "unit-sort", "gram", "unit-mean-l1"):
        loss = tiny_loss("0", "1", "2", bias=False, distance=distance)
        loss.network.mean.zero_()
        x, y = torch.zeros(1, 3, 32, 32), pair()[1][:1]
        for target in (y, torch.zeros_like(x), loss.encode(y)):
            x.requires_grad_()
            with torch.autograd.set_detect_anomaly(True):
                (slope,) = torch.autograd.grad(loss(x, target), x)
            assert bool(torch.isfinite(slope).all()), distance


def test_in_place_change_of_data_after_the_call_does_not_matter() -> None:
    x, y = pair()
    loss = fresh(SPATIAL[0])
    encoded = loss.encode(y)
    expected = loss(x, encoded)
    y.zero_()
    assert torch.equal(loss(x, encoded), expected)
