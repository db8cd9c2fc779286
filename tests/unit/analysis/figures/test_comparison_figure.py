"""The sheet of a comparison: order, ties, what is left out, text that fits, themes."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from lossnets.analysis.comparison_records import Comparison
from lossnets.analysis.comparison_sheet import compare_images
from lossnets.analysis.figures import comparison_figure, to_svg
from lossnets.analysis.figures.style import THEMES

NET = "efficientnet_lite0/bn1,blocks.0,blocks.3,blocks.6:weights=random-0"


def compared(count: int, *losses: str, size: tuple[int, int] = (32, 48), maps: bool = True) -> Comparison:
    generator = torch.Generator().manual_seed(1)
    reference = torch.rand(3, *size, generator=generator)
    pictures = {
        f"a_long_name_of_a_picture_{k}.png": (reference * (1 - k / 20)).clamp(0, 1)
        for k in range(1, count + 1)
    }
    return compare_images(reference, pictures, losses, side=48, maps=maps)


def seen(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.texts]


def faults(figure: Any) -> list[str]:
    """Texts of the sheet that overlap or leave it."""
    figure.draw_without_rendering()
    boxes = [(t.get_text(), t.get_window_extent()) for t in figure.texts]
    whole = figure.bbox
    found = [text for text, b in boxes if b.x0 < 0 or b.y0 < 0 or b.x1 > whole.width or b.y1 > whole.height]
    for (one, a), (two, b) in combinations(boxes, 2):
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1.5:
            found.append(f"{one!r} over {two!r}")
    return found


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("count", "losses", "size", "maps"),
    [
        (1, ("pixel:mse",), (32, 48), True),
        (3, ("pixel:mse", NET, "pixel:ssim"), (40, 32), True),
        (5, (NET,), (16, 96), False),
        (30, ("pixel:l1", "pixel:ssim"), (96, 16), True),
    ],
)
def test_text_fits(
    theme: str, count: int, losses: tuple[str, ...], size: tuple[int, int], maps: bool
) -> None:
    found = compared(count, *losses, size=size, maps=maps)
    assert faults(comparison_figure(found, theme=theme)) == []  # type: ignore[arg-type]


def test_closest_first_with_rank_distance_and_factor() -> None:
    reference = torch.zeros(3, 16, 20)
    pictures = {"far": reference + 0.5, "near": reference + 0.25, "same": reference + 0.5}
    texts = seen(comparison_figure(compare_images(reference, pictures, ["pixel:l1"])))
    marks = [text for text in texts if "0.250" in text or "0.500" in text]
    assert marks == ["B  1.  0.250", "A  =2.  0.500  ×2.0", "C  =2.  0.500  ×2.0"]


def test_eight_are_drawn_and_the_others_listed() -> None:
    figure = comparison_figure(compared(11, "pixel:l1", maps=False))
    assert sum(len(axes.images) for axes in figure.axes) == 1 + 11 + 8
    assert any(text.startswith("Further away: I ") and ", K " in text for text in seen(figure))


def test_maps_share_one_scale() -> None:
    figure: Any = comparison_figure(compared(3, "pixel:mse"))
    shades = [image for axes in figure.axes for image in axes.images if image.get_array().ndim == 2]
    assert len(shades) == 3
    assert len({image.get_clim() for image in shades}) == 1


def test_a_failing_loss_and_an_unreadable_picture_say_why(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    pictures: dict[str, Any] = {"bad": tmp_path / "bad.png", "x": torch.rand(3, 8, 8)}
    found = compare_images(torch.rand(3, 8, 8), pictures, ["pixel:ssim", "pixel:mse"])
    figure = comparison_figure(found)
    assert any(text.startswith("failed: ") for text in seen(figure))
    fields = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "not compared:\ncannot be read" in fields
    assert "is not an image" in to_svg(figure)


def test_svg_has_tooltips_and_is_the_same_twice() -> None:
    found = compared(2, NET)
    first, second = (to_svg(comparison_figure(found)) for _ in range(2))
    assert first == second
    assert f"<title>{NET}</title>" in first
    assert 'role="img"' in first
    assert "of the distance</title>" in first
