"""What an image batch is: the checks as functions, and the map to [0, 1]."""

from __future__ import annotations

import warnings

import pytest
import torch

from lossnets.errors import ConfigError, ImageError
from lossnets.images.contract import (
    RangeWarning,
    check_data_range,
    check_layout,
    check_validate,
    check_values,
    to_unit_range,
)


def test_layout_gives_back_what_is_right() -> None:
    for images in (
        torch.rand(1, 3, 2, 2),
        torch.zeros(1, 3, 2, 2, dtype=torch.uint8),
        torch.rand(1, 3, 2, 2).half(),
    ):
        assert check_layout(images, "images") is images
    assert check_layout(torch.rand(1, 7, 2, 2), "images", channels=None).shape[1] == 7


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("a.png", r"input must be a torch.Tensor of shape \(N, 3, H, W\); got str. Files are read with"),
        (torch.rand(3, 4, 4), r"input must have shape \(N, 3, H, W\); got \(3, 4, 4\): add a batch axis"),
        (torch.rand(4, 4), r"got \(4, 4\)$"),
        (torch.rand(1, 3, 0, 4), "must not be empty"),
        (torch.rand(1, 1, 4, 4), "For grey images"),
        (torch.rand(1, 4, 4, 4), "Alpha"),
        (torch.rand(1, 8, 8, 3), "channels seem to be last"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int32), "got torch.int32. Convert it"),
    ],
)
def test_layout_refuses(images: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        check_layout(images, "input")


@pytest.mark.parametrize(
    ("low", "high", "allowed"),
    [(-0.04, 1.0, True), (0.0, 1.05, True), (0.0, 1.051, False), (-0.051, 1.0, False), (-0.05, 1.05, True)],
)
def test_tolerance_is_a_share_of_the_range(low: float, high: float, allowed: bool) -> None:
    for scale, offset in ((1, 0), (255, 0), (2, -1)):
        images = torch.tensor([low, high], dtype=torch.float64).view(1, 1, 1, 2) * scale + offset
        data_range = (float(offset), float(scale + offset))
        if allowed:
            check_values(images, "x", data_range, 0.05 + 1e-9)
        else:
            with pytest.raises(ImageError, match=r"x must lie in \[.*\(data_range\); got minimum"):
                check_values(images, "x", data_range)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_value_among_many_is_found(bad: float) -> None:
    images = torch.rand(2, 3, 8, 8)
    images[1, 2, 3, 4] = bad
    with pytest.raises(ImageError, match="images must be finite"):
        check_values(images, "images", (0.0, 1.0))


@pytest.mark.parametrize(
    ("values", "data_range", "hint"),
    [
        ((0, 200), (0, 1), r"data_range=\(0, 255\)"),
        ((-1, 1), (0, 1), r"data_range=\(-1, 1\)"),
        ((-900, 7), (0, 1), "range_tolerance"),
        ((0, 2), (-1, 1), "range_tolerance"),
    ],
)
def test_hints(values: tuple[float, float], data_range: tuple[float, float], hint: str) -> None:
    with pytest.raises(ImageError, match=hint):
        check_values(torch.tensor(values).float().view(1, 1, 1, 2), "x", data_range)


def test_warnings_come_only_for_what_looks_wrong() -> None:
    def check(low: float, high: float, data_range: tuple[float, float]) -> None:
        check_values(torch.tensor([low, high]).view(1, 1, 1, 2), "x", data_range)

    for low, high, data_range in ((0, 0.9, (-1, 1)), (0.2, 1, (0, 255)), (0, 0.003, (0, 1))):
        with pytest.warns(RangeWarning, match=r"^x: .*ignore it"):
            check(low, high, data_range)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for low, high, data_range in (
            (-0.1, 0.9, (-1, 1)),
            (0, 1.5, (0, 255)),
            (0, 0.005, (0, 1)),
            (0, 0, (-1, 1)),
        ):
            check(low, high, data_range)
        check_values(torch.zeros(1, 1, 1, 1, dtype=torch.uint8), "x", (-1, 1))


def test_unit_range() -> None:
    x = torch.tensor([0.0, 0.25, 1.0])
    assert to_unit_range(x, (0.0, 1.0)) is x
    torch.testing.assert_close(to_unit_range(x * 2 - 1, (-1.0, 1.0)), x)
    torch.testing.assert_close(to_unit_range(x * 255, (0.0, 255.0)), x)
    torch.testing.assert_close(to_unit_range(torch.tensor([0, 51, 255], dtype=torch.uint8), (-1, 1)),
                               torch.tensor([0.0, 0.2, 1.0]))  # fmt: skip
    for half in (torch.float16, torch.bfloat16):
        assert to_unit_range(x.to(half), (0.0, 1.0)).dtype == torch.float32
    assert to_unit_range(x.double(), (-1.0, 1.0)).dtype == torch.float64


def test_settings() -> None:
    assert check_data_range([0, 255]) == (0.0, 255.0)  # type: ignore[arg-type]
    assert check_validate("first") == "first"
    for bad in ((1, 1), (2, 1), "ab", None, (0,), (0, float("nan"))):
        with pytest.raises(ConfigError, match="data_range must be"):
            check_data_range(bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="validate must be one of"):
        check_validate("sometimes")
