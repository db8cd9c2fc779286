"""The sections of the page, in reading order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lossnets.analysis import Costs, Results
from lossnets.report.parts import Note, Part, Section, attempt
from lossnets.report.patterns import claims, correlations, variances
from lossnets.report.pictures import pictures
from lossnets.report.provenance import provenance
from lossnets.report.ranking import heat_maps, ranks
from lossnets.report.tradeoff import tradeoffs


def sections(results: Results, costs: Costs | None, places: Sequence[Path], *, wanted: bool) -> list[Section]:
    """All sections; the first is drawn by the template from `summary`."""
    made = {
        "taps": lambda: heat_maps(results),
        "ranks": lambda: ranks(results),
        "cost": lambda: tradeoffs(results, costs),
        "correlations": lambda: correlations(results),
        "variance": lambda: variances(results),
        "findings": lambda: claims(results),
        "pictures": lambda: _pictures(results, places, wanted),
        "provenance": lambda: provenance(results),
    }
    return [
        Section(
            name, title, lead, attempt(made[name], title) if name in made else (),
            special=name if name not in made else "",
        )
        for name, title, lead in _TEXTS
    ]  # fmt: skip


_TEXTS = (
    ("summary", "At a glance", ""),
    (
        "leaderboard", "Leaderboard",
        "One row for each setting and loss, best first. Headings sort, the fields filter, and a loss opens "
        "the runs behind it.",
    ),
    (
        "taps", "Networks and taps",
        "Where in which network a loss works: one map for each setting, more colour is better.",
    ),
    (
        "ranks", "Ranks",
        "Which losses are told apart, and which are not: a rank is only as good as its interval is narrow.",
    ),
    (
        "cost", "Quality and cost",
        "What a loss reaches against what it takes. On the line are those that no other beats in both.",
    ),
    (
        "correlations", "Correlations",
        "Whether benchmarks agree on what is good, and what good networks and taps have in common.",
    ),
    (
        "variance", "Network or tap",
        "How much of the differences is the choice of the network, of the tap, and of chance.",
    ),
    (
        "findings", "Findings of the study",
        "Each finding of Pihlgren et al. (arXiv 2302.04032) held against these results. Not decidable means "
        "that they do not suffice, not that the finding is wrong.",
    ),
    (
        "pictures", "Pictures",
        "What models trained with different losses make of the same test image, from the best loss to the "
        "worst; with rank and mean score over the test set.",
    ),
    ("provenance", "Provenance", "The configuration, versions and hashes behind the numbers."),
    ("downloads", "Downloads", "The numbers of this page as files. Figures have their own buttons."),
)  # fmt: skip


def _pictures(results: Results, places: Sequence[Path], wanted: bool) -> Iterator[Part]:
    if wanted:
        yield from pictures(results, places)
    else:
        yield Note("Pictures were left out of this page on request.", "absent")
