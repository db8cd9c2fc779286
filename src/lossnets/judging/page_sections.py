"""The sections of the page of a judgement, in reading order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from lossnets.judging.cost_result import CostResult
from lossnets.judging.effect_result import ALL, EffectResult, GapRow
from lossnets.judging.evaluation import Evaluation
from lossnets.judging.figure import verdict_figure
from lossnets.judging.figure_curves import curve_figure
from lossnets.judging.page_parts import (
    NOTHING,
    Drawing,
    Facts,
    Part,
    Row,
    Section,
    Table,
    counted,
    fixed,
    interval,
    megabytes,
    number,
    sentence,
)
from lossnets.judging.stability import DivergedRow
from lossnets.judging.standings import Standing, Standings
from lossnets.judging.verdict import span


def tiles(evaluation: Evaluation, found: Standings) -> list[tuple[str, str]]:
    """The figures that matter: (value, what it is)."""
    made = []
    network = found.of("pgn")
    if network is not None:
        made.append((fixed(network.gap), f"gap closed {interval(network.low, network.high)}"))
        made.append((number(network.cost, 2), "of the true loss's time"))
        made.append((number(network.memory, 2), "of its memory"))
    if evaluation.fidelity is not None:
        cosines = [evaluation.fidelity.cosine(key).value for key in ("pgn", "mse")]
        made.append((fixed(cosines[0]), f"cosine to the true gradient; MSE {fixed(cosines[1])}"))
    if evaluation.stability is not None:
        row = next(r for r in evaluation.stability.rows() if r.rival == "pgn")
        made.append((f"{row.diverged} of {row.images}", f"images diverged within {row.steps:,} steps"))
    return made


def sections(evaluation: Evaluation, found: Standings, advised: str) -> list[Section]:
    """All sections of the page, in reading order."""
    made = [
        _verdict(found, advised),
        _effect(evaluation.effect, advised),
        _cost(evaluation.cost, advised),
    ]
    if evaluation.fidelity is not None:
        made.append(_fidelity(evaluation))
    if evaluation.stability is not None:
        made.append(_stability(evaluation))
    if evaluation.inversion is not None:
        made.append(_inversion(evaluation.inversion))
    return [*made, _provenance(evaluation)]


def _verdict(found: Standings, advised: str) -> Section:
    columns = [
        ("rival", False), ("time", True), ("memory", True), ("gap closed", True), ("95% interval", True),
        ("diverged", True), ("line", True), ("above it", True), ("", False),
    ]  # fmt: skip
    rows = sorted(found.rows, key=lambda row: (not math.isfinite(row.cost), row.cost, row.key))
    table = Table(
        "Every rival, cheapest first; time and memory of the true loss are 1",
        columns,
        [Row(_standing(row), row.key == advised) for row in rows],
    )
    code = Table(
        "The rivals in Python, for images x and targets y (N, 3, H, W) in [0, 1]",
        [("rival", False), ("in Python", False)],
        [Row([_called(row.letter, row.title), row.python], row.key == advised) for row in rows],
        folded=True,
    )
    picture = Drawing(
        "verdict", "Gap closed against the time of a gradient, every rival on it. Above the line, a gradient "
        "network closes more than plain rivals of the same cost.", partial(verdict_figure, found),
    )  # fmt: skip
    undefined = [f"The {kind} does not count: {why}." for kind, why in found.undefined.items()]
    return Section(
        "standings",
        "Gap closed against cost",
        "Gap closed = (L_mse − L_x) / (L_mse − L_true) of the true loss L at the end of a fit: 0 is what MSE "
        "reaches, 1 what the true loss itself reaches. The line is what plain rivals close at each cost.",
        [picture, *undefined, table, code],
    )


def _called(letter: str, title: str) -> str:
    """A rival in a table; the full names of loss and network are told elsewhere."""
    return f"{letter}) {title.partition(':')[0] if letter in ('a', 'b') else title}"


def _standing(row: Standing) -> list[str]:
    over = [NOTHING, NOTHING, ""] if row.key == "true" else [fixed(row.line), fixed(row.over), row.place]
    return [
        _called(row.letter, row.title), number(row.cost, 2), number(row.memory, 2), fixed(row.gap),
        interval(row.low, row.high) if math.isfinite(row.gap) else row.note or NOTHING,
        f"{row.diverged} of {row.fits}", *over,
    ]  # fmt: skip


def _effect(effect: EffectResult, advised: str) -> Section:
    rows = effect.gaps()
    parts: list[Part] = []
    for kind in dict.fromkeys(row.generator for row in rows):
        own = [row for row in rows if row.generator == kind]
        name = "Mean over generators" if kind == ALL else sentence(kind).rstrip(".")
        caption = f"{name}: means at the end of the fits"
        parts += [] if kind == ALL else [_curves(effect, kind)]
        parts.append(_gap_table(own, caption, advised, folded=kind != ALL and len(effect.generators) > 1))
        parts += [f"{name}: {note}." for note in _why_undefined(own)]
    parts += [f"{key} took no part: {why}." for key, why in effect.left_out.items()]
    settings = effect.settings
    lead = (
        "Generators of limited capacity, fitted from equal starts with each gradient: "
        f"{settings['steps']:,} steps of Adam{_longer(effect)}; {counted(settings['images'], 'image')}, "
        f"seeds {', '.join(map(str, settings['seeds']))}."
    )
    return Section("effect", "Effect on generators", lead, parts)


def _longer(effect: EffectResult) -> str:
    """Steps of the generators that have their own."""
    own = effect.settings.get("generator_settings") or {}
    longer = [
        f"{own[kind]['steps']:,} of the {kind}" for kind in effect.generators if "steps" in own.get(kind, {})
    ]
    return f" ({', '.join(longer)})" if longer else ""


def _gap_table(rows: Sequence[GapRow], caption: str, advised: str, *, folded: bool = False) -> Table:
    return Table(caption, _EFFECT, [Row(_ended(row), row.rival == advised) for row in rows], folded)


def _ended(row: GapRow) -> list[str]:
    closed = NOTHING if math.isnan(row.gap) else span(row.gap, row.low, row.high)
    measures = number(row.true, 4), number(row.l1), number(row.psnr, 4), number(row.ssim)
    return [_called(row.letter, row.title), closed, *measures, f"{row.diverged} of {row.fits}"]


def _why_undefined(rows: Sequence[GapRow]) -> list[str]:
    return list(dict.fromkeys(row.note for row in rows if row.note and math.isnan(row.gap)))


_EFFECT = [
    ("driven by", False), ("gap closed", True), ("true loss", True), ("L1", True), ("PSNR (dB)", True),
    ("SSIM", True), ("diverged", True),
]  # fmt: skip


def _curves(effect: EffectResult, kind: str) -> Drawing:
    caption = f"True loss over the steps of fits of the {kind}, mean over images and seeds. Lower is better."
    return Drawing(f"curves-{kind}", caption, partial(curve_figure, effect, kind))


def _cost(cost: CostResult, advised: str) -> Section:
    columns = [
        ("rival", False), ("ms", True), ("of true", True), ("quartiles", True), ("ms, target new", True),
        ("of true", True), ("GMAC", True), ("GMAC, target new", True), ("memory", True), ("of true", True),
    ]  # fmt: skip
    rows = [Row(_priced(row), row["key"] == advised) for row in cost.frame().to_dict("records")]
    side = f"{counted(cost.images, 'image')} of {cost.side}×{cost.side} pixels"
    lead = (
        f"One gradient for {side}, all in turns, {cost.rounds} rounds, medians; with an encoded target, and "
        "with the encoding of a new one. Memory is what is held beside the weights. "
        f"{cost.machine}, device {cost.device}."
    )
    return Section("cost", "Cost of a gradient", lead, [Table("Time, operations and memory", columns, rows)])


def _priced(row: Mapping[str, Any]) -> list[str]:
    head = _called(row["letter"], row["title"])
    if row["error"]:
        return [head, row["error"], *[NOTHING] * 8]
    quartiles = f"{number(row['encoded_ratio_low'], 2)} to {number(row['encoded_ratio_high'], 2)}"
    memory = row["memory"]
    return [
        head, number(row["encoded_ms"]), number(row["encoded_ratio"], 2), quartiles, number(row["whole_ms"]),
        number(row["whole_ratio"], 2), number(row["gmac"]), number(row["gmac_whole"]),
        megabytes(None if memory is None or math.isnan(memory) else memory), number(row["memory_ratio"], 2),
    ]  # fmt: skip


def _fidelity(evaluation: Evaluation) -> Section:
    assert evaluation.fidelity is not None  # noqa: S101 - asked before
    settings = evaluation.fidelity.settings
    columns = [
        ("gradient", False), ("trajectory driven by", False), ("compared in", False), ("cosine", True),
        ("norm ratio", True), ("relative error", True),
    ]  # fmt: skip
    means: list[Row] = []
    each: list[Row] = []
    for row in evaluation.fidelity.summary():
        cells = [
            row.rival, row.driver, row.space, span(row.cosine, row.cosine_low, row.cosine_high),
            number(row.norm_ratio), number(row.relative_error),
        ]  # fmt: skip
        (means if row.driver == "all" else each).append(Row(cells))
    lead = (
        "Predicted against true gradient along real fits, beside MSE's. 1, 1 and 0 would be perfect. "
        "pixels/k: averaged over k×k pixels; parameters: as it acts on the generator's parameters. "
        f"{settings['steps']} steps, looked at {len(settings['at'])} times."
    )
    return Section("fidelity", "Fidelity of the gradient", lead, [
        Table("Mean over all trajectories", columns, means),
        Table("By what drives the trajectory", columns, each, folded=True),
    ])  # fmt: skip


def _stability(evaluation: Evaluation) -> Section:
    assert evaluation.stability is not None  # noqa: S101 - asked before
    columns = [
        ("driven by", False), ("generator", False), ("diverged", True), ("share", True),
        ("exact 95% interval", True), ("on a plateau", True), ("steps", True),
    ]  # fmt: skip
    settings = evaluation.stability.settings
    rows = [Row(_lost(row)) for row in evaluation.stability.rows()]
    lead = (
        "A fit has diverged when its true loss exceeds twice its start. A gradient that diverges is never "
        f"called good. {counted(settings['images'], 'image')} of {settings['side'][0]}×{settings['side'][1]} "
        f"pixels; the true loss is looked at every {settings['check']:,} steps."
    )
    return Section("stability", "Stability", lead, [Table("Long fits", columns, rows)])


def _lost(row: DivergedRow) -> list[str]:
    counts = f"{row.diverged} of {row.images}", f"{row.plateaued} of {row.images}"
    return [
        _called(row.letter, row.title), row.generator, counts[0], number(row.share, 2),
        interval(row.low, row.high), counts[1], f"{row.steps:,}",
    ]  # fmt: skip


def _inversion(effect: EffectResult) -> Section:
    settings = effect.settings
    rows = effect.gaps()
    lead = (
        f"Latents of a small decoder, fitted for {settings['fit_steps']:,} steps with MSE, then refined for "
        f"{settings['steps']:,} with each gradient. The verdict does not use it."
    )
    notes = [sentence(note) for note in _why_undefined(rows)]
    return Section(
        "inversion", "Inversion of a generator", lead, [_gap_table(rows, "Means at the end", ""), *notes]
    )


def _provenance(evaluation: Evaluation) -> Section:
    about = evaluation.about
    facts = [Facts("What was judged, on what, how", list(_facts(about)))]
    if evaluation.card:
        facts.append(Facts("Card of the checkpoint", list(_facts(evaluation.card))))
    else:
        facts.append(Facts("Card of the checkpoint", [("", "none: the network came from Python")]))
    lead = (
        "Everything that the numbers depend on. Images that the network was trained on would flatter it: the "
        "card says what those were."
    )
    return Section("provenance", "Settings and provenance", lead, facts)


def _facts(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and texts of all values, nested ones with their path."""
    for name, value in record.items():
        if isinstance(value, Mapping) and value:
            yield from _facts(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or NOTHING
        else:
            yield f"{prefix}{name}", number(value, 6) if isinstance(value, float) else str(value) or NOTHING
