"""How much of the differences between losses is the network's, the point's, and chance's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossnets.analysis.components import Ratio, Scatter, ratio_of
from lossnets.analysis.paired import check_alpha
from lossnets.analysis.points import Array, Points, points_of
from lossnets.analysis.results import Results, pandas
from lossnets.analysis.settings import Setting

if TYPE_CHECKING:
    import pandas as pd

TERMS = ("architecture", "position", "interaction", "residual")
TERM_COLUMNS = ("term", "df", "sum_sq", "F", "p", "omega_sq", "share")
VARIANCE_COLUMNS = (
    "setting", "task", *TERM_COLUMNS, "error_term", "networks", "points", "seeds", "ratio", "ratio_low",
    "ratio_high", "method", "verdict", "note",
)  # fmt: skip


@dataclass(frozen=True)
class VarianceShares:
    """Analysis of variance of one setting.

    Attributes:
        setting: label.
        task: of the setting.
        frame: one row for each of `TERMS` (`TERM_COLUMNS`): degrees of freedom, sum of squares, F, p,
            omega squared and share of the sums of squares.
        error_term: what F compares with: ``seeds`` (the scatter between trainings), ``interaction``
            where there is but one value a loss, ``none`` where nothing can be tested.
        nested: variance between networks over variance between the points of a network, with interval.
        networks: that are in.
        points: positions that are in.
        seeds: (fewest, most) values of a loss.
        verdict: on "the choice of the point matters at least as much as that of the network" here:
            ``supported``, ``contradicted`` or ``not decidable``.
        note: what is to be known of the numbers, and why nothing is decidable.
        left_out: what of the setting is not in, with the reason.
    """

    setting: str
    task: str
    frame: pd.DataFrame
    error_term: str
    nested: Ratio
    networks: tuple[str, ...]
    points: tuple[int, ...]
    seeds: tuple[int, int]
    verdict: str
    note: str
    left_out: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """var(network) / var(point within network), as estimated."""
        return self.nested.value

    @property
    def ratio_low(self) -> float:
        """Lower end of its interval."""
        return self.nested.low

    @property
    def ratio_high(self) -> float:
        """Upper end of its interval."""
        return self.nested.high

    @property
    def method(self) -> str:
        """Of the interval."""
        return self.nested.method


def variance_shares(results: Results, setting: Setting | str, *, alpha: float = 0.05) -> VarianceShares:
    """One setting -> two-way analysis of variance (network x position) and the nested ratio.

    Sums of squares are of Type II (Yates 1934; each main effect adjusted for the other), which treat
    losses that are missing without filling them in; with equal numbers they are the usual ones. Omega
    squared is (SS - df MSE) / (SS total + MSE), at least 0 (Hays 1963; Olejnik and Algina 2003). Where
    every loss has one value, the interaction is the error term: F then asks whether networks differ by
    more than networks and points do together. The ratio answers whether the choice of a point within a
    network matters as much as the choice of the network (`components.ratio_of`).

    Args:
        results: runs.
        setting: one of `Results.settings`, or its label.
        alpha: 1 - coverage of the ratio's interval, and level of the verdict.

    Raises:
        ConfigError: `alpha` is not between 0 and 1.
        UnknownNameError: these results have no such setting.
    """
    check_alpha(alpha)
    return shares_of(points_of(results, results.setting(setting)), alpha)


def shares_of(points: Points, alpha: float) -> VarianceShares:
    """`variance_shares` of a setting's array."""
    square = np.float64(points.unit) ** 2 if 1e-150 < points.unit < 1e150 else np.float64(math.nan)
    points = points.in_unit()
    rows, error_term = two_way(points.values)
    rows = [row | {"sum_sq": row["sum_sq"] * square} for row in rows]
    means, scatter, remark = scatter_of(points)
    ratio = ratio_of(means, scatter, alpha=alpha)
    verdict, why = _judge(points, ratio, scatter)
    notes = [
        why,
        remark,
        "F against the interaction: one value a loss" if error_term == "interaction" else "",
    ]
    counts = points.counts[points.counts > 0]
    return VarianceShares(
        points.label,
        points.task,
        pandas().DataFrame(rows, columns=list(TERM_COLUMNS)),
        error_term,
        ratio,
        points.networks,
        points.positions,
        (int(counts.min(initial=0) if not len(counts) else counts.min()), int(counts.max(initial=0))),
        verdict,
        "; ".join(note for note in [*notes, *points.gaps] if note),
        points.left_out,
    )


