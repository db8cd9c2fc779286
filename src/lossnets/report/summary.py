"""The top of the page: what was measured, which loss leads where and how surely, what to beware of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from lossnets.analysis import Costs, Results, Setting, loss_facts, recommend
from lossnets.analysis.figures import short_names
from lossnets.analysis.recommendation import Quality
from lossnets.report.parts import Note, attempt, counted, interval, number, sentence

_GAPS = {
    "failed": "failed in every run",
    "undefined": "with a score that is not defined",
    "running": "still running",
    "missing": "not run in that setting, though in a related one",
}


@dataclass(frozen=True)
class Answer:
    """What these results say on one task.

    Attributes:
        task: name.
        advice: ``Take``, ``Try first``, or why no loss is named.
        loss: short name of the first; empty where none is named.
        name: the whole name, where it says more.
        qualities: what it reached, a text for each data set with interval.
        word: ``high``, ``medium``, ``low`` confidence, or ``refused``.
        why: reason of the word; where refused, what would settle it.
        others: how many and which losses are not told apart from it.
    """

    task: str
    advice: str
    loss: str
    name: str
    qualities: tuple[str, ...]
    word: str
    why: str
    others: str


@dataclass(frozen=True)
class Summary:
    """See the module."""

    tiles: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]
    answers: tuple[Answer, ...]


def summary(results: Results, costs: Costs | None = None) -> Summary:
    """Counts, warnings and the leading losses of each task."""
    notes = list(_warnings(results))
    answers: list[Answer] = []
    for task in dict.fromkeys(setting.task for setting in results.settings):
        for found in attempt(partial(_answer, results, task, costs), f"The advice on {task}"):
            if isinstance(found, Answer):
                answers.append(found)
            else:
                notes.append(found)
    return Summary(tuple(_tiles(results)), tuple(notes), tuple(answers))


def _tiles(results: Results) -> Iterator[tuple[str, str]]:
    losses = {record.loss for record in results.records}
    networks = {loss_facts(loss).architecture for loss in losses} - {None}
    failed = sum(record.status == "failed" for record in results.records)
    tasks = {setting.task for setting in results.settings}
    yield f"{len(results.records):,}", "run" if len(results.records) == 1 else "runs"
    yield f"{failed:,}", "failed"
    yield f"{len(losses):,}", f"losses of {counted(len(networks), 'network')}"
    yield f"{len(results.settings):,}", f"settings of {counted(len(tasks), 'task')}"
    yield _seeds(results), "seeds for each trained loss"


def _seeds(results: Results) -> str:
    trained = {results.labels[s] for s in results.settings if s.trains}
    cells = results.cells
    seeds = cells[cells["setting"].isin(trained) & (cells["state"] == "ranked")]["seeds"]
    if not len(seeds):
        return "–"
    few, many = int(seeds.min()), int(seeds.max())
    return str(few) if few == many else f"{few} to {many}"


def _warnings(results: Results) -> Iterator[Note]:
    if not results.records:
        yield Note("There are no runs. Make some with 'lossnets sweep PLAN.yaml'.", "warn")
        return
    cells = results.cells
    trained = {results.labels[s] for s in results.settings if s.trains}
    ranked = cells[(cells["state"] == "ranked") & cells["setting"].isin(trained)]
    single = ranked[ranked["seeds"] == 1]
    if len(single):
        settings = ", ".join(single["setting"].unique())
        yield Note(
            f"{len(single)} of {counted(len(ranked), 'trained result')} rest on one seed ({settings}). How "
            "much another training would differ is not known there, so that small leads mean nothing.",
            "warn",
        )
    gaps = [f"{n} {_GAPS[state]}" for state, n in cells["state"].value_counts().items() if state in _GAPS]
    if gaps:
        yield Note(
            f"Rows of the leaderboard without a value, which nothing fills in: {', '.join(gaps)}.", "warn"
        )
    partly = cells[(cells["state"] == "ranked") & (cells["failed"] > 0)]
    if len(partly):
        yield Note(f"{counted(len(partly), 'result')} lost some of the seeds to failures.", "warn")


def _answer(results: Results, task: str, costs: Costs | None) -> Iterator[Answer]:
    """By `recommend`, whose words and rules these are."""
    made = recommend(results, task, costs=costs)
    if made.refused or made.best is None:
        why, settle = (made.refused.why, made.refused.settle) if made.refused else ("", "")
        firsts = tuple(text for setting in results.settings for text in _first(results, setting, task))
        yield Answer(task, "No loss stands out", "", "", firsts, "refused", f"{sentence(why)} {settle}", "")
        return
    best = made.best
    short = short_names(row.loss for row in made.rows)
    group = [short[loss] for loss in made.leading if loss != best.loss]
    yield Answer(
        task=task,
        advice="Try first" if made.confidence == "low" else "Take",
        loss=short[best.loss],
        name=best.loss if best.loss != short[best.loss] else "",
        qualities=tuple(_quality(quality) for quality in best.quality),
        word=str(made.confidence),
        why=sentence(made.confidence_why),
        others=f"Not told apart from {_listed(group)}." if group else "No other loss is as good.",
    )


def _quality(quality: Quality) -> str:
    unit = f" {quality.unit}" if quality.unit == "dB" else ""
    ends = interval(quality.low, quality.high)
    span = "" if ends == "–" else f" ({ends})"
    seeds = f", {counted(quality.seeds, 'seed')}" if quality.seeds > 1 else ""
    return f"{quality.score} {number(quality.value)}{unit}{span} on {quality.data}{seeds}"


def _first(results: Results, setting: Setting, task: str) -> Iterator[str]:
    """The loss with the best value in a setting of the task, as a text."""
    label, measure = results.labels[setting], results.headlines.get(setting)
    cells = results.cells
    own = cells[(cells["setting"] == label) & (cells["state"] == "ranked")].to_dict("records")
    if setting.task != task or measure is None or not own:
        return
    best, short = own[0], short_names(cell["loss"] for cell in own)
    unit = f" {measure.unit}" if measure.unit == "dB" else ""
    ends = interval(best["low"], best["high"])
    span = "" if ends == "–" else f" ({ends})"
    value = f"{measure.score} {number(best['value'])}{unit}{span}"
    yield f"Best value on {setting.data}: {short[best['loss']]}, {value}"


def _listed(names: list[str], most: int = 4) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
