"""The two conventions of transfer learning that the study says do not hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lossnets.analysis.attributes import network_scores, within_networks
from lossnets.analysis.findings.ground import Field, beside_study, by_task, shared_networks
from lossnets.analysis.findings.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Verdict, Word, listed
from lossnets.analysis.points import Points
from lossnets.analysis.resampling import bootstrap_interval, mean_spearman, permutation_p, sign_flip_p
from lossnets.analysis.variance import scatter_of

DRAWS = 4000
FEWEST_NETWORKS = 6
FEWEST_TASKS = 2
GENERAL = 3
"""Tasks from which on later layers may be called better in general."""
BOUND = 0.5
"""Rank correlation of accuracy and score that is a convention worth following: below it, accuracy orders
less than a quarter of the variance of ranks."""


def accuracy(fields: Sequence[Field], alpha: float) -> Verdict:
    """Higher ImageNet accuracy does not mean better downstream performance.

    Statistic: Spearman's rho of published top-1 accuracy and the score of each network's best point, mean
    over settings in a task, then over tasks. Contradicted: rho is above 0 (accuracy permuted among
    networks, the same in all settings; one-sided, alpha / 2). Supported: no such evidence, *and* the
    upper end of its bootstrap interval over networks is below 0.5, in settings in which networks do
    differ (F test of the best points' variance against that of trainings or items, alpha / settings):
    where nothing differs, accuracy has nothing to order, and a correlation near 0 says nothing. Chance
    in the scores draws rho to 0: the upper end is divided by the root of the scores' reliability
    (Spearman 1904) first.
    """
    sentence = "Higher ImageNet accuracy does not mean better downstream performance."
    rule = (
        f"contradicted: mean rank correlation of accuracy and score above 0 (permutation of networks); "
        f"supported: upper end of its interval below {BOUND} where networks do differ"
    )
    known = [(f, f.points.distinct()[0]) for f in fields]
    known = [
        (f, p.only(n for n, top1 in zip(p.networks, p.facts("top1"), strict=True) if math.isfinite(top1)))
        for f, p in known
    ]
    usable = [(f, p) for f, p in known if len(_scored(p)) >= FEWEST_NETWORKS]
    left = tuple(
        f"{f.label} ({len(_scored(p))} networks of known accuracy)" for f, p in known if (f, p) not in usable
    )
    kept, networks, small = shared_networks([(f, _scored(p)) for f, p in usable], FEWEST_NETWORKS)
    usable, left = [(f, p.only(networks)) for f, p in usable if f in kept], (*left, *small)
    tasks = by_task(kept)
    if len(tasks) < FEWEST_TASKS:
        because = (
            f"needs {FEWEST_NETWORKS} networks with published weights, whose accuracy is known, in each of "
            f"{FEWEST_TASKS} tasks; enough in {len(tasks)}{_unknown(fields)}"
        )
        return Verdict("accuracy", sentence, UNDECIDED, because, rule, left_out=left)
    return _accuracy(usable, alpha, sentence, rule, left)


def _unknown(fields: Sequence[Field]) -> str:
    found = {
        name
        for f in fields
        for name, top1 in zip(f.points.networks, f.points.facts("top1"), strict=True)
        if not math.isfinite(top1)
    }
    return f"; accuracy is not known of {listed(sorted(found))}" if found else ""


def _scored(points: Points) -> list[str]:
    return [name for name, best in zip(points.networks, points.best, strict=True) if math.isfinite(best)]


def _accuracy(
    usable: Sequence[tuple[Field, Points]], alpha: float, sentence: str, rule: str, left: tuple[str, ...]
) -> Verdict:
    whole = _correlated([p for _, p in usable], alpha)
    telling: list[tuple[Field, Points, float]] = []
    silent: list[tuple[Field, Points, float]] = []
    for item, points in usable:
        reliable, p = reliability(points)
        (telling if p <= alpha / len(usable) else silent).append((item, points, reliable))
    numbers: dict[str, object] = {"bound": BOUND} | asdict(whole)
    said = (
        f"mean rank correlation {whole.rho:+.2f} ({100 * (1 - alpha):g} % interval {whole.low:+.2f} to "
        f"{whole.high:+.2f}) over {whole.networks} networks"
    )
    word: Word = UNDECIDED
    if whole.p_above <= alpha / 2:
        word, because = CONTRADICTED, f"{said}: above 0, p = {whole.p_above:.2g}"
    elif len(by_task([f for f, _, _ in telling])) < FEWEST_TASKS:
        because = (
            f"{said}, but networks are known to differ by more than chance in {len(telling)} of "
            f"{len(usable)} settings only, too few to say that accuracy does not order them"
        )
    else:
        high = _correlated([p for _, p, _ in telling], alpha).high
        trust = float(np.mean([reliable for _, _, reliable in telling]))
        upper = high / math.sqrt(trust) if high > 0 else high
        numbers |= {"upper": upper, "reliability": trust}
        word = SUPPORTED if upper < BOUND else UNDECIDED
        where = "below" if word == SUPPORTED else "not below"
        because = f"{said}; upper end, allowing for chance in the scores, {upper:+.2f}: {where} {BOUND}"
    left += tuple(f"{f.label} (networks not told apart; not used to support)" for f, _, _ in silent)
    left += tuple(remark for _, points in usable for remark in points.remarks)
    return Verdict(
        "accuracy", sentence, word, because, rule, numbers, tuple(f.label for f, _ in usable), left
    )


@dataclass(frozen=True)
class Correlation:
    """Mean rank correlation over tasks, its interval, p of its being above 0, and networks behind it."""

    rho: float
    low: float
    high: float
    p_above: float
    networks: int


def _correlated(settings: Sequence[Points], alpha: float) -> Correlation:
    """Accuracy with score of the best point; tasks weigh the same, however many settings they have."""
    networks, scores = network_scores(settings, "best")
    values = settings[0].only(networks).facts("top1")
    tasks = [points.task for points in settings]
    weights = np.array([1 / tasks.count(task) for task in tasks])
    rho = float(mean_spearman(values, scores, weights))
    _, above, _ = permutation_p(values, scores, draws=DRAWS, seed=0, weights=weights)
    low, high = bootstrap_interval(values, scores, alpha=alpha, draws=DRAWS, seed=1, weights=weights)
    return Correlation(rho, low, high, above, len(networks))


def reliability(points: Points) -> tuple[float, float]:
    """Share of the variance of the networks' best points that is not chance, and p of its being none.

    Chance is that of trainings (`variance.scatter_of`), or of the items where nothing is trained. NaN for
    one seed, which does not tell.
    """
    from scipy import stats

    points = points.in_unit()
    best = points.best[np.isfinite(points.best)]
    scatter = scatter_of(points)[1]
    noise, df = scatter.variance, scatter.df
    if not points.trains:
        noise = float(np.mean(points.errors[np.isfinite(points.means)] ** 2))
    if len(best) < 2 or not math.isfinite(noise) or best.var() <= 0:
        return math.nan, math.nan
    spread = float(best.var(ddof=1))
    if noise <= 0:
        return 1.0, 0.0
    return max(0.0, 1 - noise / spread), float(stats.f.sf(spread / noise, len(best) - 1, df))


def later(fields: Sequence[Field], alpha: float) -> Verdict:
    """Later layers are not better in general.

    Statistic, for each task: rank correlation of score and position (early to late) over the points within
    a network, mean over its settings, then over networks; signs flipped network by network. "In general"
    falls with one counterexample. Supported: in some task later points are worse (alpha / tasks,
    one-sided half). Contradicted: in every one of at least three tasks later points are better (alpha / 2
    each; all of them together are an intersection-union test, Berger 1982).
    """
    sentence = "Later layers are not better in general."
    rule = (
        "supported: a task in which later points are worse (a counterexample); contradicted: later points "
        f"are better in every one of at least {GENERAL} tasks"
    )
    trends, left = trends_of(fields)
    if not trends:
        most = max((len(within_networks("position", [f.points.distinct()[0]])) for f in fields), default=0)
        because = (
            f"needs {FEWEST_NETWORKS} networks with three points or more in a setting; has {most} at most"
        )
        return Verdict("later", sentence, UNDECIDED, because, rule, left_out=left)
    worse = [t for t in trends if t.p_below <= alpha / 2 / len(trends)]
    better = [t for t in trends if t.p_above <= alpha / 2]
    said = listed([f"{t.task} {t.rho:+.2f}" for t in trends])
    numbers = {
        t.task: {"rho": t.rho, "p_later_worse": t.p_below, "p_later_better": t.p_above} for t in trends
    }
    word: Word = UNDECIDED
    why = "not surely worse in any task, and not surely better in every one"
    if worse:
        word, why = SUPPORTED, f"surely worse in {listed([t.task for t in worse])}"
    elif len(better) == len(trends) >= GENERAL:
        word, why = CONTRADICTED, "surely better in every task"
    elif len(better) == len(trends):
        why = f"surely better in {listed([t.task for t in better])}, but 'in general' takes {GENERAL} tasks"
    because = f"rank correlation of score and position within networks: {said}; later points are {why}"
    because += beside_study(fields, _labels(trends))
    return Verdict("later", sentence, word, because, rule, numbers, _labels(trends), left)


@dataclass(frozen=True)
class Trend:
    """How score goes with position within networks, in one task."""

    task: str
    rho: float
    p_above: float
    p_below: float
    networks: int
    settings: tuple[str, ...]


def trends_of(fields: Sequence[Field], task: str | None = None) -> tuple[list[Trend], tuple[str, ...]]:
    """Trends of the tasks (or of one) with networks enough, and what was left out.

    A network counts once in a task, by the mean over the settings that have it.
    """
    found, left = [], []
    for name, members in by_task(fields).items():
        if task not in (None, name):
            continue
        each = [(f, within_networks("position", [f.points.distinct()[0]])) for f in members]
        wide = [(f, inner) for f, inner in each if len(inner) >= FEWEST_NETWORKS]
        left += [
            f"{f.label} ({len(inner)} networks with three points or more)"
            for f, inner in each
            if (f, inner) not in wide
        ]
        if not wide:
            continue
        inner = {
            network: float(np.mean([found[network] for _, found in wide if network in found]))
            for network in dict.fromkeys(name for _, found in wide for name in found)
        }
        values = np.array(list(inner.values()))
        _, above, below = sign_flip_p(values, draws=DRAWS, seed=0)
        left += [remark for f, _ in wide for remark in f.points.remarks]
        labels = tuple(f.label for f, _ in wide)
        found.append(Trend(name, float(values.mean()), above, below, len(values), labels))
    return found, tuple(left)


def _labels(trends: Sequence[Trend]) -> tuple[str, ...]:
    return tuple(label for trend in trends for label in trend.settings)
