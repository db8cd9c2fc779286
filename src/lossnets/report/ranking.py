"""Networks and taps as heat maps, and ranks with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from lossnets.analysis import (
    Results,
    Setting,
    average_ranks,
    best_taps,
    compare_over_settings,
    grid,
    grid_states,
    rank_table,
)
from lossnets.report.drawings import figure, table
from lossnets.report.parts import Facts, Note, Part, attempt, counted, interval, slug

_HALF = 4.7
"""Inches of a figure that has another beside it."""


def heat_maps(results: Results) -> Iterator[Part]:
    """One heat map for each setting, then the best tap of each network."""
    for setting in results.settings:
        yield from attempt(partial(_heat_map, results, setting), results.labels[setting])
    frame = best_taps(results)
    if len(frame):
        frame = frame.assign(
            interval=[interval(*ends) for ends in zip(frame["low"], frame["high"], strict=True)],
            value=[float(value) for value in frame["value"]],
        )
        columns = {
            "architecture": "Network", "setting": "Setting", "tap": "Best tap", "value": "Score",
            "interval": "95 % interval", "runner_up": "Next", "distinguishable": "Told apart from all others",
            "missing": "Without a value", "note": "Note",
        }  # fmt: skip
        yield table(
            "The best tap of each network, and whether it is told apart from the other taps of the network.",
            frame, columns, numeric=("value", "interval"), digits=4, folded=True,
        )  # fmt: skip


def _heat_map(results: Results, setting: Setting) -> Iterator[Part]:
    label, measure = results.labels[setting], results.headlines.get(setting)
    values = grid(results, setting)
    if measure is None or values.empty:
        why = "no run has a score yet" if measure is None else "no loss here is a single point of a network"
        yield Note(f"{label}: there is no heat map, since {why}.", "absent")
        return
    from lossnets.analysis.figures import heatmap_figure

    behind = _behind(results, setting)
    unit = f" in {measure.unit}" if measure.unit else ""
    direction = "higher" if measure.higher_is_better else "lower"
    options: dict[str, Any] = {
        "states": grid_states(results, setting),
        "seeds": behind("seeds", "min", values) if setting.trains else None,
        "names": behind("loss", "first", values),
        "higher_is_better": measure.higher_is_better,
        "score": f"{measure.score}{unit}",
    }
    yield figure(
        f"heat-map-{results.settings.index(setting) + 1}-{slug(label)}",
        f"{label}. {measure.score}{unit}, {direction} is better; networks by points, early to late.",
        lambda theme: heatmap_figure(values, **options, theme=theme, title=label, width=_HALF),
        half=True,
    )


def _behind(results: Results, setting: Setting) -> Any:
    """Function of (column, how to join, grid) -> another column of the cells in the shape of the grid."""
    cells = results.cells
    mine = cells["main"].astype(bool) & (cells["taps"] == 1) & cells["position"].notna()
    cells = cells[mine & (cells["setting"] == results.labels[setting])]

    def of(column: str, how: str, values: Any) -> Any:
        joined = cells.groupby(["architecture", "position"])[column].agg(how).unstack("position")
        return joined.reindex(index=values.index, columns=values.columns)

    return of


def ranks(results: Results) -> Iterator[Part]:
    """Average ranks over tasks by contender and by network, critical differences, ranks in each setting."""
    yield from attempt(lambda: _average(results), "The average ranks")
    yield from attempt(lambda: _by_network(results), "The ranks of networks")
    yield from attempt(lambda: _critical(results), "The comparison over all settings")
    frame = rank_table(results)
    if len(frame):
        frame = frame.assign(
            range=[interval(*ends) for ends in zip(frame["low"], frame["high"], strict=True)]
        )
        columns = {
            "loss": "Loss", "setting": "Setting", "rank": "Rank", "range": "Ranks possible", "of": "Of",
            "better": "Found better", "worse": "Found worse", "basis": "Judged by", "state": "State",
            "note": "Note",
        }  # fmt: skip
        numbers = ("rank", "range", "of", "better", "worse")
        yield table(
            "Rank of each loss in each setting, with the ranks that the evidence allows (95 %, all at once).",
            frame, columns, numeric=numbers, folded=True,
        )  # fmt: skip


def _average(results: Results) -> Iterator[Part]:
    from lossnets.analysis.figures import rank_figure

    frame = average_ranks(results)
    if not len(frame):
        yield Note("No contender has a value in every setting, so that there are no average ranks.", "absent")
        yield from _left_out(frame.attrs["left_out"])
        return
    settings = counted(len(frame.attrs["settings"]), "setting")
    yield figure(
        "average-ranks",
        f"Average rank of {counted(len(frame), 'contender')} over {settings}, each task with equal weight; 1 "
        "is best. Bars are the ranks that the evidence allows, all at once, 95 %; small marks are tasks.",
        lambda theme: rank_figure(frame, theme=theme),
    )
    yield from _left_out(frame.attrs["left_out"])


def _left_out(names: dict[str, str]) -> Iterator[Part]:
    """Only contenders with a value in every setting are ranked over tasks."""
    if names:
        title = f"Left out of the average ranks: {counted(len(names), 'contender')}"
        yield Facts(title, list(names.items()))


def _by_network(results: Results) -> Iterator[Part]:
    from lossnets.analysis.figures import rank_figure

    frame = average_ranks(results, by="architecture").drop(columns="points")
    if len(frame) < 2:
        yield Note(
            "Fewer than two networks have a value in every setting: networks are not ranked.", "absent"
        )
        return
    yield figure(
        "ranks-of-networks",
        "Average rank of networks, each by its best tap in each setting. Choosing the best tap by the same "
        "numbers makes the ranks optimistic.",
        lambda theme: rank_figure(frame, theme=theme),
    )


def _critical(results: Results) -> Iterator[Part]:
    from lossnets.analysis.figures import critical_difference_figure

    critical = compare_over_settings(results)
    if len(critical.frame) < 2:
        yield Note(f"Contenders cannot be compared over settings: {critical.note}.", "absent")
        return
    yield figure(
        "critical-differences",
        "Which contenders the settings tell apart: Friedman's test with Nemenyi's critical difference "
        "(Demšar 2006).",
        lambda theme: critical_difference_figure(critical, theme=theme),
    )
