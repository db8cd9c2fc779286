"""What is drawn is what the frame has: places, hatches, marks, order, tooltips."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lossnets.analysis import (
    agreement,
    attribute_correlations,
    average_ranks,
    compare_over_settings,
    grid,
    grid_states,
    rank_table,
    variance_table,
)
from lossnets.analysis.figures import (
    attribute_figure,
    correlation_figure,
    critical_difference_figure,
    heatmap_figure,
    quality_cost_figure,
    rank_figure,
    variance_figure,
)

from .drawn import faults, texts_of


def said(figure: Any) -> list[str]:
    return [text.get_text() for text in texts_of(figure)]


def panel(figure: Any) -> Any:
    """The first axes."""
    return figure.axes[0]


def rows_of(figure: Any) -> list[str]:
    return [label.get_text() for label in panel(figure).get_yticklabels()]


def test_ranks_are_where_they_belong_best_on_top() -> None:
    frame = pd.DataFrame({"loss": ["b", "a", "c"], "rank": [2.0, 1.0, math.nan], "low": [1, 1, math.nan],
                          "high": [2, 3, math.nan], "seeds": [1, 3, 0]})  # fmt: skip
    figure = rank_figure(frame)
    assert rows_of(figure) == ["a", "b", "c"]
    dots = [line for line in panel(figure).lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(1, 0), (2, 1)]
    assert dots[0].get_markerfacecolor() == figure.theme.accent
    assert dots[1].get_markerfacecolor() == figure.theme.surface  # one seed
    spans = [tuple(line.get_xdata()) for line in panel(figure).lines if line.get_marker() == "None"]
    assert spans == [(1, 3), (1, 2)]
    assert "no rank" in said(figure)
    assert any("Open circles: one seed." in text for text in said(figure))
    assert figure.tips["tip0"] == "a\nrank 1.00, interval 1.00 to 3.00"


@pytest.mark.parametrize("frame", [
    pd.DataFrame({"loss": ["a"], "rank": [1.0], "seeds": [1], "basis": ["items"]}),
    pd.DataFrame({"loss": ["a"], "rank": [1.0], "seeds": [1], "task": ["similarity"]}),
])  # fmt: skip
def test_nothing_is_trained_is_not_one_seed(frame: pd.DataFrame) -> None:
    assert not any("one seed" in text.lower() for text in [*rank_figure(frame).tips.values()])


def test_equal_ranks_of_two_tasks_are_both_seen() -> None:
    frame = pd.DataFrame({"contender": ["a"], "average": [2.0], "x": [2.0], "y": [2.0]})
    marks = [line for line in panel(rank_figure(frame)).lines if line.get_marker() not in ("o", "None")]
    assert len({float(mark.get_ydata()[0]) for mark in marks}) == 2


@pytest.mark.parametrize(("higher", "best", "first"), [(True, "0.900", "y"), (False, "0.100", "x")])
def test_the_best_cell_is_bold_and_its_network_on_top(higher: bool, best: str, first: str) -> None:
    values = pd.DataFrame([[0.1, 0.5], [0.9, math.nan]], index=["x", "y"], columns=[1, 2])
    states = pd.DataFrame([["ranked", "ranked"], ["ranked", "failed"]], index=["x", "y"], columns=[1, 2])
    figure = heatmap_figure(values, states=states, higher_is_better=higher)
    assert rows_of(figure)[0] == first
    bold = [text.get_text() for text in panel(figure).texts if text.get_fontweight() == "bold"]
    assert bold == [best]
    hatched = [patch for patch in panel(figure).patches if patch.get_hatch()]
    assert len(hatched) == 1
    assert figure.tips[hatched[0].get_gid()] == "y, point 2\nfailed"
    assert "failed" in said(figure)


def test_cells_of_one_seed_have_a_corner() -> None:
    from matplotlib.patches import Polygon

    values = pd.DataFrame([[0.1, 0.5]], index=["x"], columns=[1, 2])
    figure = heatmap_figure(values, seeds=pd.DataFrame([[1, 3]], index=["x"], columns=[1, 2]))
    assert sum(isinstance(patch, Polygon) for patch in panel(figure).patches) == 1
    assert any("Corner: one seed." in text for text in said(figure))


def test_the_front_is_a_line_and_what_has_no_cost_is_named() -> None:
    frame = pd.DataFrame({"loss": ["cheap", "dear", "bad", "unknown"], "value": [1.0, 2.0, 0.5, 3.0],
                          "step_ratio": [1.0, 4.0, 2.0, math.nan], "seeds": [3, 1, 3, 3]})  # fmt: skip
    figure = quality_cost_figure(frame)
    (line,) = [line for line in panel(figure).lines if len(line.get_xdata()) > 2]
    assert list(zip(line.get_xdata(), line.get_ydata(), strict=True))[:3] == [(1, 1), (4, 1), (4, 2)]
    assert {"cheap", "dear"} <= set(said(figure))
    assert any("not drawn: unknown." in text for text in said(figure))
    assert any("Open: one seed." in text for text in said(figure))


def test_lower_is_better_turns_the_axis_so_that_up_stays_better() -> None:
    frame = pd.DataFrame({"loss": ["a", "b"], "value": [1.0, 2.0], "step_ratio": [1.0, 2.0]})
    bottom, top = panel(quality_cost_figure(frame, higher_is_better=False)).get_ylim()
    assert bottom > top


def test_correlations_have_signs_counts_and_gaps() -> None:
    labels = ["a", "b", "c"]
    matrix = pd.DataFrame([[1, 0.5, math.nan], [0.5, 1, -0.25], [math.nan, -0.25, 1]], labels, labels)
    counts = pd.DataFrame(7, labels, labels)
    figure = correlation_figure(matrix, counts=counts)
    assert {"+0.50", "−0.25", "none", "7"} <= set(said(figure))
    assert "b\na\nrank correlation 0.500, 7 losses in common" in figure.tips.values()
    assert sum(bool(patch.get_hatch()) for patch in panel(figure).patches) == 1


def test_attributes_are_filled_only_where_significant() -> None:
    frame = pd.DataFrame({"level": "setting", "setting": "s", "attribute": ["top1", "depth", "gmacs"],
                          "rho": [0.5, -0.5, math.nan], "low": [0.1, math.nan, math.nan],
                          "high": [0.8, math.nan, math.nan], "p_adjusted": [0.01, 0.4, math.nan],
                          "n": 5, "note": ["", "", "the same of all networks"]})  # fmt: skip
    figure = attribute_figure(frame)
    dots = [line for line in panel(figure).lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == [0.5, -0.5]
    faces = [dot.get_markerfacecolor() for dot in dots]
    assert faces == [figure.theme.accent, figure.theme.surface]
    assert any(tip == "gmacs: no correlation\nthe same of all networks" for tip in figure.tips.values())


def test_shares_fill_the_bar_and_a_setting_without_any_is_hatched() -> None:
    terms = ["architecture", "position", "interaction", "residual"]
    frame = pd.DataFrame({"setting": ["s"] * 4 + ["t"] * 4, "term": terms * 2,
                          "share": [0.5, 0.25, 0.25, 0.0] + [math.nan] * 4,
                          "note": [""] * 4 + ["one network"] * 4})  # fmt: skip
    figure = variance_figure(frame)
    bars = [patch for patch in panel(figure).patches if not patch.get_hatch()]
    assert [bar.get_width() for bar in bars] == [0.5, 0.25, 0.25]
    assert [bar.get_x() for bar in bars] == [0, 0.5, 0.75]
    assert "no shares: one network" in said(figure)
    assert {"50 %", "25 %"} <= set(said(figure))


def test_groups_that_are_not_told_apart_have_a_bar_unless_nothing_is_decidable() -> None:
    frame = pd.DataFrame({"contender": ["a", "b", "c"], "average_rank": [1.2, 1.8, 3.0]})
    parts = {"frame": frame, "groups": (("a", "b"), ("c",)), "p": 0.01, "blocks": ("s", "t"),
             "critical_difference": 1.0, "note": ""}  # fmt: skip
    drawn = critical_difference_figure(SimpleNamespace(**parts, decidable=True))  # type: ignore[arg-type]
    assert "not told apart: a, b" in drawn.tips.values()
    open_ = critical_difference_figure(SimpleNamespace(**parts, decidable=False))  # type: ignore[arg-type]
    assert not any("told apart" in tip for tip in open_.tips.values())
    assert any("Not decidable" in text or "not decidable" in text for text in said(open_))


def test_what_the_analysis_returns_can_be_drawn(simulated: Any) -> None:
    results = simulated(np.random.default_rng(2), architectures=3, seeds=2, missing=0.1, failed=0.1)
    found, setting = agreement(results), results.settings[1]
    figures = [
        rank_figure(average_ranks(results)),
        rank_figure(average_ranks(results, by="architecture")),
        rank_figure(rank_table(results).query("setting == @results.labels[@setting]")),
        heatmap_figure(grid(results, setting), states=grid_states(results, setting)),
        correlation_figure(found.matrix, counts=found.counts),
        correlation_figure(found.between_tasks, theme="dark"),
        attribute_figure(attribute_correlations(results, draws=50)),
        attribute_figure(attribute_correlations(results, draws=50), level="task"),
        variance_figure(variance_table(results)),
        critical_difference_figure(compare_over_settings(results)),
        quality_cost_figure(
            results.cells.query("setting == @results.labels[@setting]").assign(step_ratio=2.0)
        ),
    ]
    assert [faults(figure) for figure in figures] == [[]] * len(figures)