def two_way(values: Array) -> tuple[list[dict[str, Any]], str]:
    """(networks, positions, seeds) with NaN for what is not there -> rows of `TERMS`, and the error term."""
    counts = np.isfinite(values).sum(axis=2)
    cells = counts > 0
    if not cells.any():
        return [_row(term, 0, math.nan, math.nan, math.nan, math.nan) for term in TERMS], "none"
    weights = counts[cells].astype(float)
    means = np.nansum(values, axis=2)[cells] / weights
    rows, columns = (np.eye(n)[index] for n, index in zip(cells.shape, np.nonzero(cells), strict=True))
    row_only, column_only = _fit(rows, means, weights), _fit(columns, means, weights)
    both = _fit(np.hstack([rows, columns]), means, weights)
    inside = float(np.nansum((values - _spread(means, cells)[..., None]) ** 2))
    sums = (column_only[0] - both[0], row_only[0] - both[0], both[0], inside)
    dfs = (
        both[1] - column_only[1],
        both[1] - row_only[1],
        len(means) - both[1],
        int(counts.sum()) - len(means),
    )
    total = _fit(np.ones((len(means), 1)), means, weights)[0] + inside
    return _rows([max(0.0, s) for s in sums], dfs, total)


def _rows(sums: list[float], dfs: tuple[int, ...], total: float) -> tuple[list[dict[str, Any]], str]:
    from scipy import stats

    error = next((i for i in (3, 2) if dfs[i] > 0), None)
    noise = sums[error] / dfs[error] if error is not None else math.nan
    testable = error is not None and noise > 1e-20 * max(total, 1e-300)
    shown = sum(sums)
    rows = []
    for i, term in enumerate(TERMS):
        share = sums[i] / shown if shown > 0 else math.nan
        f = p = omega = math.nan
        if testable and error is not None and i < error and dfs[i] > 0:
            f = sums[i] / dfs[i] / noise
            p = float(stats.f.sf(f, dfs[i], dfs[error]))
            omega = max(0.0, (sums[i] - dfs[i] * noise) / (total + noise))
        rows.append(_row(term, dfs[i], sums[i], f, p, omega, share))
    return rows, "none" if not testable else ("interaction" if error == 2 else "seeds")


def _row(
    term: str, df: int, sum_sq: float, f: float, p: float, omega: float, share: float = math.nan
) -> dict[str, Any]:
    return dict(zip(TERM_COLUMNS, (term, df, sum_sq, f, p, omega, share), strict=True))


def _fit(design: Array, means: Array, weights: Array) -> tuple[float, int]:
    """Weighted residual sum of squares and rank of a linear model of cell means."""
    root = np.sqrt(weights)
    scaled = design * root[:, None]
    solution, _, rank, _ = np.linalg.lstsq(scaled, means * root, rcond=None)
    return float((((means - design @ solution) * root) ** 2).sum()), int(rank)


def _spread(means: Array, cells: NDArray[np.bool_]) -> Array:
    full = np.full(cells.shape, np.nan)
    full[cells] = means
    return full


