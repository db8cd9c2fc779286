"""The verdict of a judgement: one sentence, by a rule that is written down, and the reasons for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lossnets.judging.records import plain
from lossnets.judging.stability import DivergedRow
from lossnets.judging.standings import ABOVE, BELOW, Standing, Standings

PGN, TRUNCATED, TRUE = "pgn", "truncated", "true"
"""What a verdict advises: the gradient network, the truncated loss that it names, or the true loss."""

ENOUGH, SURE = 0.5, 0.3
"""Gap closed that is enough, and what its 95% interval must lie above, on every generator."""

FEW = 8
"""Images below which a bootstrap interval is too narrow to be trusted."""

LONG = 10_000
"""Steps of a fit over which a gradient network is called stable without reserve (Nikulin et al. 2021)."""

RULE = (
    f"A gradient is enough when, on every generator where there is a gap to close, it closes {ENOUGH:g} of "
    f"it or more with the 95% interval above {SURE:g}, no fit diverged, and it takes less time than the true "
    "loss's. A gradient network must also not have diverged on any image of the stability test, and must not "
    "lie below the line of the plain rivals at its cost. The advice is the gradient network where it is "
    "enough and lies above that line; else the loss truncated after its first taps, where one is enough (of "
    "those whose interval reaches that of the best, the one with fewest taps); else the gradient network, "
    "where it is enough and on the line; else the true loss. Ties go to the simpler. Advice other than the "
    f"true loss is provisional where fewer than {FEW} images or one seed were judged; that of a gradient "
    f"network also where its stability was tested over fewer than {LONG:,} steps."
)
"""The rule in words; the code of `verdict` is the same rule."""


@dataclass(frozen=True)
class Verdict:
    """What to use, and why.

    Attributes:
        word: ``pgn``, ``truncated`` or ``true``.
        sentence: the advice in one sentence.
        paste: an expression for the advised loss, for Python.
        key: of the advised rival.
        reasons: sentences.
        rule: how it was decided.
        provisional: what is lacking for advice without reserve; empty where nothing is.
    """

    word: str
    sentence: str
    paste: str
    key: str
    reasons: tuple[str, ...]
    rule: str = RULE
    provisional: tuple[str, ...] = ()

    def with_evidence(self, images: int, seeds: int, steps: int) -> Verdict:
        """The verdict with its reserve, in the sentence too.

        Args:
            images: that were judged.
            seeds: of the fits.
            steps: of the stability test.
        """
        if self.word == TRUE:
            return self
        lacking = [f"only {images} image{'' if images == 1 else 's'}"] if images < FEW else []
        lacking += ["one seed"] if seeds < 2 else []
        lacking += [f"stability over {steps:,} steps only"] if self.word == PGN and steps < LONG else []
        if not lacking:
            return self
        sentence = f"{self.sentence} This is provisional: {', '.join(lacking)}."
        return replace(self, sentence=sentence, provisional=tuple(lacking))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def verdict(found: Standings, stability: Mapping[str, DivergedRow]) -> Verdict:
    """Which loss to use, by the `RULE`.

    Args:
        found: where every rival stands.
        stability: rival -> what became of its long fits (`worst_rows`); a gradient network that is not
            among them cannot be advised.
    """
    true = _row(found, "true")
    if not found.generators:
        why = "; ".join(f"{kind}: {note}" for kind, note in found.undefined.items()) or "nothing was fitted"
        return Verdict(
            TRUE, "Use the true loss: whether anything comes near it cannot be told from these fits: in them "
            "it is not measurably better than MSE.", true.python, true.key, (why,),
        )  # fmt: skip
    networks = [row for row in found.rows if row.letter in ("b", "d")]
    faults = {row.key: _faults(row) + _unstable(stability.get(row.key)) for row in networks}
    for row in networks:
        if row.place == BELOW:
            faults[row.key].append(f"closes {-row.over:.2g} less than plain rivals of its cost")
    network = next((row for row in networks if not faults[row.key]), None)
    truncated = _truncated(found)
    reasons = tuple(_reasons(found, networks, faults, truncated, stability))
    if network is not None and (network.place == ABOVE or truncated is None):
        return Verdict(PGN, _network_sentence(network), network.python, network.key, reasons)
    if truncated is not None:
        sentence = _truncated_sentence(truncated, network or (networks[0] if networks else None))
        return Verdict(TRUNCATED, sentence, truncated.python, truncated.key, reasons)
    return Verdict(
        TRUE, f"Use the true loss, {true.python}: neither the gradient network nor the loss truncated after "
        "its first taps is good enough in its place.", true.python, true.key, reasons,
    )  # fmt: skip


def _row(found: Standings, key: str) -> Standing:
    row = found.of(key)
    assert row is not None  # noqa: S101 - the true loss and MSE always take part
    return row


def _truncated(found: Standings) -> Standing | None:
    """Of the truncated losses that are enough, the one with fewest taps that none of them surely beats."""
    enough = [row for row in found.rows if row.letter == "e" and not _faults(row)]
    best = max(enough, key=lambda row: row.gap, default=None)
    if best is None:
        return None
    return next(row for row in sorted(enough, key=lambda r: r.cost) if row.high >= best.low)


def _faults(row: Standing) -> list[str]:
    """Why a gradient is not enough; empty where it is."""
    found = []
    for kind, (value, low, high) in row.by_generator.items():
        if not (value >= ENOUGH and low > SURE):
            found.append(f"closes {span(value, low, high)} of the gap on the {kind}")
    if not row.by_generator:
        found.append("has no gap closed that is known")
    if row.diverged:
        found.append(f"diverged in {row.diverged} of {row.fits} fits")
    if not row.cost_high < 1:
        known = row.cost_high == row.cost_high  # NaN: not timed
        found.append(f"takes {row.cost:.2g} of the true loss's time" if known else "has no measured cost")
    return found


def _unstable(row: DivergedRow | None) -> list[str]:
    if row is None:
        return ["was not tested for stability"]
    if row.diverged:
        return [f"diverged on {row.diverged} of {row.images} images within {row.steps:,} steps"]
    return []


def worst_rows(rows: Iterable[DivergedRow]) -> dict[str, DivergedRow]:
    """Of each rival the row of the generator on which most of its images diverged."""
    worst: dict[str, DivergedRow] = {}
    for row in rows:
        if row.rival not in worst or row.share > worst[row.rival].share:
            worst[row.rival] = row
    return worst


def _network_sentence(row: Standing) -> str:
    over = f"{row.over:.2g} more than" if row.over == row.over else "which no"
    tail = (
        f"{over} the plain rivals at that cost" if row.over == row.over else "cheaper than every plain rival"
    )
    if row.place != ABOVE:
        tail = "as much as the plain rivals at that cost"
    return f"Use the PGN, {row.python}: it closes {_worth(row)}, {tail}."


def _truncated_sentence(row: Standing, network: Standing | None) -> str:
    against = f"; the PGN closes {_worth(network)}" if network is not None else ""
    return f"Use the truncated loss, {row.python}: it closes {_worth(row)}{against}."


def _worth(row: Standing) -> str:
    return f"{span(row.gap, row.low, row.high)} of the gap at {row.cost:.2g} of the true loss's time"


def span(value: float, low: float, high: float) -> str:
    """A value with its interval.

    >>> span(0.512, 0.4, 0.6), span(0.5, float("nan"), float("nan"))
    ('0.51 [0.40, 0.60]', '0.50 (no interval)')
    """
    if value != value:
        return "an unknown share"
    return f"{value:.2f} [{low:.2f}, {high:.2f}]" if low == low else f"{value:.2f} (no interval)"


def _reasons(
    found: Standings,
    networks: Sequence[Standing],
    faults: dict[str, list[str]],
    truncated: Standing | None,
    stability: Mapping[str, DivergedRow],
) -> list[str]:
    texts = []
    for row in networks:
        why = "; ".join(faults[row.key])
        place = f" It lies {row.place} the line of the plain rivals." if row.place else ""
        name = "The PGN" if row.letter == "b" else row.title
        texts.append(f"{name} is {f'not enough: it {why}' if why else 'enough'}.{place}")
    if truncated is None:
        cuts = [row for row in found.rows if row.letter == "e"]
        texts += [f"{row.title[:1].upper()}{row.title[1:]}: it {'; '.join(_faults(row))}." for row in cuts]
        texts += [] if cuts else ["The true loss cannot be truncated: it has no taps to leave out."]
    steps = min((row.steps for row in stability.values()), default=LONG)
    if steps < LONG:
        texts.append(f"Stability was tested over {steps:,} steps only; the paper's test takes {LONG:,}.")
    for kind, why in found.undefined.items():
        texts.append(f"The {kind} does not count: {why}.")
    texts += _others(found)
    return texts


def _others(found: Standings) -> list[str]:
    """Plain rivals other than MSE and truncated losses that make the line: worth knowing anyway."""
    corners = {corner.key for corner in found.line}
    rows = [r for r in found.rows if r.key in corners and r.letter in ("f", "g", "h") and r.gap > SURE]
    return [f"Worth knowing: {row.title} closes {_worth(row)}." for row in rows]
