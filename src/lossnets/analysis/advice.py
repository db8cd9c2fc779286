"""Sentences for people: why a loss stands where it stands, and what to know before taking the first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lossnets.analysis.cost import SHIPPED_COSTS_NAME
from lossnets.analysis.evidence import ONE_SEED, Compared
from lossnets.analysis.limits import show_cost
from lossnets.analysis.recommendation import Excluded, Recommendation, RowCost
from lossnets.analysis.results import Results


def cost_of(row: Mapping[str, Any]) -> RowCost:
    """A row of `Costs.of`."""
    side = _known(row["side"])
    return RowCost(
        step_ratio=_known(row["step_ratio"]),
        step_ratio_low=_known(row["step_ratio_low"]),
        step_ratio_high=_known(row["step_ratio_high"]),
        ms_per_image=_known(row["ms_per_image"]),
        side=None if side is None else int(side),
        memory=_known(row["memory"]),
        source=str(row["source"]),
        machine=str(row["machine"]),
        note=str(row["note"]),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def cheapest_of(losses: Sequence[str], costs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The loss with the cheapest training step, or else the cheapest alone; None if any is not known."""
    for column in ("step_ratio", "ms_per_image"):
        values = {loss: float(costs[loss][column]) for loss in losses}
        if losses and not any(math.isnan(value) for value in values.values()):
            return min(values, key=lambda loss: values[loss])
    return None


def told(basis: str) -> str:
    """How a difference was judged, as the end of a sentence."""
    return "with intervals apart" if basis == ONE_SEED else "beyond chance"


def short(loss: str, losses: Iterable[str]) -> str:
    """The loss without the file of its weights, where no other of the losses has that name then.

    >>> short("vgg16/relu3_3:weights=data/vgg.pth", ["vgg16/relu3_3:weights=data/vgg.pth", "pixel:mse"])
    'vgg16/relu3_3'
    """
    if ":weights=random" in loss:
        return loss
    name = _bare(loss)
    return loss if [_bare(other) for other in losses].count(name) > 1 else name


def _bare(loss: str) -> str:
    return ":".join(part for part in loss.split(":") if not part.startswith("weights="))


def reason_of(loss: str, group: Sequence[str], compared: Sequence[Compared]) -> str:
    """Why a loss stands where it stands."""
    if len(compared[0].losses) == 1:
        return "the only loss within the limits; there is nothing to compare it with"
    ranks = ", ".join(f"{s.ranks[loss]:g} of {len(s.losses)} on {s.setting.data}" for s in compared)
    if loss not in group:
        return f"rank {ranks}; {_beaten(loss, compared)}"
    text = f"rank {ranks}; {_better(loss, compared)}"
    rest = [x for x in group if x != loss]
    if not rest:
        return f"{text}; alone in the leading group"
    if loss == group[0]:
        return f"{text}; not told apart from {named([short(x, group) for x in rest])}"
    return f"{text}; not told apart from the first"


def _better(loss: str, compared: Sequence[Compared]) -> str:
    """Than how many it is told to be better."""
    losses = [x for x in compared[0].losses if x != loss]
    gaps = {x: [s.gaps[loss, x] for s in compared if (loss, x) in s.gaps] for x in losses}
    beaten = [x for x in losses if gaps[x]]
    weak = any(gap["basis"] == ONE_SEED for x in beaten for gap in gaps[x])
    text = f"better than {len(beaten)} of {len(losses)} others"
    if len(compared) > 1 and beaten:
        everywhere = sum(len(gaps[x]) == len(compared) for x in beaten)
        text += f" on at least one data set, and than {everywhere} on every one"
    return f"{text}, {told(ONE_SEED if weak else '')}" if beaten else text


def _beaten(loss: str, compared: Sequence[Compared]) -> str:
    """By what, where and by how much: in the setting where most losses are better."""
    worst = max(compared, key=lambda setting: sum(pair[1] == loss for pair in setting.gaps))
    rivals = [better for better, worse in worst.gaps if worse == loss]
    best = min(rivals, key=lambda rival: worst.ranks[rival])
    row, unit = worst.gaps[best, loss], str(worst.cells[loss]["unit"])
    gap = f"{row['difference']:.3g}"
    if not math.isnan(row["low"]):
        gap += f" ({row['low']:.3g} .. {row['high']:.3g})"
    where = "" if len(compared) == 1 else f" on {worst.setting.data}"
    unit = f" {unit}" if unit else ""
    return f"worse than {short(best, worst.losses)} by {gap}{unit}{where}, {told(str(row['basis']))}"


def named(losses: Sequence[str], most: int = 3) -> str:
    """Names in a row, the first few of many."""
    if len(losses) > most:
        return f"{', '.join(losses[:most])} and {len(losses) - most} more"
    return ", ".join(losses[:-1]) + " or " + losses[-1] if len(losses) > 1 else "".join(losses)


