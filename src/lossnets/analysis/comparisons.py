"""Which losses are told apart by their scores: pairs within a setting, with all pairs allowed for."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from lossnets.analysis.critical import Critical, compare_over_settings
from lossnets.analysis.paired import VARIANCES, Array, Pairs, Variances, check_alpha, holm, seed_pairs
from lossnets.analysis.results import Results, pandas
from lossnets.analysis.settings import Setting
from lossnets.errors import ConfigError, unknown_name
from lossnets.runs.records import ScoreRecord

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PAIR_COLUMNS", "Critical", "check_alpha", "compare_losses", "compare_over_settings"]

PAIR_COLUMNS = (
    "better", "worse", "difference", "low", "high", "p", "p_adjusted", "significant", "basis", "n", "note",
)  # fmt: skip
NORMAL_95 = 1.959964
_ONE_SEED = "one seed: the scatter between trainings is unknown"
_NO_COMMON = "no common seed: means over different seeds, the scatter between trainings is unknown"
_NO_SCATTER = "the difference is the same with every seed: no scatter to test against"
_NO_INTERVAL = "no interval over items: not decidable"


def compare_losses(
    results: Results,
    setting: Setting | str,
    *,
    score: str | None = None,
    losses: Collection[str] | None = None,
    alpha: float = 0.05,
    variances: Variances = "moderated",
) -> pd.DataFrame:
    """All pairs of losses of a setting -> one row each (`PAIR_COLUMNS`), the best losses' pairs first.

    ``difference`` (0 or more, in the score's unit) is better minus worse; ``low`` and ``high`` are a
    simultaneous interval for it: with probability 1 - alpha **all** hold. ``p`` is of the pair alone,
    ``p_adjusted`` allows for all pairs of the setting, ``significant`` is ``p_adjusted < alpha``. All of it
    is about this setting: of other data it says nothing (`compare_over_settings`). What speaks for a row is
    its ``basis``:

    - ``seeds``: trained settings, pairs with two or more common seeds (``n`` of them). Losses are compared
      within seeds (randomised blocks). Scatter between trainings is estimated as `variances` says.
    - ``one seed``: trained, and fewer than two common seeds. The difference is shown and nothing is tested.
    - ``items``: settings without chance (similarity of ready networks). Each score's error is read off its
      95 % interval over ``n`` items, and the two are taken as independent. They are of the same items, whose
      errors go together, so this errs on the side of finding too little. Holm's adjustment.

    Args:
        results: runs.
        setting: one of `Results.settings`, or its label.
        score: name; the headline by default.
        losses: only these, as `Results.table` names them: fewer pairs to allow for. All by default.
        alpha: probability, at most, of calling any equal pair different (family-wise error rate).
        variances: how scatter between seeds is estimated.

            - ``moderated`` (Smyth 2004): each pair's own variance, drawn towards that of all pairs as far as
              the pairs are alike, never below its own; t tests, Holm's adjustment, Bonferroni intervals.
              Of simulated settings without any difference (8 and 24 losses, standard deviations spread by
              a factor of 1 to 2.7, or a quarter of them tripled; alpha 5 %) 2 to 7 % had one found with
              three seeds and more, up to 11 % with two; up to 14 % with two or three seeds where a single
              loss scattered five times as much as all others.
            - ``pooled``: one variance for all losses, Tukey's studentised range (Tukey 1953). The most
              powerful with few seeds, but only where every loss trains equally steadily: where standard
              deviations scatter by a factor of 2 to 3 it finds differences in 10 to 40 % of settings that
              have none.
            - ``separate``: each pair's own variance only. Needs no such assumption, and some ten seeds.

    Returns:
        A frame; ``attrs`` has ``setting``, ``score``, ``unit``, ``alpha``, ``variances``, and ``left_out``:
        the losses without a value. No row where fewer than two losses have values. Where Holm's adjustment
        (Scand. J. Statist. 6, 1979) finds a pair that its one-step interval does not, ``low`` is 0.

    Raises:
        ConfigError: `alpha` or `variances` is not allowed.
        DataError: the setting has no score of that name.
        UnknownNameError: no setting has that label, or the setting has no such loss.
    """
    _check(alpha, variances)
    where = results.setting(setting)
    losses = [losses] if isinstance(losses, str) else losses
    measure = results.measure(where, score)
    if measure is None and score is None:
        return _framed([], {"setting": results.labels.get(where, where.label), "left_out": ()})
    scored = results.scored(where, score)
    for name in losses or ():
        if name not in scored:
            raise unknown_name(f"loss in {results.labels[where]}", name, scored)
    runs = {
        name: {seed: found for seed, found in seeds.items() if found.value is not None}
        for name, seeds in scored.items()
        if losses is None or name in losses
    }
    assert measure is not None  # noqa: S101  (`scored` raised otherwise)
    attrs = {
        "setting": results.labels[where], "score": measure.score, "unit": measure.unit, "alpha": alpha,
        "variances": variances if where.trains else "", "left_out": tuple(n for n in runs if not runs[n]),
    }  # fmt: skip
    sign = 1.0 if measure.higher_is_better else -1.0
    kept = _best_first({name: seeds for name, seeds in runs.items() if seeds}, sign)
    make = _by_seeds if where.trains else _by_items
    rows = make(kept, sign, alpha, variances) if len(kept) > 1 else []
    return _framed(rows, attrs)


_Runs = Mapping[str, Mapping[int, ScoreRecord]]
_Rows = list[tuple[object, ...]]


def _check(alpha: float, variances: str) -> None:
    check_alpha(alpha)
    if variances not in VARIANCES:
        raise ConfigError(f"variances must be one of {', '.join(VARIANCES)}; got {variances!r}.")


def _framed(rows: _Rows, attrs: dict[str, object]) -> pd.DataFrame:
    frame = pandas().DataFrame(rows, columns=list(PAIR_COLUMNS))
    frame.attrs.update(attrs)
    return frame


def _best_first(runs: dict[str, dict[int, ScoreRecord]], sign: float) -> dict[str, dict[int, ScoreRecord]]:
    return dict(sorted(runs.items(), key=lambda pair: -sign * _mean(pair[1])))


def _mean(seeds: Mapping[int, ScoreRecord]) -> float:
    return sum(score.value or 0.0 for score in seeds.values()) / len(seeds)


def _by_seeds(runs: _Runs, sign: float, alpha: float, variances: Variances) -> _Rows:
    seeds = sorted({seed for found in runs.values() for seed in found})
    values = np.full((len(runs), len(seeds)), np.nan)
    for row, found in enumerate(runs.values()):
        for seed, score in found.items():
            values[row, seeds.index(seed)] = np.nan if score.value is None else sign * score.value
    pairs = seed_pairs(values, variances, alpha)
    means = np.nanmean(values, axis=1)
    difference = np.where(pairs.n > 0, pairs.difference, means[pairs.first] - means[pairs.second])
    notes = _seed_notes(list(runs), seeds, ~np.isnan(values), pairs)
    basis = np.where(pairs.n > 1, "seeds", "one seed").tolist()
    return _rows(list(runs), pairs, difference, basis, notes, alpha, variances != "pooled")


def _seed_notes(names: list[str], seeds: list[int], there: Array, pairs: Pairs) -> list[str]:
    held = [frozenset(np.flatnonzero(row).tolist()) for row in there]
    notes = []
    for first, second, n, p in zip(pairs.first, pairs.second, pairs.n, pairs.p, strict=True):
        parts = []
        if n < 2:
            parts.append(_ONE_SEED if n else _NO_COMMON)
        elif math.isnan(p):
            parts.append(_NO_SCATTER)
        if n and held[first] != held[second]:
            sides = ((names[first], held[first] - held[second]), (names[second], held[second] - held[first]))
            parts += [
                f"left out: seed {', '.join(str(seeds[i]) for i in sorted(extra))} of {name}"
                for name, extra in sides
                if extra
            ]
        notes.append("; ".join(parts))
    return notes


def _by_items(runs: _Runs, sign: float, alpha: float, _: Variances) -> _Rows:
    from scipy import stats

    scores = [next(iter(found.values())) for found in runs.values()]
    values = np.array([np.nan if score.value is None else sign * score.value for score in scores])
    errors = np.array([_error(score) for score in scores])
    first, second = np.triu_indices(len(scores), 1)
    error = np.hypot(errors[first], errors[second])
    error[~(error > 0)] = np.nan
    difference = values[first] - values[second]
    p = 2 * stats.norm.sf(np.abs(difference) / error)
    count = max(int(np.isfinite(error).sum()), 1)
    half = stats.norm.isf(alpha / 2 / count) * error
    items = np.array([score.n for score in scores])
    n = np.minimum(items[first], items[second])
    pairs = Pairs(first, second, difference, half, p, holm(p), n)
    notes = ["" if np.isfinite(one) else _NO_INTERVAL for one in error]
    return _rows(list(runs), pairs, difference, ["items"] * len(n), notes, alpha, True)


def _error(score: ScoreRecord) -> float:
    """Standard error by the 95 % interval; NaN without one."""
    if score.low is None or score.high is None:
        return math.nan
    return (score.high - score.low) / (2 * NORMAL_95)


def _rows(
    names: list[str],
    pairs: Pairs,
    difference: Array,
    basis: list[str],
    notes: list[str],
    alpha: float,
    clip: bool,
) -> _Rows:
    turned = difference < 0
    better = np.where(turned, pairs.second, pairs.first)
    worse = np.where(turned, pairs.first, pairs.second)
    gap = np.abs(difference)
    significant = pairs.adjusted < alpha
    low = gap - pairs.half
    low = np.where(clip & significant, np.maximum(low, 0.0), low)
    high = gap + pairs.half
    return [
        (names[b], names[w], g, lo, hi, p, adjusted, bool(s), base, count, note)
        for b, w, g, lo, hi, p, adjusted, s, base, count, note in zip(
            better, worse, gap.tolist(), low.tolist(), high.tolist(), pairs.p.tolist(),
            pairs.adjusted.tolist(), significant, basis, pairs.n.tolist(), notes, strict=True,
        )
    ]  # fmt: skip
