"""What do networks and points have in common that do well: rank correlation with their attributes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lossnets.analysis.paired import check_alpha, holm
from lossnets.analysis.points import Array, Points, points_of
from lossnets.analysis.resampling import (
    FEWEST,
    bootstrap_interval,
    mean_interval,
    mean_spearman,
    permutation_p,
    sign_flip_p,
    spearman,
)
from lossnets.analysis.results import Results, pandas
from lossnets.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

Summary = Literal["best", "mean"]
SUMMARIES = ("best", "mean")
NETWORK_ATTRIBUTES = ("top1", "parameters", "gmacs", "batch_norm")
POINT_ATTRIBUTES = ("depth", "stride", "channels", "receptive_field")
ATTRIBUTES = (*NETWORK_ATTRIBUTES, *POINT_ATTRIBUTES)
ATTRIBUTE_COLUMNS = (
    "level", "setting", "task", "attribute", "rho", "low", "high", "p", "p_adjusted", "n", "unit", "summary",
    "note",
)  # fmt: skip
_FEWEST_RHO = 3


def attribute_correlations(
    results: Results, *, summary: Summary = "best", draws: int = 2000, alpha: float = 0.05, seed: int = 0
) -> pd.DataFrame:
    """Results -> Spearman's rho of score (more is better) with each attribute (`ATTRIBUTE_COLUMNS`).

    Rows of ``level`` "setting" are of one setting, rows of ``level`` "task" the mean over a task's
    settings of the networks that all of them have. The unit of everything is the network, since points of
    one network are not independent (Davison and Hinkley, Bootstrap Methods, 1997, section 3.8):

    - attributes of networks (`NETWORK_ATTRIBUTES`): correlation over networks with the score of each
      network's best point or with the mean of its points (`summary`); p by permuting the networks.
    - attributes of points (`POINT_ATTRIBUTES`): correlation over the points *within* each network, mean
      over the networks; p by flipping signs network by network.

    Intervals are percentile bootstraps over networks, from `FEWEST` networks on. ``p_adjusted`` is Holm's,
    over the attributes of one setting or task. Networks without an attribute (accuracy of weights that
    are not the published ones) are left out of its row and named in ``note``.

    Args:
        results: runs.
        summary: ``best`` or ``mean``; the mean leaves out networks that lack a point.
        draws: of bootstrap and permutation.
        alpha: 1 - coverage.
        seed: of their chance.

    Raises:
        ConfigError: `alpha` is not between 0 and 1, or `draws` is below 1.
        UnknownNameError: `summary` is neither.
    """
    check_alpha(alpha)
    if summary not in SUMMARIES:
        raise unknown_name("summary of a network's points", str(summary), SUMMARIES)
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise ConfigError(f"draws must be a whole number, 1 or more (2000 is usual); got {draws!r}.")
    chance = {"draws": draws, "alpha": alpha, "seed": seed}
    found = [(s, points_of(results, s).distinct()) for s in results.settings if s in results.headlines]
    groups = [("setting", results.labels[s], s.task, [item]) for s, item in found]
    for task in dict.fromkeys(s.task for s, _ in found):
        members = [item for s, item in found if s.task == task]
        groups.append(("task", f"{task}: {len(members)} setting{'s' * (len(members) > 1)}", task, members))
    rows = []
    for level, label, task, members in groups:
        kept = [points for points, _ in members]
        twice = sorted({name for _, names in members for name in names})
        block = [_row(attribute, kept, summary, chance) for attribute in ATTRIBUTES]
        adjusted = holm(np.array([row["p"] for row in block], dtype=float)).tolist()
        note = f"one of each network; without {', '.join(twice)}" if twice else ""
        rows += [
            {"level": level, "setting": label, "task": task}
            | row
            | {"p_adjusted": p, "note": "; ".join(text for text in (row["note"], note) if text)}
            for row, p in zip(block, adjusted, strict=True)
        ]
    return pandas().DataFrame(rows, columns=list(ATTRIBUTE_COLUMNS))


def _row(attribute: str, settings: Sequence[Points], summary: str, chance: dict[str, Any]) -> dict[str, Any]:
    if attribute in NETWORK_ATTRIBUTES:
        networks, scores = network_scores(settings, summary)
        values = settings[0].only(networks).facts(attribute)
        row = _of_networks(values, scores, networks, chance)
        union = dict.fromkeys(name for points in settings for name in points.networks)
        partly = [name for name in union if name not in networks]
        if partly:
            row["note"] = "; ".join(
                filter(None, [row["note"], f"lack points or settings: {', '.join(partly)}"])
            )
        return {"attribute": attribute, "unit": "architecture", "summary": summary} | row
    unit = "point within architecture"
    return {"attribute": attribute, "unit": unit, "summary": "", **_of_points(attribute, settings, chance)}


def network_scores(settings: Sequence[Points], summary: str) -> tuple[tuple[str, ...], Array]:
    """Networks with a score in all of the settings, and (settings, networks) their scores."""
    tables = [
        dict(zip(p.networks, (p.best if summary == "best" else p.average).tolist(), strict=True))
        for p in settings
    ]
    shared = tuple(
        name for name in settings[0].networks if all(math.isfinite(t.get(name, math.nan)) for t in tables)
    )
    return shared, np.array([[table[name] for name in shared] for table in tables]).reshape(len(tables), -1)


def _of_networks(
    values: Array, scores: Array, networks: Sequence[str], chance: dict[str, Any]
) -> dict[str, Any]:
    known = np.isfinite(values)
    unknown = [name for name, there in zip(networks, known, strict=True) if not there]
    note = f"unknown of {', '.join(unknown)}" if unknown else ""
    values, scores = values[known], scores[:, known]
    rho = float(mean_spearman(values, scores)) if len(values) >= _FEWEST_RHO else math.nan
    if math.isnan(rho):
        return _nothing(len(values), note, constant=len(values) >= _FEWEST_RHO)
    p = permutation_p(values, scores, draws=chance["draws"], seed=chance["seed"])[0]
    low, high = bootstrap_interval(values, scores, **chance)
    return _numbers(rho, low, high, p, len(values), note)


def _of_points(attribute: str, settings: Sequence[Points], chance: dict[str, Any]) -> dict[str, Any]:
    inner = within_networks(attribute, settings)
    values = np.array(list(inner.values()))
    lacking = [name for name in settings[0].networks if name not in inner]
    note = f"too few points with it: {', '.join(lacking)}" if lacking else ""
    if not len(values):
        return _nothing(0, note, constant=False)
    p = sign_flip_p(values, draws=chance["draws"], seed=chance["seed"])[0]
    low, high = mean_interval(values, **chance)
    return _numbers(float(values.mean()), low, high, p, len(values), note)


def within_networks(attribute: str, settings: Sequence[Points]) -> dict[str, float]:
    """Network -> rank correlation of score and attribute over its points, mean over the settings.

    ``position`` is an attribute too. Networks with fewer than three points that have the attribute, in
    every setting, are not in.
    """
    found: dict[str, list[float]] = {}
    for points in settings:
        facts = points.tap_facts(attribute)
        for name, score, fact in zip(points.networks, points.means, facts, strict=True):
            both = np.isfinite(score) & np.isfinite(fact)
            rho = float(spearman(fact[both], score[both])) if both.sum() >= _FEWEST_RHO else math.nan
            if math.isfinite(rho):
                found.setdefault(name, []).append(rho)
    return {name: sum(values) / len(values) for name, values in found.items() if len(values) == len(settings)}


def _numbers(rho: float, low: float, high: float, p: float, n: int, note: str) -> dict[str, Any]:
    few = f"{n} networks: no interval below {FEWEST}" if n < FEWEST else ""
    text = "; ".join(part for part in (few, note) if part)
    return {"rho": rho, "low": low, "high": high, "p": p, "n": n, "note": text}


def _nothing(n: int, note: str, *, constant: bool) -> dict[str, Any]:
    why = "the same of all networks" if constant else f"not decidable from {n} networks"
    text = "; ".join(part for part in (why, note) if part)
    return dict.fromkeys(("rho", "low", "high", "p"), math.nan) | {"n": n, "note": text}
