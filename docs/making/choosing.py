"""Tables of choosing.md: what the results are, what they say, and what losses cost."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

from lossnets.analysis import TASKS
from making.tables import results, rows_of, table


@table("settings")
def settings() -> str:
    """What the results are: a row for each setting."""
    rows = []
    for label, cells in results().cells.groupby("setting", sort=False):
        kept = cells[cells["state"] != "reference"]
        known = kept[kept["state"] == "ranked"]
        trains = results().setting(str(label)).trains
        gaps = int((kept["state"] != "ranked").sum())
        rows.append(
            [
                label,
                f"`{kept['score'].iloc[0]}`" if len(kept) else "",
                len(known),
                known.loc[~known["loss"].str.contains(":weights=random"), "architecture"].nunique(),
                _range(known["seeds"]) if trains else "none needed",
                gaps or "",
            ]
        )
    return rows_of(["setting", "ranked by", "losses", "networks", "seeds", "without a value"], rows)


def _range(counts: Any) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


@cache
def recommended(task: str) -> Any:
    """The answer of `recommend`, with the costs that come with the package."""
    from lossnets.analysis.cost import shipped_costs
    from lossnets.analysis.recommend import recommend

    return recommend(results(), task, costs=shipped_costs())


@table("recommended")
def recommendations() -> str:
    """One row for each task: what to take, or why nothing."""
    from lossnets.analysis.advice import short

    rows = []
    for task in TASKS:
        answer = recommended(task)
        if answer.refused:
            rows.append([task, "refused", "", answer.refused.why])
            continue
        losses = [row.loss for row in answer.rows]
        others = f"{len(answer.leading) - 1} of {len(losses) - 1}"
        rows.append([task, f"`{short(answer.rows[0].loss, losses)}`", answer.confidence, others])
    return rows_of(["task", "first", "confidence", "others not told apart from it"], rows)


def board_of(task: str) -> str:
    """Losses of a task: value in each of its settings, average rank, whether leading, cost of a step."""
    cells = results().cells
    cells = cells[(cells["task"] == task) & (cells["state"] != "missing")]
    labels = list(dict.fromkeys(cells["setting"]))
    answer = {row.loss: row for row in recommended(task).rows}
    rows = []
    for loss, own in cells.groupby("loss", sort=False):
        at = {cell.setting: cell for cell in own.itertuples(index=False)}
        row = answer.get(str(loss))
        rank = sum(own["rank"].fillna(99)) / len(own) + 100 * (len(labels) - len(own))
        verdict = "" if row is None else "leading" if row.leading else "worse"
        step = row.cost.step_ratio if row else None
        shown = [f"`{_plain(str(loss))}`" if own["state"].iloc[0] != "reference" else loss]
        shown += [_value(at[label]) if label in at else "not run" for label in labels]
        shown += [verdict] + ([] if task == "similarity" else ["" if step is None else f"{step:.2f}"])
        rows.append((own["state"].iloc[0] == "reference", rank, shown))
    rows.sort(key=lambda row: row[:2])
    head = ["loss", *(f"{x.partition(': ')[2]}, {_measure(x)}" for x in labels), "group"]
    return rows_of(head + ([] if task == "similarity" else ["step"]), [shown for _, _, shown in rows])


def _plain(loss: str) -> str:
    """The name without the file of its weights; random weights stay in it."""
    return re.sub(r":weights=(?!random)[^:]+", "", loss)


def _measure(label: str) -> str:
    measure = results().headlines[results().setting(label)]
    return f"`{measure.score}`"


def _value(cell: Any) -> str:
    if cell.state not in ("ranked", "reference"):
        return f"{cell.state}"
    digits = 1 if abs(cell.value) >= 10 else 3
    ends = "" if math.isnan(cell.low) else f" [{cell.low:.{digits}f}, {cell.high:.{digits}f}]"
    seeds = f" ({cell.seeds} seeds)" if cell.seeds > 1 else ""
    return f"{cell.value:.{digits}f}{ends}{seeds}"


for _task in {setting.task: None for setting in results().settings}:
    table(f"board-{_task}")(lambda task=_task: board_of(task))


@table("agreement")
def agreement_of_tasks() -> str:
    """Kendall's W, and how many contenders it is of."""
    from lossnets.analysis import agreement

    found = agreement(results())
    p = f"{found.p:.2g}" if found.decidable else "not decidable"
    chance = f"{1 / max(len(found.tasks), 1):.2f}"
    row = [len(found.tasks), len(found.contenders), f"{found.w:.2f}", chance, p]
    return rows_of(["tasks", "losses in all", "Kendall's W", "by chance", "p"], [row])


@table("verdicts")
def verdict_words() -> str:
    """The study's findings, and what the results say of each."""
    from lossnets.analysis.findings import verdicts

    said = [[v.sentence, v.word, v.because] for v in verdicts(results())]
    return rows_of(["the study", "these results", "because"], said)


@table("costs")
def costs() -> str:
    """Time and memory of the losses of the results, alone and in a training step."""
    from lossnets.analysis.cost import shipped_costs
    from lossnets.runs.cost_steps import step_tasks

    known = shipped_costs()
    steps = [task for task in step_tasks() if any(cost.task == task for cost in known.records)]
    cells = results().cells
    trained = cells[(cells["task"] != "similarity") & (cells["state"] != "reference")]
    other = cells[(cells["task"] == "similarity") & ~cells["contender"].isin(trained["contender"])]
    names = {
        _plain(loss): loss for loss in [*trained["loss"], *other["loss"]] if ":weights=random" not in loss
    }
    losses = list(names.values())
    alone = known.of(losses).set_index("loss")
    ratios = {task: known.of(losses, task).set_index("loss")["step_ratio"] for task in steps}
    order = alone["pixel_ratio"].sort_values(kind="stable").index
    rows = []
    for loss in order:
        at = alone.loc[loss]
        cells = [f"{at['ms_per_image']:.1f}", f"{at['pixel_ratio']:.1f}", f"{at['memory'] / 1e6:.0f}"]
        cells += [f"{ratios[task][loss]:.2f}" for task in steps]
        rows.append([f"`{_plain(loss)}`", *("" if cell == "nan" else cell for cell in cells)])
    side = int(alone["side"].max())
    head = [
        "loss",
        f"ms for an image of {side}²",
        "times pixel",
        "memory, MB",
        *(f"step, {t}" for t in steps),
    ]
    return rows_of(head, rows) + f"\n({known.machine}. Steps: times that with the pixel loss.)\n"