def warnings_of(
    made: Recommendation,
    compared: Sequence[Compared],
    everything: Sequence[Compared],
    not_everywhere: Sequence[str] = (),
) -> tuple[str, ...]:
    """What a user must know before taking the first row.

    Args:
        made: the rows.
        compared: the settings, with the losses of the rows.
        everything: the settings with the losses that the limits shut out, too.
        not_everywhere: see `better_elsewhere`.
    """
    found = [*_references(made, compared), *_seeds(compared), *_pixel(made), *_data(compared)]
    return (*found, *not_everywhere, *_shut_out(made, everything), *_cost_source(made))


def _references(made: Recommendation, compared: Sequence[Compared]) -> list[str]:
    found = []
    for setting in compared:
        cell = setting.cells[made.rows[0].loss]
        sign = 1.0 if cell["higher_is_better"] else -1.0
        unit = f" {cell['unit']}" if cell["unit"] else ""
        for name, value in setting.references:
            ahead = [row for row in setting.cells.values() if sign * row["value"] > sign * value]
            method = name.strip("()")
            if sign * value > sign * cell["value"]:
                beats = "every loss" if not ahead else "the first"
                found.append(
                    f"{method}, which needs no loss, is better than {beats} on {setting.setting.data}: "
                    f"{value:.4g} against {cell['value']:.4g}{unit}. {_level(setting.setting.profile)}"
                )
    return found


def _level(profile: str) -> str:
    if profile == "paper":
        return "What was trained here does not reach it."
    return (
        f"At profile {profile} the trained networks are small and briefly trained: take the ranking, not the "
        "level."
    )


def _seeds(compared: Sequence[Compared]) -> list[str]:
    where = [setting.setting.data for setting in compared if setting.weak]
    if not where:
        return []
    return [
        f"some losses were trained once only ({', '.join(where)}): how much a score changes from one "
        "training to the next is not known, and losses count as told apart whose intervals over test items "
        "are apart. Three seeds would settle it: seeds: [0, 1, 2] in the plan."
    ]


def _pixel(made: Recommendation) -> list[str]:
    first = made.rows[0].loss
    group = [loss for loss in made.leading if loss.startswith("pixel:")]
    if not group or first.startswith("pixel:"):
        return []
    name = short(first, made.leading)
    return [f"{name} is not told apart from {named(group)}, which needs no network: try that first."]


def _data(compared: Sequence[Compared]) -> list[str]:
    found = []
    names = list(dict.fromkeys(setting.setting.data for setting in compared))
    if len(names) == 1:
        found.append(f"one data set only ({names[0]}): whether it is so on other images was not measured.")
    samples = [s.setting.data for s in compared if s.setting.benchmark.endswith("-sample")]
    if samples:
        found.append(f"packaged sample data ({', '.join(samples)}): few images, made for trying things out.")
    if any(setting.setting.profile == "smoke" for setting in compared):
        found.append("runs of profile smoke: they test that things work, not which loss is better.")
    return found


def better_elsewhere(
    results: Results, compared: Sequence[Compared], excluded: Iterable[Excluded], first: str
) -> list[str]:
    """Losses that lack a value somewhere, and have a better one than the first where they were run."""
    found = []
    names = [item.name for item in excluded]
    for setting in compared:
        frame = results.cells[(results.cells.setting == setting.label) & (results.cells.state == "ranked")]
        order = frame.loss.tolist()
        ahead = [loss for loss in order[: order.index(first)] if loss in names]
        if ahead:
            value = frame[frame.loss == ahead[0]].value.iloc[0]
            found.append(
                f"{short(ahead[0], order)} has a better value on {setting.setting.data} ({value:.4g}), but "
                "was not compared, since it has none on every data set."
            )
    return found


def _shut_out(made: Recommendation, everything: Sequence[Compared]) -> list[str]:
    """The loss that would be first without the limits."""
    if not made.limits:
        return []
    averages = {x: sum(s.ranks[x] for s in everything) for x in everything[0].losses}
    best = min(averages, key=lambda loss: averages[loss])
    if best in {row.loss for row in made.rows}:
        return []
    values = "; ".join(str(setting.quality(best)) for setting in everything)
    return [f"without the limits {best} would have the best average rank: {values}."]


def _cost_source(made: Recommendation) -> list[str]:
    shipped = [row for row in made.rows if row.cost.source == SHIPPED_COSTS_NAME]
    if not shipped or not any("ms" in limit or limit.endswith("s") for limit in made.limits):
        return []
    return [
        f"costs were measured on another machine ({shipped[0].cost.machine}); milliseconds differ here: "
        "lossnets profile measures them."
    ]


def cost_text(cost: RowCost) -> str:
    """Costs in a line; empty where none is known."""
    parts = []
    if cost.step_ratio is not None:
        ends = f" ({cost.step_ratio_low:.2f} .. {cost.step_ratio_high:.2f})" if cost.step_ratio_low else ""
        parts.append(f"training step {cost.step_ratio:.2f} times that with the pixel loss{ends}")
    if cost.ms_per_image is not None:
        time = show_cost("ms_per_image", cost.ms_per_image).removesuffix("ms")
        parts.append(f"{time} ms per {cost.side}x{cost.side} image")
    if cost.memory is not None:
        parts.append(f"{cost.memory / 1e6:.0f} MB")
    return ", ".join(parts)
