"""Frames for every figure, from nothing to too much; and a judge of text that overlaps or is cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from lossnets.analysis.figures import (
    attribute_figure,
    correlation_figure,
    critical_difference_figure,
    heatmap_figure,
    quality_cost_figure,
    rank_figure,
    variance_figure,
)

WEIGHTS = "weights=data/vgg16_hed.safetensors"
EVIL = "net/$x_1$<script>alert('&')</script>"
TASKS = ("similarity", "super-resolution", "delineation", "autoencoding")


def loss_names(n: int) -> list[str]:
    """Long, alike, and one that would be markup or mathematics somewhere."""
    kinds = (
        "vgg16/relu{k}_2:unit-spatial-sum:" + WEIGHTS,
        "efficientnet_lite0/bn1,blocks.{k},blocks.3,blocks.6:unit-spatial-sum",
        "squeezenet1_1/features.{k}",
    )
    return [EVIL, *(kinds[k % 3].format(k=k) for k in range(1, n))][:n]


def ranks_of(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(n)
    frame = pd.DataFrame({task: rng.uniform(1, max(n, 1), n) for task in TASKS})
    frame.insert(0, "contender", loss_names(n))
    frame["average"] = frame[list(TASKS)].mean(axis=1)
    frame["low"], frame["high"] = frame["average"] - 0.1 * n, frame["average"] + 0.1 * n
    frame["missing"] = ["autoencoding" if k == 1 else "" for k in range(n)]
    frame.loc[frame.index[2:3], ["low", "high"]] = math.nan
    frame.loc[frame.index[1:2], "autoencoding"] = math.nan
    frame.attrs["left_out"] = ["pixel:mse", "pixel:l1"]
    return frame


def grid_of(n: int) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(n)
    index = [f"network_{k}_with_a_name" for k in range(n)]
    grid = pd.DataFrame(rng.uniform(0.3, 0.9, (n, 4)), index=index, columns=[1, 2, 3, 4])
    states = pd.DataFrame("ranked", index=index, columns=grid.columns)
    seeds = pd.DataFrame(3, index=index, columns=grid.columns)
    if n > 2:
        grid.iloc[1, 2], states.iloc[1, 2] = math.nan, "failed"
        grid.iloc[2, 0], states.iloc[2, 0] = math.nan, "missing"
        grid.iloc[2, 1], states.iloc[2, 1] = math.nan, "undefined"
        seeds.iloc[0, 1] = 1
    return {"grid": grid, "states": states, "seeds": seeds}


def critical_of(n: int) -> Any:
    names = loss_names(n)
    ranks = sorted(np.random.default_rng(n).uniform(1, max(n, 1), n))
    groups = tuple(tuple(names[k : k + max(2, n // 4)]) for k in range(0, n - 2, max(1, n // 8)))
    return SimpleNamespace(
        frame=pd.DataFrame({"contender": names, "average_rank": ranks}), groups=groups, decidable=n > 1,
        note="" if n > 1 else "one contender", p=0.0123, blocks=6, critical_difference=2.3,
    )  # fmt: skip


def costs_of(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(n)
    value = rng.uniform(20, 24, n)
    frame = pd.DataFrame({"loss": loss_names(n), "value": value, "step_ratio": rng.lognormal(1, 0.7, n)})
    frame["low"], frame["high"], frame["seeds"] = value - 0.3, value + 0.3, 3
    frame["score"], frame["unit"], frame["higher_is_better"] = "psnr_y", "dB", True
    if n > 2:
        frame.loc[1, ["low", "high"]], frame.loc[2, "step_ratio"] = math.nan, math.nan
        frame.loc[0, "seeds"] = 1
    return frame


def matrix_of(n: int) -> pd.DataFrame:
    count = min(n, 12)
    labels = [f"{TASKS[k % 4]}: images to bsd100, set{k} (small)" for k in range(count)]
    values = np.random.default_rng(n).uniform(-1, 1, (count, count))
    if count > 2:
        values[2, 1] = math.nan
    return pd.DataFrame(values, index=labels, columns=labels)


def attributes_of(n: int) -> pd.DataFrame:
    rng, rows = np.random.default_rng(n), []
    for k in range(min(n, 12)):
        for attribute in ("top1", "parameters", "gmacs", "depth", "receptive_field", "batch_norm"):
            rho = math.nan if attribute == "gmacs" else rng.uniform(-1, 1)
            rows.append({
                "level": "setting", "setting": f"{TASKS[k % 4]}: images to bsd100, set{k} (small)",
                "attribute": attribute, "rho": rho, "low": rho - 0.2 if k else math.nan,
                "high": min(rho + 0.2, 1) if k else math.nan, "p_adjusted": 0.01 if k % 2 else 0.4, "n": 6,
                "note": "",
            })  # fmt: skip
    return pd.DataFrame(rows)


def variance_of(n: int) -> pd.DataFrame:
    rows = []
    for k in range(min(n, 12)):
        shares = np.random.default_rng(k).dirichlet([4, 3, 2, 1])
        for term, share in zip(("architecture", "position", "interaction", "residual"), shares, strict=True):
            rows.append({
                "setting": f"{TASKS[k % 4]}: images to bsd100, set{k} (small)", "term": term,
                "share": math.nan if k == 1 else share, "p": 0.02, "omega_sq": 0.3, "networks": 6,
                "points": 4, "seeds": 3, "ratio": 0.7, "ratio_low": 0.2, "ratio_high": 2.0,
                "verdict": "not decidable",
                "note": "one network only" if k == 1 else "", "error_term": "residual",
            })  # fmt: skip
    return pd.DataFrame(rows)


DRAWN: dict[str, Callable[..., Any]] = {
    "ranks": lambda n, **look: rank_figure(ranks_of(n), **look),
    "heatmap": lambda n, **look: heatmap_figure(score="psnr_y dB", **grid_of(n), **look),
    "critical": lambda n, **look: critical_difference_figure(critical_of(n), **look),
    "cost": lambda n, **look: quality_cost_figure(costs_of(n), **look),
    "correlations": lambda n, **look: correlation_figure(matrix_of(n), **look),
    "attributes": lambda n, **look: attribute_figure(attributes_of(n), **look),
    "variance": lambda n, **look: variance_figure(variance_of(n), **look),
}
"""A figure of every kind with n losses (or settings, at most 12)."""


def texts_of(figure: Any) -> list[Any]:
    """All text that is seen."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    hidden = _hidden(figure)
    return [
        t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in hidden
    ]


def _hidden(figure: Any) -> set[int]:
    """Texts that are not drawn: of axes that are switched off, of ticks outside the limits."""
    found: set[int] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            drawn = axis._update_ticks() if axes.axison else []
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                found |= {id(label) for label in (tick.label1, tick.label2) if tick not in drawn}
            found |= set() if axes.axison else {id(axis.label), id(axis.offsetText)}
    return found


def faults(figure: Any) -> list[str]:
    """Texts that overlap another, or leave the figure."""
    from matplotlib.text import Text

    texts = texts_of(figure)
    boxes = [(t.get_text(), Text.get_window_extent(t)) for t in texts]  # of an annotation without its line
    width, height = figure.bbox.width, figure.bbox.height
    found = [
        f"cut: {text!r}"
        for text, box in boxes
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]
    for (one, a), (two, b) in combinations(boxes, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > 1.5 and down > 1.5:
            found.append(f"overlap: {one!r} and {two!r}")
    return found


@cache
def five(kind: str, theme: str = "light") -> Any:
    """A figure of five, drawn once for all tests that only look at it."""
    return DRAWN[kind](5, theme=theme)
