"""The findings of the study, held against anybody's results: supported, contradicted, or not decidable.

Pihlgren et al., A Systematic Performance Analysis of Deep Perceptual Loss Networks (arXiv 2302.04032).
Every rule keeps the chance of "supported", and that of "contradicted", at most alpha where there is nothing
to find; that nothing was found is never taken for evidence. Findings are judged one by one: alpha is of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossnets.analysis.findings.choice import overlap, point
from lossnets.analysis.findings.conventions import accuracy, later
from lossnets.analysis.findings.ground import STUDY, fields_of
from lossnets.analysis.findings.squeezenet import squeezenet_best, squeezenet_cost
from lossnets.analysis.findings.tasks import early, late
from lossnets.analysis.findings.verdict import Verdict
from lossnets.analysis.findings.vgg import vgg, vgg16_bn
from lossnets.analysis.paired import check_alpha
from lossnets.analysis.results import Results, pandas

if TYPE_CHECKING:
    import pandas as pd

FINDINGS = (
    accuracy, later, point, overlap, vgg, vgg16_bn, squeezenet_cost, squeezenet_best, early, late,
)  # fmt: skip
VERDICT_COLUMNS = ("claim", "sentence", "word", "because", "rule", "settings", "left_out")

__all__ = ["FINDINGS", "STUDY", "VERDICT_COLUMNS", "Verdict", "verdict_table", "verdicts"]


def verdicts(results: Results, *, alpha: float = 0.05) -> list[Verdict]:
    """Results -> one verdict for each finding of the study, the two conventions first.

    Args:
        results: runs.
        alpha: chance, at most, of each word where it is not true.

    Raises:
        ConfigError: `alpha` is not between 0 and 1.
    """
    check_alpha(alpha)
    fields = fields_of(results)
    return [finding(fields, alpha) for finding in FINDINGS]


def verdict_table(results: Results, *, alpha: float = 0.05) -> pd.DataFrame:
    """Results -> `verdicts` as a frame, a row each (`VERDICT_COLUMNS`); lists are joined with semicolons."""
    rows = [
        [v.claim, v.sentence, v.word, v.because, v.rule, "; ".join(v.settings), "; ".join(v.left_out)]
        for v in verdicts(results, alpha=alpha)
    ]
    return pandas().DataFrame(rows, columns=list(VERDICT_COLUMNS))
