"""Which points suit which task: early ones super-resolution, late ones autoencoding."""

from __future__ import annotations

from collections.abc import Sequence

from lossnets.analysis.findings.conventions import FEWEST_NETWORKS, trends_of
from lossnets.analysis.findings.ground import Field, beside_study
from lossnets.analysis.findings.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Verdict, Word

EARLY_TASK, LATE_TASK = "super-resolution", "autoencoding"


def early(fields: Sequence[Field], alpha: float) -> Verdict:
    """Early points suit super-resolution.

    Statistic: rank correlation of score and position within networks, mean over the task's settings, then
    over networks (`conventions.trends_of`). Supported: below 0; contradicted: above 0 (signs flipped
    network by network, one-sided, alpha / 2 each).
    """
    return _suits("early", "Early points suit super-resolution.", EARLY_TASK, -1, fields, alpha)


def late(fields: Sequence[Field], alpha: float) -> Verdict:
    """Late points suit autoencoding.

    As `early`, the other way round.
    """
    return _suits("late", "Late points suit autoencoding.", LATE_TASK, 1, fields, alpha)


def _suits(
    claim: str, sentence: str, task: str, direction: int, fields: Sequence[Field], alpha: float
) -> Verdict:
    rule = (
        f"in {task}, rank correlation of score and position within networks: supported "
        f"{'above' if direction > 0 else 'below'} 0, contradicted {'below' if direction > 0 else 'above'} 0"
    )
    trends, left = trends_of(fields, task)
    if not trends:
        have = "; ".join(left) or "no results"
        because = (
            f"needs {FEWEST_NETWORKS} networks with three points or more in a setting of {task}; has {have}"
        )
        return Verdict(claim, sentence, UNDECIDED, because, rule, left_out=left)
    trend = trends[0]
    agrees, against = (trend.p_above, trend.p_below) if direction > 0 else (trend.p_below, trend.p_above)
    word: Word = SUPPORTED if agrees <= alpha / 2 else CONTRADICTED if against <= alpha / 2 else UNDECIDED
    p = against if word == CONTRADICTED else agrees
    because = (
        f"mean rank correlation of score and position {trend.rho:+.2f} over {trend.networks} networks, "
        f"p = {p:.2g}"
    )
    if word == UNDECIDED:
        because += ": may be chance"
    because += beside_study(fields, trend.settings)
    numbers = {"rho": trend.rho, "p_supported": agrees, "p_contradicted": against, "networks": trend.networks}
    return Verdict(claim, sentence, word, because, rule, numbers, trend.settings, left)
