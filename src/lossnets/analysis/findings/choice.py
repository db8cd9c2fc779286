"""Which choice matters more: that of the network, or that of the point in it?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lossnets.analysis.findings.ground import Field, beside_study
from lossnets.analysis.findings.verdict import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Count,
    Verdict,
    Word,
    counted,
)
from lossnets.analysis.points import Points
from lossnets.analysis.variance import shares_of, two_way

FEWEST_NETWORKS = 5
FEWEST_POINTS = 2
TOLERANCE = 0.1
"""How much worse is "about as good", as a share of the distance from the best to the worst loss."""


def point(fields: Sequence[Field], alpha: float) -> Verdict:
    """The choice of extraction point matters at least as much as the choice of network.

    Statistic, for each setting: variance between networks over variance between the points of a network,
    the scatter of trainings taken out (`components.ratio_of`). A setting supports if the interval ends
    below 1, also if positions have an effect that networks share, and contradicts if it begins above 1. A
    majority of the settings must agree and none say the opposite (`verdict.Count`).
    """
    sentence = "The choice of extraction point matters at least as much as the choice of network."
    rule = (
        "variance between networks / variance between points of a network: interval below 1 supports, above "
        "1 contradicts; in most settings, and none the other way"
    )
    usable, left = _usable(fields)
    if not usable:
        return Verdict("point", sentence, UNDECIDED, _lacking(fields), rule, left_out=left)
    count = Count(len(usable))
    words, numbers, notes = [], {}, []
    for item in usable:
        shares = shares_of(item.points, count.level(alpha))
        words.append(_word(shares.verdict))
        numbers[item.label] = {"ratio": shares.ratio, "low": shares.ratio_low, "high": shares.ratio_high}
        notes += [f"{item.label}: {shares.note}"] if shares.verdict == UNDECIDED and shares.note else []
    ratios = [n["ratio"] for n in numbers.values() if math.isfinite(n["ratio"])]
    middle = f"median ratio {np.median(ratios):.2f}" if ratios else "no ratio can be computed"
    because = f"{counted(words)} ({count.needed} needed); {middle}"
    if count.word(words) == UNDECIDED and notes:
        because += f"; {notes[0]}"
    labels = tuple(item.label for item in usable)
    because += beside_study(usable, labels)
    return Verdict("point", sentence, count.word(words), because, rule, numbers, labels, left)


def _word(text: str) -> Word:
    return SUPPORTED if text == SUPPORTED else CONTRADICTED if text == CONTRADICTED else UNDECIDED


def _usable(fields: Sequence[Field]) -> tuple[list[Field], tuple[str, ...]]:
    enough = [f for f in fields if _wide(f.points) >= FEWEST_NETWORKS]
    left = tuple(
        f"{f.label} ({_wide(f.points)} networks with several points)" for f in fields if f not in enough
    )
    return enough, left + tuple(remark for f in enough for remark in f.points.remarks)


def _wide(points: Points) -> int:
    """Networks with several points."""
    return int((np.isfinite(points.means).sum(axis=1) >= FEWEST_POINTS).sum())


def _lacking(fields: Sequence[Field]) -> str:
    most = max((_wide(f.points) for f in fields), default=0)
    return f"needs {FEWEST_NETWORKS} networks with several points each in a setting; has {most} at most"


def overlap(fields: Sequence[Field], alpha: float) -> Verdict:
    """The best point of the worst network is about as good as the worst point of the best network.

    For each setting: networks ordered by the mean of their points; d = score of the worst network's best
    point - score of the best network's worst point, with the simultaneous interval of `compare_losses`,
    which holds for whatever pair is picked. "About as good" is: not worse by more than a tenth of the
    distance from the best to the worst loss; better still is support too, since the point then makes up for
    the network all the more. A setting supports if d's interval begins above minus that tolerance, and
    contradicts if it ends below it. Where networks do not differ by more than chance (F test of the
    analysis of variance), none is best or worst, and the setting says nothing. A majority of the
    settings must agree and none say the opposite.
    """
    sentence = "The best point of the worst network is about as good as the worst point of the best one."
    rule = (
        f"worse by no more than {TOLERANCE:.0%} of the distance from best to worst loss, surely: supported; "
        "worse by more, surely: contradicted; in most settings, and none the other way"
    )
    usable, left = _usable(fields)
    if not usable:
        return Verdict("overlap", sentence, UNDECIDED, _lacking(fields), rule, left_out=left)
    count = Count(len(usable))
    level = count.level(alpha)
    seen = [_overlap(item, level) for item in usable]
    words = [word for word, _, _ in seen]
    because = f"{counted(words)} ({count.needed} needed)"
    reasons = [f"{item.label}: {why}" for item, (_, why, _) in zip(usable, seen, strict=True)]
    wanted = count.word(words)
    first = next((r for r, w in zip(reasons, words, strict=True) if w == wanted), reasons[0])
    numbers = {item.label: found for item, (_, _, found) in zip(usable, seen, strict=True)}
    labels = tuple(item.label for item in usable)
    because += f"; {first}{beside_study(usable, labels)}"
    return Verdict("overlap", sentence, wanted, because, rule, numbers, labels, left)


def _overlap(item: Field, alpha: float) -> tuple[Word, str, dict[str, object]]:
    points = item.points
    order = np.argsort(np.where(np.isfinite(points.average), points.average, np.nan))
    whole = [int(i) for i in order if math.isfinite(points.average[i])]
    if len(whole) < FEWEST_NETWORKS:
        return UNDECIDED, f"{len(whole)} networks with all points", {}
    rows, _ = two_way(points.in_unit().values)
    p = rows[0]["p"]
    if not p <= alpha:
        return UNDECIDED, "networks do not differ by more than chance, so none is best or worst", {"p": p}
    worst, best = whole[0], whole[-1]
    upper = points.taps[worst][int(np.nanargmax(points.means[worst]))]
    lower = points.taps[best][int(np.nanargmin(points.means[best]))]
    low, high = item.interval(points, upper, lower, alpha)
    gap = float(np.nanmax(points.means[worst]) - np.nanmin(points.means[best]))
    margin = TOLERANCE * float(np.nanmax(points.means) - np.nanmin(points.means))
    numbers = {
        "difference": gap, "low": low, "high": high, "tolerance": margin, "best_of_worst": upper,
        "worst_of_best": lower, "p": p,
    }  # fmt: skip
    said = (
        f"best point of {points.networks[worst]} minus worst point of {points.networks[best]}: {gap:+.3g} "
        f"({low:+.3g} to {high:+.3g}, tolerance {margin:.2g})"
    )
    if math.isnan(low):
        return UNDECIDED, f"{said}: no interval", numbers
    if low >= -margin:
        return SUPPORTED, said, numbers
    return (CONTRADICTED if high < -margin else UNDECIDED), said, numbers
