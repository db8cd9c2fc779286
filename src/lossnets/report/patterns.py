"""What goes with quality: agreement of benchmarks, attributes of networks, shares of variance, verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lossnets.analysis import Results, agreement, attribute_correlations, variance_table, verdicts
from lossnets.report.drawings import figure, table, text
from lossnets.report.parts import Claim, Note, Part, attempt, counted, interval, number, sentence


def correlations(results: Results) -> Iterator[Part]:
    """Rank correlation between every two settings, and Kendall's W over tasks."""
    yield from attempt(lambda: _agreement(results), "The agreement of benchmarks")
    yield from attempt(lambda: _attributes(results), "The correlations with attributes")


def _agreement(results: Results) -> Iterator[Part]:
    found = agreement(results)
    tasks = ", ".join(found.tasks)
    if found.decidable:
        p = number(found.p, 2)
        yield Note(
            f"Agreement of the tasks ({tasks}): Kendall's W = {number(found.w, 2)} (0 none, 1 full; p = {p} "
            f"for no agreement), of {counted(len(found.contenders), 'contender')} with a value in every "
            "setting."
        )
    else:
        yield Note(f"Agreement of the tasks: {found.note}.", "absent")
    if len(found.matrix) < 2:
        yield Note("Correlations between settings need two settings.", "absent")
        return
    if int(found.matrix.notna().to_numpy().sum()) <= len(found.matrix):
        yield Note("No two settings share three contenders: there are no correlations to show.", "absent")
        return
    from lossnets.analysis.figures import correlation_figure

    yield figure(
        "correlations",
        "Spearman's rank correlation of settings: do losses that are good in one do well in the other? Each "
        "pair over the contenders that both have.",
        lambda theme: correlation_figure(found.matrix, counts=found.counts, theme=theme),
    )


def _attributes(results: Results) -> Iterator[Part]:
    frame = attribute_correlations(results)
    if not len(frame) or not frame["rho"].notna().any():
        yield Note(
            "Correlations with attributes of networks and taps need at least three networks with a value "
            "in a setting.",
            "absent",
        )
        return
    from lossnets.analysis.figures import attribute_figure

    yield figure(
        "attributes",
        "Rank correlation of quality (more is better) with attributes of networks, and of points within a "
        "network. Bars are bootstrap intervals over networks, 95 %.",
        lambda theme: attribute_figure(frame, level="task", theme=theme),
    )
    shown = frame.assign(
        interval=[interval(low, high, 2) for low, high in zip(frame["low"], frame["high"], strict=True)]
    )
    columns = {
        "attribute": "Attribute", "setting": "Setting or task", "rho": "Spearman's rho",
        "interval": "95 % interval", "p_adjusted": "p (Holm)", "n": "Networks", "unit": "Unit",
        "note": "Note",
    }  # fmt: skip
    yield table(
        "Correlations with attributes, by setting and by task.", shown, columns,
        numeric=("rho", "interval", "p_adjusted", "n"), digits=2, folded=True,
    )  # fmt: skip


def variances(results: Results) -> Iterator[Part]:
    """Shares of the network, the position, both together, and chance; the nested ratio in words."""
    frame = variance_table(results)
    known = frame[frame["share"].notna()] if len(frame) else frame
    if not len(known):
        yield Note(
            "Shares of variance need at least two networks with two points each in a setting.", "absent"
        )
        return
    from lossnets.analysis.figures import variance_figure

    yield figure(
        "variance",
        "Shares of the differences between losses: the network, the position of the tap, what only their "
        "combination explains, and the rest (scatter between seeds).",
        lambda theme: variance_figure(frame, theme=theme),
    )
    yield _ratios(frame)
    columns = {
        "term": "Source", "setting": "Setting", "df": "df", "sum_sq": "Sum of squares", "F": "F", "p": "p",
        "omega_sq": "Omega squared", "share": "Share", "error_term": "F against",
    }  # fmt: skip
    numbers = ("df", "sum_sq", "F", "p", "omega_sq", "share")
    yield table("Analysis of variance.", frame, columns, numeric=numbers, folded=True)


def _ratios(frame: Any) -> Part:
    each = frame.drop_duplicates("setting")
    each = each.assign(
        interval=[interval(*ends) for ends in zip(each["ratio_low"], each["ratio_high"], strict=True)]
    )
    columns = {
        "setting": "Setting", "networks": "Networks", "points": "Points", "seeds": "Seeds",
        "ratio": "Network / point", "interval": "95 % interval", "verdict": "Point matters as much",
        "note": "Note",
    }  # fmt: skip
    return table(
        "Variance between networks over variance between the points of a network: below 1, the choice of the "
        "point matters more.",
        each, columns, numeric=("networks", "points", "ratio", "interval"),
    )  # fmt: skip


def claims(results: Results) -> Iterator[Part]:
    """The study's findings, each with its word, its reason, its rule and its numbers."""
    found = verdicts(results)
    counts = {
        word: sum(v.word == word for v in found) for word in ("supported", "contradicted", "not decidable")
    }
    yield Note("; ".join(f"{word}: {count}" for word, count in counts.items()) + ".")
    for verdict in found:
        numbers = [(name.replace("_", " "), text(value)) for name, value in verdict.numbers.items()]
        if verdict.settings:
            numbers.append(("settings", "; ".join(verdict.settings)))
        if verdict.left_out:
            numbers.append(("left out", "; ".join(verdict.left_out)))
        yield Claim(
            verdict.word, verdict.sentence, sentence(verdict.because), sentence(verdict.rule), numbers
        )
