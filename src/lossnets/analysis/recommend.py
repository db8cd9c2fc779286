"""Which loss to take for a task: ranked losses with reason, cost, evidence and certainty; or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lossnets.analysis.advice import better_elsewhere, cheapest_of, cost_of, reason_of, warnings_of
from lossnets.analysis.comparisons import check_alpha
from lossnets.analysis.cost import Costs, known_costs
from lossnets.analysis.evidence import Compared, choose_settings, shared_losses
from lossnets.analysis.limits import Limit, memory_limit, time_limit
from lossnets.analysis.recommendation import Confidence, Evidence, Excluded, Recommendation, Row
from lossnets.analysis.refusals import disagreement, nothing_fits, nothing_shared, nothing_there, nothing_told
from lossnets.analysis.results import Results
from lossnets.analysis.settings import TASKS, Setting
from lossnets.analysis.snippets import python_lines, weights_origin, weights_ready
from lossnets.benchmarks.engine.fit import Execution
from lossnets.errors import ConfigError, unknown_name
from lossnets.runs.cost_steps import step_tasks


def recommend(
    results: Results,
    task: str,
    *,
    costs: Costs | None = None,
    max_time: str | None = None,
    max_memory: str | None = None,
    data: str | None = None,
    device: str = "cpu",
    alpha: float = 0.05,
) -> Recommendation:
    """Rank the losses of a task for somebody who has to take one, or refuse where the evidence is not enough.

    Losses are compared in every setting of the task (`choose_settings`) with all their pairs allowed for, at
    level alpha divided by the number of settings. Those that no loss is better than in any setting are the
    *leading group*: with probability 1 - alpha, no loss outside of it is the best anywhere. They come first,
    then the others; within both by the mean of their ranks over the settings. How far the first can be
    relied on is a word whose rule stands in `RULES`:

    - ``high``: two data sets or more, three seeds or more wherever something is trained, a leading group of
      at most a third of the losses, and the first is better beyond chance than every loss outside of the
      group on every data set;
    - ``medium``: two seeds or more wherever something is trained, and a leading group of at most half;
    - ``low``: everything else that is not refused. With one seed nothing can be tested, and losses count as
      told apart whose intervals over test items are apart: that says nothing of another training.

    Refused is: a task without results, settings that share fewer than two losses, no loss within the limits,
    a leading group of all losses (nothing is told apart), and settings that disagree (no loss is in the
    leading group of each). Pixel losses take part like all others.

    Args:
        results: runs, e.g. `shipped_results()`.
        task: one of `TASKS`, or the name of a benchmark that is in the results.
        costs: None: the user's measurements and the shipped ones (`known_costs`).
        max_time: ``"2x-pixel"``: a training step of the task at most twice that with the pixel loss;
            ``"5ms"``: forward and backward of the loss alone, for one image.
        max_memory: ``"500MB"``, ``"2GiB"``: what the loss alone takes.
        data: only data sets that match; ``*`` and ``?`` as in a shell.
        device: whose costs count.
        alpha: probability, at most, that any difference is claimed that is none.

    Raises:
        UnknownNameError: there is no such task or data set.
        ConfigError: a limit or the device has another form, or a limit means nothing for the task.
        DataError: the user's file of costs is damaged.
    """
    check_alpha(alpha)
    known = [*TASKS, *(setting.task for setting in results.settings)]
    if task not in known:
        raise unknown_name("task", str(task), known)
    Execution.parse(device)
    limits = _limits(task, max_time, max_memory)
    asked = _Asked(results, task, known_costs() if costs is None else costs, limits, device, alpha)
    settings, left_out = choose_settings(results, task, data)
    empty = Recommendation(
        task, results.source, left_out=tuple(left_out), alpha=alpha, costs=asked.costs.source,
        limits=tuple(limit.text for limit in limits),
    )  # fmt: skip
    return asked.answer(empty, settings)


def _limits(task: str, max_time: str | None, max_memory: str | None) -> list[Limit]:
    limits = [] if max_time is None else [time_limit(max_time)]
    if limits and limits[0].column == "step_ratio" and task not in step_tasks():
        raise ConfigError(
            f"max_time {max_time!r} is about a training step, and task {task!r} has none that can be "
            "measured; limit the time of the loss alone, e.g. '5ms'"
        )
    return [*limits, *([] if max_memory is None else [memory_limit(max_memory)])]


@dataclass(frozen=True, eq=False)
class _Asked:
    results: Results
    task: str
    costs: Costs
    limits: Sequence[Limit]
    device: str
    alpha: float

    def answer(self, empty: Recommendation, settings: Sequence[Setting]) -> Recommendation:
        """Fill in what the settings say."""
        if not settings:
            return replace(empty, refused=nothing_there(self.results, self.task))
        losses, excluded = shared_losses(self.results, settings)
        empty = replace(empty, excluded=tuple(excluded))
        if len(losses) < 2:
            return replace(empty, refused=nothing_shared(losses, settings))
        known = self.costs.of(losses, self.task, self.device).to_dict("records")
        costs = {row["loss"]: row for row in known}
        fitting, over = self._within(losses, costs)
        empty = replace(empty, excluded=(*excluded, *over))
        if not fitting:
            return replace(empty, refused=nothing_fits(costs, self.limits, self.task))
        compared = self._compared(fitting, settings)
        leading = [x for x in fitting if all(x in setting.leading for setting in compared)]
        empty = replace(empty, evidence=tuple(_evidence(setting) for setting in compared))
        if not leading:
            return replace(empty, refused=disagreement(compared))
        if len(leading) == len(fitting) > 1:
            return replace(empty, refused=nothing_told(compared, costs))
        answered = self._rows(empty, compared, leading, costs)
        everything = self._compared(losses, settings) if over else compared
        missed = better_elsewhere(self.results, compared, excluded, answered.rows[0].loss)
        return replace(answered, warnings=warnings_of(answered, compared, everything, missed))

    def _within(
        self, losses: Sequence[str], costs: dict[str, dict[str, Any]]
    ) -> tuple[list[str], list[Excluded]]:
        """Losses that keep to every limit, and the others with the reason."""
        fitting, over = [], []
        for loss in losses:
            verdicts = [(limit, limit.keeps(costs[loss])) for limit in self.limits]
            broken = next((limit for limit, keeps in verdicts if keeps is False), None)
            unknown = next((limit for limit, keeps in verdicts if keeps is None), None)
            if broken is not None:
                over.append(Excluded(loss, f"costs {broken.shown(costs[loss])}, above {broken.text}"))
            elif unknown is not None:
                over.append(Excluded(loss, self._unknown(loss, unknown, str(costs[loss]["note"]))))
            else:
                fitting.append(loss)
        return fitting, over

    def _unknown(self, loss: str, limit: Limit, note: str) -> str:
        if note:
            return f"its cost could not be measured: {note}"
        step = f" --task {self.task}" if limit.column == "step_ratio" else ""
        step += f" --device {self.device}" if self.device != "cpu" else ""
        return f"its cost is not known; measure it: lossnets profile --loss '{loss}'{step}"

    def _compared(self, losses: Sequence[str], settings: Sequence[Setting]) -> list[Compared]:
        part, labels = self.results.only(task=self.task, losses=losses), self.results.labels
        return [Compared(part, where, labels[where], self.alpha / len(settings)) for where in settings]

    def _rows(
        self,
        empty: Recommendation,
        compared: Sequence[Compared],
        leading: Sequence[str],
        costs: dict[str, dict[str, Any]],
    ) -> Recommendation:
        averages = {
            loss: sum(setting.ranks[loss] for setting in compared) / len(compared)
            for loss in compared[0].losses
        }
        order = sorted(averages, key=lambda loss: (loss not in leading, averages[loss], loss))
        group = [loss for loss in order if loss in leading]
        word, why = confidence_of(compared, group)
        rows = []
        for number, loss in enumerate(order, 1):
            rows.append(
                Row(
                    rank=number,
                    loss=loss,
                    reason=reason_of(loss, group, compared),
                    leading=loss in group,
                    confidence=word if loss in group else _outside(loss, compared),
                    average_rank=averages[loss],
                    quality=tuple(setting.quality(loss) for setting in compared),
                    cost=cost_of(costs[loss]),
                    python=python_lines(loss, self.task),
                    weights=weights_origin(loss, str(compared[0].cells[loss]["signature"])),
                    ready=weights_ready(loss),
                )
            )
        return replace(
            empty,
            rows=tuple(rows),
            confidence=word,
            confidence_why=why,
            leading=tuple(group),
            cheapest=cheapest_of(group, costs),
        )


def confidence_of(compared: Sequence[Compared], group: Sequence[str]) -> tuple[Confidence, str]:
    """How surely the first of the leading group is the one to take, by the rule in `recommend`; and why."""
    losses = compared[0].losses
    size = f"{len(group)} of {len(losses)} losses are in the leading group"
    if len(losses) < 2:
        return "low", "a single loss is within the limits"
    low = [f"one seed only on {s.setting.data}" for s in compared if s.weak]
    low += [f"profile smoke on {s.setting.data}" for s in compared if s.setting.profile == "smoke"]
    low += [size] * (2 * len(group) > len(losses))
    if low:
        return "low", "; ".join(low)
    few = [s.setting.data for s in compared if s.setting.trains and s.least_seeds < 3]
    unsure = [
        s.setting.data for s in compared for x in losses if x not in group and (group[0], x) not in s.gaps
    ]
    kept = [f"two seeds on {name}" for name in few]
    kept += [f"not better than every loss outside of the group on {name}" for name in dict.fromkeys(unsure)]
    kept += ["one data set"] * (len({(s.setting.data, s.setting.fingerprint) for s in compared}) < 2)
    kept += [size] * (3 * len(group) > len(losses))
    if kept:
        return "medium", "; ".join(kept)
    return "high", f"better than every loss outside of the group on each of {len(compared)} data sets; {size}"


def _outside(loss: str, compared: Sequence[Compared]) -> Confidence:
    """How surely a loss does not belong to the leading group."""
    beaten = [setting for setting in compared if loss not in setting.leading]
    tested = [setting for setting in beaten if not setting.weak]
    if not tested:
        return "low"
    return "high" if len(tested) == len(compared) > 1 else "medium"


def _evidence(setting: Compared) -> Evidence:
    where, first = setting.setting, next(iter(setting.cells.values()))
    bases = list(dict.fromkeys(setting.frame["basis"])) or ["a single loss"]
    notes = dict.fromkeys(note for note in setting.frame["note"] if "left out" in note)
    return Evidence(
        setting=setting.label,
        benchmark=where.benchmark,
        data=where.data,
        fingerprint=where.fingerprint,
        profile=where.profile,
        score=str(first["score"]),
        unit=str(first["unit"]),
        higher_is_better=bool(first["higher_is_better"]),
        losses=len(setting.losses),
        seeds_least=setting.least_seeds,
        seeds_most=setting.most_seeds,
        trains=where.trains,
        basis=", ".join(bases),
        leading=setting.leading,
        references=setting.references,
        note="; ".join(notes),
    )
