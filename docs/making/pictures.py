"""Pictures of results: the frames that each shows, and the figure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from making.tables import results


def _heatmap(task: str) -> Any:
    from lossnets.analysis import grid, grid_states
    from lossnets.analysis.figures import heatmap_figure

    setting = next(s for s in results().settings if s.task == task)
    measure = results().headlines[setting]
    score = f"{measure.score} in {measure.unit}" if measure.unit == "dB" else measure.score
    values, states = grid(results(), setting), grid_states(results(), setting)
    own = results().cells.loc[lambda cells: cells["setting"] == results().labels[setting]]
    own = own[own["main"] & (own["taps"] == 1)]
    seeds = own.pivot_table("seeds", "architecture", "position", aggfunc="min")
    figure = heatmap_figure(
        values,
        states=states,
        seeds=seeds.reindex_like(values),
        score=score,
        higher_is_better=measure.higher_is_better,
    )
    return [values, states, seeds], figure


def _ranks() -> Any:
    from lossnets.analysis import average_ranks
    from lossnets.analysis.figures import rank_figure

    ranks = average_ranks(results())
    return [ranks], rank_figure(ranks)


def _correlations() -> Any:
    from lossnets.analysis import agreement
    from lossnets.analysis.figures import correlation_figure

    found = agreement(results())
    return [found.matrix, found.counts], correlation_figure(found.matrix, counts=found.counts)


def _variance() -> Any:
    from lossnets.analysis.figures import variance_figure
    from lossnets.analysis.variance import variance_table

    shares = variance_table(results())
    return [shares], variance_figure(shares)


def _quality_cost() -> Any:
    from lossnets.analysis.cost import shipped_costs
    from lossnets.analysis.figures import quality_cost_figure
    from lossnets.analysis.pareto import pareto_front

    cells = results().cells
    cells = cells[(cells["task"] == "super-resolution") & (cells["state"] == "ranked")]
    costs = shipped_costs().of(cells["loss"].tolist(), "super-resolution")
    keep = ["loss", "step_ratio", "step_ratio_low", "step_ratio_high"]
    front = pareto_front(cells.merge(costs[keep], on="loss"))
    return [front], quality_cost_figure(front)


def _comparison() -> Any:
    """The photographs of ``examples/make_images.py``, by a pixel loss and by a perceptual one."""
    from lossnets import read_image
    from lossnets.analysis.comparison_sheet import compare_images
    from lossnets.analysis.figures import comparison_figure
    from lossnets.datasets.samples import photograph_path
    from lossnets.images.degradations import degrade

    image = read_image(photograph_path("skimage", "data/chelsea.png"))
    damage = {"compressed": ("jpeg", 5), "blurred": ("gaussian_blur", 3), "moved": ("shift", 2)}
    damaged = {name: degrade(image[None], kind, level)[0] for name, (kind, level) in damage.items()}
    found = compare_images(image, damaged, ["pixel:mse", "efficientnet_lite0/bn1,blocks.3:lpips"])
    return [found.frame], comparison_figure(found)


PICTURES: dict[str, Callable[[], Any]] = {
    "ranks.png": _ranks,
    "correlations.png": _correlations,
    "variance.png": _variance,
    "compare-images.png": _comparison,
    "heatmap-super-resolution.png": lambda: _heatmap("super-resolution"),
    "heatmap-autoencoding.png": lambda: _heatmap("autoencoding"),
    "quality-cost-super-resolution.png": _quality_cost,
}
"""Name of a picture -> frames that it shows, and the figure."""


def drawn_from(frames: Iterable[Any]) -> str:
    """A hash of what a picture shows, to four digits."""
    text = "".join(frame.to_csv(float_format="%.3e") for frame in frames)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