def scatter_of(points: Points) -> tuple[Array, Scatter, str]:
    """Means of the losses, what trainings add to their variance, and a remark on the seeds.

    Seeds that every loss has are blocks: what a seed does to all losses alike is no scatter. Where the
    losses have fewer than two seeds in common, all seeds count, and the numbers are unequal.
    """
    counts, present = points.counts, points.counts > 0
    if not points.trains:
        return points.means, Scatter(0.0), "nothing is trained: the numbers are about these images"
    if not present.any():
        return points.means, Scatter(math.nan), ""
    if counts.max(initial=0) < 2:
        return points.means, Scatter(math.nan), "one seed: the scatter between trainings is unknown"
    common = np.isfinite(points.values[present]).all(axis=0)
    if common.sum() >= 2:
        kept = points.values[:, :, common]
        table = kept[present]
        rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
        df = (table.shape[0] - 1) * (table.shape[1] - 1)
        if df == 0:
            return (
                kept.mean(axis=2),
                Scatter(math.nan),
                "a single loss: its scatter and that of seeds are one",
            )
        dropped = int((~common).sum())
        remark = f"ratio without {dropped} seeds that some losses lack" if dropped else ""
        return kept.mean(axis=2), Scatter(float((rest**2).sum() / df / table.shape[1]), df), remark
    return _unequal(points)


def _unequal(points: Points) -> tuple[Array, Scatter, str]:
    """Losses with different seeds: means and scatter of the additive model loss + seed, by least squares.

    Without the seeds in the model, a loss that lacks a good seed would look bad. Intra-block analysis of
    Yates (1940): normal equations of the seeds, the losses swept out.
    """
    present = points.counts > 0
    table = points.values[present]
    there = np.isfinite(table)
    counts = there.sum(axis=1)
    centred = np.where(there, table - points.means[present][:, None], 0.0)
    share = there / counts[:, None]
    normal = np.diag(there.sum(axis=0).astype(float)) - there.T @ share
    seeds = np.linalg.pinv(normal, hermitian=True) @ centred.sum(axis=0)
    adjusted = points.means[present] - share @ seeds
    rest = np.where(there, table - adjusted[:, None] - seeds, 0.0)
    df = int(there.sum()) - len(table) - int(np.linalg.matrix_rank(normal, hermitian=True))
    remark = "losses have different seeds: adjusted for what a seed does to all"
    means = _spread(adjusted, present)
    if df < 1:
        return means, Scatter(math.nan), f"{remark}; too few to know the scatter between trainings"
    variance = float((rest**2).sum()) / df * float(np.mean(1 / counts))
    return means, Scatter(variance, df, equal=False), remark


def _judge(points: Points, ratio: Ratio, scatter: Scatter) -> tuple[str, str]:
    """Word and reason: supported below 1 whatever positions share, contradicted above 1."""
    if math.isnan(ratio.low):
        few = f"{ratio.networks} networks with {len(points.positions)} points"
        if not points.networks and points.left_out:
            reasons = dict.fromkeys(text.rpartition(" (")[2].removesuffix(")") for text in points.left_out)
            few += f"; the losses are left out ({', '.join(reasons)})"
        return "not decidable", f"no interval from {few}"
    if ratio.low > 1:
        return "contradicted", ""
    if ratio.shared <= 1:
        return "supported", ""
    if math.isnan(scatter.variance):
        return "not decidable", "with one seed, differences between points may be chance"
    return (
        "not decidable",
        "the interval has 1 in it" if ratio.high > 1 else "the interval ends too close to 1",
    )


def variance_table(results: Results, *, alpha: float = 0.05) -> pd.DataFrame:
    """Results -> four rows for each setting (`VARIANCE_COLUMNS`); the ratio stands in each of them."""
    rows = []
    for setting in results.settings:
        found = variance_shares(results, setting, alpha=alpha)
        low, high = found.seeds
        tail = {
            "error_term": found.error_term, "networks": len(found.networks), "points": len(found.points),
            "seeds": str(low) if low == high else f"{low} to {high}", "ratio": found.ratio,
            "ratio_low": found.ratio_low, "ratio_high": found.ratio_high, "method": found.method,
            "verdict": found.verdict, "note": found.note,
        }  # fmt: skip
        head = {"setting": found.setting, "task": found.task}
        rows += [head | row | tail for row in found.frame.to_dict("records")]
    return pandas().DataFrame(rows, columns=list(VARIANCE_COLUMNS))
