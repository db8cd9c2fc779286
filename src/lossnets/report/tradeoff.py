"""Quality against cost: what a loss reaches, and what its training step takes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from lossnets.analysis import Costs, Results, Setting, known_costs, pareto_front
from lossnets.analysis.figures.style import ThemeName
from lossnets.report.drawings import figure, table
from lossnets.report.parts import Heading, Note, Part, attempt, slug

_COSTS = {
    "step_ratio": "training step, times that with the pixel loss",
    "ms_per_image": "loss alone, milliseconds for one image",
}


def tradeoffs(results: Results, costs: Costs | None) -> Iterator[Part]:
    """A figure and a table for each setting whose losses have a known cost."""
    known = known_costs() if costs is None else costs
    yield Note(f"Costs: {known.source}. Measured on {known.machine or 'no machine'}.")
    for setting in results.settings:
        label = results.labels[setting]
        yield from attempt(partial(_tradeoff, results, setting, known), label)


def _tradeoff(results: Results, setting: Setting, costs: Costs) -> Iterator[Part]:
    label, measure = results.labels[setting], results.headlines.get(setting)
    cells = results.cells
    own = cells[(cells["setting"] == label) & (cells["state"] == "ranked")].drop_duplicates("loss")
    if measure is None or own.empty:
        yield Note(f"{label}: no loss has a value yet.", "absent")
        return
    device = _device(costs)
    priced = costs.of(own["loss"].tolist(), setting.task, device)
    column = next((name for name in _COSTS if priced[name].notna().any()), None)
    if column is None:
        yield Note(f"{label}: no cost of its losses is known; 'lossnets profile' measures them.", "absent")
        return
    frame = own.merge(priced[["loss", *_COSTS]], on="loss", how="left")
    judged = pareto_front(frame, "value", column, measure.higher_is_better)
    unknown = int(judged[column].isna().sum())
    without = f" Without a known cost, and not drawn: {unknown}." if unknown else ""
    yield Heading(label)
    yield figure(
        f"cost-{results.settings.index(setting) + 1}-{slug(label)}",
        f"{label}. {measure.score} against cost: {_COSTS[column]}, on {device}.{without}",
        lambda theme: _draw(judged, column, theme),
    )
    yield _table(judged, label, column, measure.score)


def _draw(frame: Any, column: str, theme: ThemeName) -> Any:
    from lossnets.analysis.figures import quality_cost_figure

    return quality_cost_figure(frame, cost=column, cost_name=_COSTS[column], theme=theme)


def _table(frame: Any, label: str, column: str, score: str) -> Part:
    columns = {
        "loss": "Loss", "value": score, column: _COSTS[column], "standing": "Standing",
        "dominated_by": "Better at no more cost",
    }  # fmt: skip
    return table(
        f"{label}: quality, cost, and which losses are worth their cost.",
        frame, columns, numeric=("value", column), digits=4, folded=True,
    )  # fmt: skip


def _device(costs: Costs) -> str:
    """cpu, or the one device that there is."""
    devices = [cost.device for cost in costs.records]
    return "cpu" if "cpu" in devices or not devices else devices[0]
