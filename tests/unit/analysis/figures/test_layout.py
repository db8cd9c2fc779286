"""Every figure, from nothing to sixty losses: no text is cut or hides another, and nothing is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lossnets.analysis.figures import correlation_figure
from lossnets.analysis.figures.style import THEMES
from lossnets.errors import DataError, UnknownNameError

from .drawn import DRAWN, EVIL, faults, five, matrix_of, texts_of

LONG = "A title that is long enough to need two lines at the least when the figure is narrow, and here it is"


@pytest.mark.parametrize("n", [0, 1, 2, 5, 60])
@pytest.mark.parametrize("kind", DRAWN)
def test_no_text_is_cut_or_hides_another(kind: str, n: int) -> None:
    assert faults(DRAWN[kind](n)) == []


@pytest.mark.parametrize("kind", DRAWN)
def test_nor_on_half_a_page_under_a_long_title(kind: str) -> None:
    assert faults(DRAWN[kind](5, width=4.4, title=LONG)) == []


def test_the_judge_sees_what_is_wrong() -> None:
    figure = correlation_figure(matrix_of(5))
    figure.text(0.99, 0.5, "beyond the edge")
    figure.text(0.5, 0.02, "a"), figure.text(0.501, 0.02, "b")
    found = faults(figure)
    assert "cut: 'beyond the edge'" in found
    assert "overlap: 'a' and 'b'" in found


@pytest.mark.parametrize("kind", DRAWN)
def test_an_empty_frame_is_a_message(kind: str) -> None:
    figure = DRAWN[kind](0)
    (message,) = texts_of(figure)
    assert message.get_text().replace("\n", " ").startswith(("No ", "Nothing "))
    assert figure.label == message.get_text().replace("\n", " ")


@pytest.mark.parametrize("kind", DRAWN)
def test_the_title_and_the_label_are_there(kind: str) -> None:
    figure = DRAWN[kind](5, title="A title with $x_1$")
    assert "A title with $x_1$" in [text.get_text() for text in texts_of(figure)]
    assert figure.label


@pytest.mark.parametrize("kind", ["ranks", "critical", "cost"])
def test_names_are_text_and_never_mathematics(kind: str) -> None:
    shown = [text for text in texts_of(five(kind)) if "$x_1$" in text.get_text()]
    assert shown
    assert not any(text.get_parse_math() for text in shown)
    assert any(EVIL in tip for tip in five(kind).tips.values())


@pytest.mark.parametrize("kind", DRAWN)
def test_unknown_themes_are_refused(kind: str) -> None:
    with pytest.raises(UnknownNameError, match=r"theme 'drak' is not known\. Did you mean 'dark'"):
        DRAWN[kind](5, theme="drak")


def test_what_a_frame_lacks_is_named() -> None:
    from lossnets.analysis.figures import attribute_figure, quality_cost_figure, rank_figure, variance_figure

    frame = matrix_of(3)
    for draw, lacking in (
        (rank_figure, "rank"),
        (quality_cost_figure, "value, step_ratio"),
        (attribute_figure, "setting, attribute, rho"),
        (variance_figure, "term, share"),
    ):
        with pytest.raises(DataError, match=f"needs the columns {lacking}, which the frame lacks"):
            draw(frame)


@pytest.mark.parametrize("name", THEMES)
def test_colours_can_be_read(name: str) -> None:
    """WCAG 2.1: 4.5 for text, 3 for what is drawn."""
    theme = THEMES[name]
    for text in (theme.ink, theme.muted):
        assert contrast(text, theme.surface) >= 4.5
        assert contrast(text, theme.weak) >= 4.5
    for colour in (theme.accent, theme.warm, *theme.palette):
        assert contrast(colour, theme.surface) >= 3


@pytest.mark.parametrize("name", THEMES)
def test_numbers_can_be_read_on_every_cell(name: str) -> None:
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    from lossnets.analysis.figures.style import readable_on

    theme = THEMES[name]
    ramp = LinearSegmentedColormap.from_list("ramp", theme.ramp)
    for share in np.linspace(0, 1, 41):
        cell = to_hex(ramp(share))
        assert contrast(readable_on(cell, theme), cell) >= 3.9, share


@pytest.mark.parametrize("name", THEMES)
def test_neighbours_in_the_palette_differ_to_colour_blind_eyes(name: str) -> None:
    """The first four, as deuteranopes see them (Viénot, Brettel and Mollon 1999), are apart."""
    seen = [deuteranope(colour) for colour in THEMES[name].palette[:4]]
    for k, one in enumerate(seen):
        for other in seen[k + 1 :]:
            assert math.dist(one, other) > 0.1


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def deuteranope(colour: str) -> tuple[float, ...]:
    r, g, b = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    mixed = 0.29 * r + 0.71 * g
    return mixed, mixed, 0.02 * (g - r) + b
