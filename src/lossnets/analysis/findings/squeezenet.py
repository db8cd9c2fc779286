"""What the study says of squeezenet1_1: good everywhere for its cost, best on super-resolution."""

from __future__ import annotations

from collections.abc import Sequence

from lossnets.analysis.findings.ground import Field, by_task
from lossnets.analysis.findings.overall import FEWEST_RANKED, lacking, overall, usable
from lossnets.analysis.findings.verdict import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Count,
    Verdict,
    Word,
    counted,
    listed,
)
from lossnets.analysis.settings import STUDY_TASKS


def squeezenet_cost(fields: Sequence[Field], alpha: float) -> Verdict:
    """squeezenet1_1 is a good choice everywhere for its cost.

    It has the fewest multiply-accumulates and parameters of the study's networks, so that no cheaper one
    can be better; good for its cost is therefore more than that: ranked in the better half. Supported: in
    each of the study's four tasks the interval of its rank (mean over the task's settings) lies in the better
    half. Contradicted: in some task it lies in the worse half. Intervals as for `vgg16_bn`.
    """
    sentence = "squeezenet1_1 is a good choice everywhere for its cost."
    rule = (
        "its rank surely in the better half in all four tasks of the study: supported; surely in the worse "
        "half in one: contradicted"
    )
    asked = [f for f in fields if f.task in STUDY_TASKS]
    kept, networks, left = usable(asked, ("squeezenet1_1",))
    tasks = by_task(kept)
    if not tasks or len(networks) < FEWEST_RANKED:
        because = lacking(asked, ("squeezenet1_1",), len(STUDY_TASKS), len(tasks))
        return Verdict("squeezenet_cost", sentence, UNDECIDED, because, rule, left_out=left)
    table = overall(kept, networks, alpha)
    mine = {task: found[networks.index("squeezenet1_1")] for task, found in table.tasks.items()}
    good = [task for task, (_, _, high) in mine.items() if high < table.middle]
    poor = [task for task, (_, low, _) in mine.items() if low > table.middle]
    absent = [task for task in STUDY_TASKS if task not in tasks]
    word: Word = CONTRADICTED if poor else SUPPORTED if len(good) == len(tasks) and not absent else UNDECIDED
    said = listed(
        [f"{task} {rank:.1f} ({low:.1f} to {high:.1f})" for task, (rank, low, high) in mine.items()]
    )
    because = f"ranks of {len(networks)}, middle {table.middle:g}: {said}"
    if poor:
        because += f"; surely in the worse half in {listed(poor)}"
    elif word == UNDECIDED:
        unsure = [task for task in tasks if task not in good]
        because += f"; not sure in {listed(unsure)}" if unsure else f"; no results for {listed(absent)}"
    numbers = {task: tuple(map(float, found)) for task, found in mine.items()} | {"middle": table.middle}
    labels = tuple(f.label for f in kept)
    return Verdict("squeezenet_cost", sentence, word, because, rule, numbers, labels, left)


def squeezenet_best(fields: Sequence[Field], alpha: float) -> Verdict:
    """squeezenet1_1 is the best network for super-resolution.

    A setting supports if its best point is surely better than every point of every other network of the study
    (interval of its rank is 1 to 1), and contradicts if some network is surely better. A majority of the
    task's settings must agree and none say the opposite.
    """
    sentence = "squeezenet1_1 is the best network for super-resolution."
    rule = "surely better than every other network: supported; some network surely better: contradicted"
    task = "super-resolution"
    mine = [f for f in fields if f.task == task]
    kept, networks, left = usable(mine, ("squeezenet1_1",))
    if not kept or len(networks) < FEWEST_RANKED:
        because = (
            lacking(mine, ("squeezenet1_1",), 1, len(by_task(kept)))
            if mine
            else f"needs results of {task}; has none"
        )
        return Verdict("squeezenet_best", sentence, UNDECIDED, because, rule, left_out=left)
    count = Count(len(kept))
    found = [f.standing(f.study.only(networks), count.level(alpha)).of("squeezenet1_1") for f in kept]
    words: list[Word] = [
        SUPPORTED if h < 2 else CONTRADICTED if low >= 2 else UNDECIDED for _, low, h in found
    ]
    said = listed(
        [
            f"{f.label} {rank:.1f} ({low:.0f} to {high:.0f})"
            for f, (rank, low, high) in zip(kept, found, strict=True)
        ]
    )
    because = f"{counted(words)} ({count.needed} needed); rank of {len(networks)}: {said}"
    numbers = {f.label: values for f, values in zip(kept, found, strict=True)}
    labels = tuple(f.label for f in kept)
    return Verdict("squeezenet_best", sentence, count.word(words), because, rule, numbers, labels, left)
