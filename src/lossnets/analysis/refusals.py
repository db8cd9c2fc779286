"""When nothing is recommended: why, and what would settle it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lossnets.analysis.advice import cheapest_of, named, short
from lossnets.analysis.evidence import Compared
from lossnets.analysis.limits import Limit, admitting, show_cost
from lossnets.analysis.recommendation import Refusal
from lossnets.analysis.results import Results
from lossnets.analysis.settings import Setting


def nothing_there(results: Results, task: str) -> Refusal:
    """There is no result of the task."""
    have = sorted({setting.task for setting in results.settings if setting in results.headlines})
    return Refusal(
        f"{results.source} has no finished run of task {task!r}; it has {', '.join(have) or 'none at all'}.",
        f"Run it: a plan with a benchmark of {task} (lossnets sweep PLAN.yaml); or ask the results that ship "
        "with lossnets: --store shipped.",
    )


def nothing_shared(losses: Sequence[str], settings: Sequence[Setting]) -> Refusal:
    """Fewer than two losses have a value in every setting."""
    names = ", ".join(setting.data for setting in settings)
    if len(settings) == 1:
        return Refusal(
            f"{len(losses) or 'no'} loss has a value on {names}: there is nothing to compare.",
            "Run more losses, the pixel loss among them (lossnets sweep).",
        )
    return Refusal(
        f"{len(losses) or 'no'} loss has a value on every data set ({names}): no ranking holds for all.",
        f"Run the same losses on all of them, or ask for one: --data '{settings[0].data}'.",
    )


def nothing_fits(costs: Mapping[str, Mapping[str, Any]], limits: Sequence[Limit], task: str) -> Refusal:
    """No loss is within the limits."""
    parts, ways = [], []
    for limit in limits:
        known = {loss: float(row[limit.column]) for loss, row in costs.items()}
        known = {loss: value for loss, value in known.items() if not math.isnan(value)}
        if not known:
            step = f" --task {task}" if limit.column == "step_ratio" else ""
            parts.append(f"the cost that {limit.text} is about is not known of any loss")
            ways.append(f"lossnets profile --loss '{next(iter(costs))}'{step} (and so on) measures it")
            continue
        loss = min(known, key=lambda name: known[name])
        shown = show_cost(limit.column, known[loss])
        if known[loss] > limit.most:
            parts.append(f"the cheapest loss, {loss}, costs {shown}, above {limit.text}")
        else:
            parts.append(f"{sum(v <= limit.most for v in known.values())} keep to {limit.text}")
        ways.append(f"{admitting(limit.column, known[loss])} would admit {short(loss, costs)}")
    return Refusal(f"no loss is within the limits: {'; '.join(parts)}.", f"{'; '.join(ways)}.")


def disagreement(compared: Sequence[Compared]) -> Refusal:
    """No loss is in the leading group of every setting."""
    said = "; ".join(
        f"on {x.setting.data}: {named([short(n, x.losses) for n in x.leading])}" for x in compared
    )
    ways = " or ".join(f"--data '{setting.setting.data}'" for setting in compared)
    return Refusal(
        f"the data sets disagree: no loss is among the best on each of them. Best are {said}.",
        f"Ask for the data that are most like yours: {ways}.",
    )


def nothing_told(compared: Sequence[Compared], costs: Mapping[str, Mapping[str, Any]]) -> Refusal:
    """The leading group is everything."""
    losses = compared[0].losses
    weak = any(setting.weak for setting in compared)
    how = "intervals apart" if weak else "a difference beyond chance"
    cheapest = cheapest_of(losses, costs)
    best = min(losses, key=lambda loss: sum(setting.ranks[loss] for setting in compared))
    advice = f" If one must be taken: {short(best, losses)} has the best average rank"
    advice += f", {short(cheapest, losses)} is the cheapest." if cheapest else "."
    ways = [way for setting in compared if (way := _needed(setting))]
    return Refusal(
        f"the results do not tell the losses apart: of {len(losses)} losses none has {how} from another.",
        "; ".join(dict.fromkeys(ways)) + "." + advice,
    )


def _needed(setting: Compared) -> str:
    """Seeds or items that would tell the largest difference from chance, were it as large as it looks.

    Half the width of an interval shrinks with the root of their number; that it also shrinks because the
    scatter gets known better is left out, so that this is rather too many.
    """
    data = setting.setting.data
    if setting.weak:
        return f"On {data}: train every loss with three seeds or more (seeds: [0, 1, 2] in the plan)"
    rows = setting.frame.to_dict("records")
    known = [r for r in rows if r["difference"] > 0 and not math.isnan(r["high"])]
    if not any(r["difference"] > 0 for r in rows):
        return f"On {data} all losses have the same score: another score or other data would have to be asked"
    if not known:
        return f"On {data} nothing could be tested ({rows[0]['note'] or 'no scatter is known'})"
    best = min(known, key=lambda r: (r["high"] - r["difference"]) / r["difference"])
    factor = ((best["high"] - best["difference"]) / best["difference"]) ** 2
    count = max(int(best["n"]) + 1, math.ceil(factor * int(best["n"])))
    what = "seeds" if best["basis"] == "seeds" else "items"
    return (
        f"On {data}: about {count} {what} (there are {best['n']}) would tell "
        f"{short(best['better'], setting.losses)} from {short(best['worse'], setting.losses)}, were the "
        "difference as large as it looks"
    )
