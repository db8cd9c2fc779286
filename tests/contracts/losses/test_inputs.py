"""What losses take: types, ranges, sizes, colours; and what they say to everything else."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, ImageError
from lossnets.images.contract import RangeWarning
from lossnets.losses import PerceptualLoss, PixelLoss, load_loss
from lossnets.networks import wrap_network

from .cases import CASES, SQUEEZE, Case, built, ids, pair, tiny_loss

PLAIN = next(case for case in CASES if case.name == "spatial")
every = pytest.mark.parametrize("case", CASES, ids=ids)


def with_range(case: Case, low: float, high: float) -> object:
    loss = built(case, reduction="none")
    loss.data_range = (low, high)
    return loss


@every
def test_uint8_is_float_over_255(case: Case) -> None:
    x, y = ((t * 255).round().to(torch.uint8) for t in pair(case))
    loss = built(case)
    assert torch.equal(loss(x, y), loss(x / 255.0, y / 255.0))
    assert torch.equal(with_range(case, -1, 1)(x, y).mean(), loss(x, y))  # whatever the range says
    torch.testing.assert_close(loss(x, y / 255.0), loss(x, y))  # mixed


@every
def test_ranges_mean_the_same_images(case: Case) -> None:
    x, y = pair(case)
    expected = built(case, reduction="none")(x, y)
    tolerance = 0.02 if case.name == "bf16" else 1e-4
    for low, high in ((-1, 1), (0, 255)):
        moved = (low + (high - low) * t for t in (x, y))
        torch.testing.assert_close(with_range(case, low, high)(*moved), expected, rtol=tolerance, atol=1e-8)


@every
def test_half_precision_images_are_taken_as_float32(case: Case) -> None:
    x, y = (t.to(torch.float16) for t in pair(case))
    loss = built(case)
    assert torch.equal(loss(x, y), loss(x.float(), y.float()))


REFUSED = {
    "list": (lambda x: x.tolist(), r"must be a torch.Tensor of shape \(N, 3, H, W\); got list"),
    "numpy": (lambda x: x.numpy(), "got ndarray.*torch.from_numpy"),
    "no batch": (lambda x: x[0], r"must have shape \(N, 3, H, W\); got \(3, 32, 32\).*images\[None\]"),
    "empty": (lambda x: x[:0], r"must not be empty; got shape \(0, 3, 32, 32\)"),
    "channels last": (lambda x: x.permute(0, 2, 3, 1), r"must have 3 channel.*permute\(0, 3, 1, 2\)"),
    "grey": (lambda x: x[:, :1], "must have 3 channel.*channels='gray'"),
    "alpha": (lambda x: torch.cat([x, x[:, :1]], 1), r"must have 3 channel.*Alpha.*images\[:, :3\]"),
    "five": (lambda x: torch.cat([x, x[:, :2]], 1), "must have 3 channel.*per-channel"),
    "int": (lambda x: (x * 255).long(), r"must be floating point \(.*\) or uint8; got torch.int64"),
    "bool": (lambda x: x > 0.5, "got torch.bool"),
    "complex": (lambda x: x.to(torch.complex64), "got torch.complex64"),
    "nan": (lambda x: x.clone().fill_(float("nan")), "must be finite.*set_detect_anomaly"),
    "inf": (lambda x: x.clone().index_fill_(3, torch.tensor([0]), float("inf")), "must be finite"),
    "0..255": (lambda x: x * 255, r"must lie in \[0, 1\] \(data_range\); got minimum.*data_range=\(0, 255\)"),
    "-1..1": (lambda x: x * 2 - 1, r"must lie in \[0, 1\].*pass data_range=\(-1, 1\)"),
    "wild": (lambda x: x * 2000 - 1000, "Clamp the images"),
    "double": (lambda x: x.double(), "is float64, the loss torch.float32; call loss.double"),
    "meta": (lambda x: x.to("meta"), "has no values|and meta"),
    "small": (lambda x: x[:, :, :4, :8], "at least 5x5 pixels for squeezenet1_1 up to tap 'features.4'"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("argument", ["input", "target"])
def test_refused_images(what: str, argument: str) -> None:
    break_it, message = REFUSED[what]
    x, y = pair()
    loss = built(PLAIN)
    bad = break_it(x)
    if argument == "input":
        with pytest.raises(ImageError, match=f"(?s)^input.*{message}|{message}"):
            loss(bad, y)
    else:
        with pytest.raises(ImageError, match=message if not _other_shape(bad, x) else "same shape"):
            loss(x, bad)
    with pytest.raises(ImageError, match=message):
        loss.encode(bad)


def _other_shape(bad: object, x: Tensor) -> bool:
    return isinstance(bad, Tensor) and bad.shape != x.shape


@every
def test_shapes_must_be_equal(case: Case) -> None:
    x, y = pair(case)
    loss = built(case)
    for other in (y[:1], y[:, :, :16, :16], y[:, :, :, :31]):
        with pytest.raises(
            ImageError, match=r"input and target must have the same shape; got .* never resized"
        ):
            loss(x, other)


@pytest.mark.parametrize("name", ["mean", "gram", "spatial"])
def test_channel_distances_check_as_the_loss_does(name: str) -> None:
    x, y = pair()
    loss = built(next(case for case in CASES if case.name == name))
    with pytest.raises(ImageError, match="same shape"):
        loss.channel_distances(x, y[:, :, :16, :16])


def test_minimum_size_is_the_smallest_that_works() -> None:
    for name in ("squeezenet1_1/features.12", "vgg11/relu3_2", "squeezenet1_1/features.1"):
        loss = load_loss(f"{name}:weights=random-0")
        side = loss.min_size
        x, y = pair(size=(side, side + 3))
        assert bool(torch.isfinite(loss(x, y)))
        with pytest.raises(ImageError, match=f"must be at least {side}x{side} pixels"):
            loss(x[:, :, 1:], y[:, :, 1:])


def test_a_cut_network_takes_smaller_images_than_a_whole_one() -> None:
    early, late = (load_loss(f"squeezenet1_1/features.{k}:weights=random-0").min_size for k in (1, 12))
    assert early < late


# When values are checked --------------------------------------------------------------------------


def test_values_are_always_checked_unless_told_otherwise() -> None:
    x, y = pair()
    loss = tiny_loss()
    loss(x, y)
    with pytest.raises(ImageError, match="data_range"):
        loss(x * 255, y)
    with pytest.raises(ImageError, match="data_range"):
        loss(x, y * 255)


def test_first_checks_each_side_once() -> None:
    x, y = pair()
    loss = tiny_loss(validate="first")
    encoded = loss.encode(y)
    with pytest.raises(ImageError, match="input must lie in"):
        loss(x * 255, encoded)  # the target was checked, the input was not yet
    loss(x, encoded)
    loss(x * 255, encoded)
    loss(x, y * 255)
    with pytest.raises(ImageError, match="must have 3 channel"):  # free of cost, so always checked
        loss(x[:, :1], y[:, :1])


def test_never_checks_values() -> None:
    x, y = pair()
    tiny_loss(validate="never")(x * 255, y)
    with pytest.raises(ConfigError, match="validate must be one of always, first, never; got 'no'"):
        tiny_loss(validate="no")


def test_a_little_overshoot_is_allowed() -> None:
    x, y = pair()
    tiny_loss()(x * 1.04, y)
    with pytest.raises(ImageError, match="data_range"):
        tiny_loss()(torch.ones_like(x) * 1.06, y)
    tiny_loss(range_tolerance=0.1)(torch.ones_like(x) * 1.06, y)
    with pytest.raises(ImageError, match="data_range"):
        tiny_loss(range_tolerance=0)(torch.ones_like(x) * 1.001, y)
    with pytest.raises(ConfigError, match="range_tolerance must be"):
        tiny_loss(range_tolerance=-1)
    with pytest.raises(ConfigError, match="range_tolerance must be"):
        tiny_loss(range_tolerance=float("nan"))


@pytest.mark.parametrize(
    "bad", [(1, 0), (0, 0), 1, (0, 1, 2), ("a", 1), (0, float("inf")), (float("nan"), 1)]
)
def test_bad_ranges(bad: object) -> None:
    with pytest.raises(ConfigError, match="data_range must be"):
        PixelLoss(data_range=bad)  # type: ignore[arg-type]


def test_images_that_look_like_another_range_warn() -> None:
    x, y = pair()
    with pytest.warns(RangeWarning, match=r"no value is negative although data_range is \(-1, 1\)"):
        PixelLoss(data_range=(-1, 1))(x, y)
    with pytest.warns(RangeWarning, match="no value exceeds 1 although"):
        PixelLoss(data_range=(0, 255))(x, y)
    with pytest.warns(RangeWarning, match="divided by 255 twice"):
        PixelLoss()(x / 255, y / 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PixelLoss()(torch.zeros_like(x), torch.zeros_like(y))  # black images are legal in every range
        PixelLoss(data_range=(0, 255))(torch.zeros_like(x), y * 255)
        PixelLoss(data_range=(-1, 1))(-torch.ones_like(x), y * 2 - 1)


# Colours ------------------------------------------------------------------------------------------


def test_grey_is_three_equal_channels() -> None:
    x, y = pair(1)
    grey = load_loss(f"{SQUEEZE}:channels=gray:weights=random-0", reduction="none")
    rgb = load_loss(f"{SQUEEZE}:weights=random-0", reduction="none")
    torch.testing.assert_close(grey(x, y), rgb(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)))
    with pytest.raises(ImageError, match="must have 1 channel"):
        grey(*pair())


def test_per_channel_is_the_mean_of_grey() -> None:
    x, y = pair(5)
    per_channel = load_loss(f"{SQUEEZE}:channels=per-channel:weights=random-0", reduction="none")
    grey = load_loss(f"{SQUEEZE}:channels=gray:weights=random-0", reduction="none")
    expected = torch.stack([grey(x[:, c : c + 1], y[:, c : c + 1]) for c in range(5)]).mean(0)
    torch.testing.assert_close(per_channel(x, y), expected)
    torch.testing.assert_close(
        per_channel(x, y, output="map"),
        torch.stack([grey(x[:, c : c + 1], y[:, c : c + 1], output="map") for c in range(5)]).mean(0),
    )


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_own_networks_of_any_number_of_channels(channels: int) -> None:
    network = wrap_network(
        nn.Sequential(nn.Conv2d(channels, 4, 3)), mean=[0.5] * channels, std=[0.5] * channels
    )
    x, y = pair(channels)
    direct = (network(x)["0"] - network(y)["0"]).square().mean()
    torch.testing.assert_close(PerceptualLoss(network)(x, y), direct)
    with pytest.raises(ImageError, match=rf"must have {channels} channel\(s\)"):
        PerceptualLoss(network)(*pair(3))
    grey = PerceptualLoss(network, channels="gray")
    torch.testing.assert_close(grey(x[:, :1], x[:, :1]), torch.zeros(()))


def test_numpy_scalars_of_a_range_are_numbers() -> None:
    assert PixelLoss(data_range=(np.float32(0), np.int64(1))).data_range == (0.0, 1.0)
