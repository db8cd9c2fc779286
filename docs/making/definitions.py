"""Tables of definitions.md: scores, rules, words."""

from __future__ import annotations

from lossnets.analysis import TASKS
from lossnets.benchmarks import ScoreKind, benchmark_class, benchmark_names
from making.tables import results, rows_of, table


def scores_of(task: str) -> str:
    """All scores of the benchmarks of a task: name, kinds of data that have it, unit, direction, meaning."""
    found: dict[ScoreKind, list[str]] = {}
    for name in benchmark_names():
        if name.startswith(f"{task}-"):
            for kind in benchmark_class(name).scores:
                found.setdefault(kind, []).append(name.removeprefix(f"{task}-"))
    kinds = {tuple(names) for names in found.values()}
    rows = []
    for kind, names in found.items():
        better = "higher" if kind.higher_is_better else "lower"
        where = [", ".join(names)] if len(kinds) > 1 else []
        rows.append([f"`{kind.name}`", *where, kind.unit, better, kind.meaning])
    of = ["kind of data"] if len(kinds) > 1 else []
    return rows_of(["score", *of, "unit", "better", "meaning"], rows)


for _task in TASKS:
    table(f"scores-{_task}")(lambda task=_task: scores_of(task))


@table("verdict-rules")
def verdict_rules() -> str:
    """The study's findings, and what would support or contradict each."""
    from lossnets.analysis.findings import verdicts

    return rows_of(["finding", "rule"], [[v.sentence, v.rule] for v in verdicts(results())])


@table("confidence")
def confidence() -> str:
    """Words of certainty, and when each is used."""
    from lossnets.analysis.recommendation import RULES

    return rows_of(["confidence", "means"], [[f"*{word}*", rule] for word, rule in RULES.items()])
