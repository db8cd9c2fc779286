"""Pictures of a judgement: everything is on them, in both themes, and what is missing is told."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lossnets.analysis.figures import save_figure, to_svg
from lossnets.errors import UnknownNameError
from lossnets.judging.figure import KINDS, verdict_figure
from lossnets.judging.figure_curves import curve_figure
from lossnets.judging.records import Point
from lossnets.judging.standings import Standings, standings

from .handmade import ENDS, LETTERS, RATIOS, cost_of, effect_of

EFFECT = effect_of(ENDS)
FOUND = standings(EFFECT, cost_of(RATIOS), resamples=100)


@pytest.fixture(scope="module")
def figure() -> Any:
    return verdict_figure(FOUND, title="Worth it?")


def test_every_rival_is_on_the_picture_with_its_numbers(figure: Any) -> None:
    tips = list(figure.tips.values())
    assert len(tips) == len(ENDS)
    pgn = next(tip for tip in tips if tip.startswith("PGN: pgn:mine"))
    assert "gap closed: 0.7" in pgn
    assert "time: 0.1 of the true loss's" in pgn
    assert "above the line of the plain rivals" in pgn
    svg = to_svg(figure)
    for text in ("Worth it?", "2 taps", "every 2", "time of a gradient", "95% bootstrap intervals"):
        assert text in svg
    assert "The PGN closes 0.7" in figure.label
    assert set(LETTERS.values()) <= set(KINDS)


def test_the_line_and_the_points_are_where_the_numbers_are(figure: Any) -> None:
    axes = figure.axes[0]
    drawn = [tuple(zip(*line.get_data(), strict=True)) for line in axes.lines]
    corners = [(c.cost, c.gap) for c in FOUND.line]
    assert any(tuple(points[: len(corners)]) == tuple(corners) for points in drawn)
    pgn = FOUND.of("pgn")
    assert pgn is not None
    assert ((pgn.cost, pgn.gap),) in drawn
    assert ((pgn.cost, pgn.low), (pgn.cost, pgn.high)) in drawn
    assert axes.get_xscale() == "log"


def test_a_dark_one_is_drawn(figure: Any) -> None:
    dark = verdict_figure(FOUND, theme="dark")
    assert dark.theme.name == "dark"
    assert {line.get_color() for line in dark.axes[0].lines}.isdisjoint(
        line.get_color() for line in figure.axes[0].lines
    )
    with pytest.raises(UnknownNameError, match="theme 'red' is not known"):
        verdict_figure(FOUND, theme="red")  # type: ignore[arg-type]


def test_what_is_missing_or_far_off_is_told() -> None:
    rows = [
        replace(row, cost=math.nan) if row.key == "half"
        else replace(row, gap=-30.0, low=-40.0, high=-20.0, diverged=3) if row.key == "crop" else row
        for row in FOUND.rows
    ]  # fmt: skip
    svg = to_svg(verdict_figure(Standings(tuple(rows), FOUND.line, FOUND.generators, {})))
    assert "not drawn: half" in svg.replace("\n", " ")
    assert "drawn at the edge" in svg
    assert "at least one fit diverged" in svg
    nothing = verdict_figure(Standings((), (), (), {"image-prior": "no gap"}))
    assert "Nothing to draw" in nothing.label
    assert "no gap" in nothing.label


def test_curves(tmp_path: Path) -> None:
    figure = curve_figure(EFFECT, "image-prior")
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    assert len(lines) == len(ENDS)
    assert {text.get_text() for text in figure.axes[0].texts} == set(ENDS)
    steps, values = EFFECT.curve("image-prior", "pgn")
    assert any(list(line.get_ydata()) == values and list(line.get_xdata()) == steps for line in lines)
    assert save_figure(figure, tmp_path / "curves.png", dpi=50).stat().st_size > 1000
    only = curve_figure(EFFECT, "image-prior", measure="psnr", keys=["true", "mse"])
    assert len(only.tips) == 2
    with pytest.raises(UnknownNameError):
        curve_figure(EFFECT, "nothing")


def test_curves_with_holes_are_drawn() -> None:
    lost = Point(100, math.nan, math.nan, math.nan, math.nan)
    fits = [
        replace(fit, curve=(*fit.curve[:2], lost), diverged_at=100) if fit.rival == "pgn" else fit
        for fit in EFFECT.fits
    ]
    figure = curve_figure(replace(EFFECT, fits=tuple(fits)), "image-prior")
    assert any("at the end: nan" in tip for tip in figure.tips.values())
