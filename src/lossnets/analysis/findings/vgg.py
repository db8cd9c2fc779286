"""What the study says of the VGG networks: best without batch normalisation, poor with it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from lossnets.analysis.findings.ground import Field, by_task
from lossnets.analysis.findings.overall import (
    FEWEST_OTHERS,
    FEWEST_RANKED,
    FEWEST_TASKS,
    lacking,
    overall,
    usable,
)
from lossnets.analysis.findings.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Verdict, Word, listed

VGG = ("vgg11", "vgg16", "vgg19")


def vgg(fields: Sequence[Field], alpha: float) -> Verdict:
    """VGG networks without batch normalisation are best overall.

    Statistic: average rank over tasks of vgg11, vgg16 and vgg19, by their best points, among the study's
    networks. Supported: their mean is lower than that of any three networks by chance (exact permutation
    of which three, one-sided, alpha / 2), the best average rank is one of theirs, and no other network is
    surely better than all three. Contradicted: their mean is higher than by chance (alpha / 2), or
    another network's average rank is surely better than those of all three (intervals of ranks from the
    scatter of trainings, apart).
    """
    sentence = "VGG networks without batch normalisation are best overall."
    rule = (
        "average ranks of vgg11, vgg16, vgg19: lower than those of any three networks by chance, and the "
        "best is one of them: supported; higher, or another network surely better than all three: "
        "contradicted"
    )
    kept, networks, left = usable(fields, VGG)
    tasks = len(by_task(kept))
    if tasks < FEWEST_TASKS or len(networks) < FEWEST_OTHERS + len(VGG):
        because = lacking(fields, VGG, FEWEST_TASKS, tasks)
        return Verdict("vgg", sentence, UNDECIDED, because, rule, left_out=left)
    table = overall(kept, networks, alpha / 2)
    mine = [networks.index(name) for name in VGG]
    trios = np.array(list(itertools.combinations(range(len(networks)), len(VGG))))
    drawn = table.rank[trios].mean(axis=1)
    mean = float(table.rank[mine].mean())
    p_better = float((drawn <= mean + 1e-9).mean())
    p_worse = float((drawn >= mean - 1e-9).mean())
    beaten = [
        n
        for n, high in zip(networks, table.high, strict=True)
        if n not in VGG and high < table.low[mine].min()
    ]
    first = networks[int(np.argmin(table.rank))]
    word: Word = UNDECIDED
    if p_worse <= alpha / 2 or beaten:
        word = CONTRADICTED
    elif p_better <= alpha / 2 and first in VGG:
        word = SUPPORTED
    because = (
        f"average ranks {table.shown(VGG)} of {len(networks)}; p = {p_better:.2g} that "
        f"three networks rank so low by chance; the best is {first} ({table.rank.min():.2f})"
    )
    if beaten:
        because += f"; surely better than all three: {listed(beaten)}"
    numbers = {"ranks": table.numbers(), "p_better": p_better, "p_worse": p_worse, "best": first}
    return Verdict("vgg", sentence, word, because, rule, numbers, tuple(f.label for f in kept), left)


def vgg16_bn(fields: Sequence[Field], alpha: float) -> Verdict:
    """vgg16_bn is poor.

    Supported: the interval of its average rank lies in the worse half of the study's networks;
    contradicted: in the better half. The interval is the mean over tasks of simultaneous intervals of its
    rank, from the scatter of trainings (`Field.standing`).
    """
    sentence = "vgg16_bn is poor: VGG with batch normalisation ranks in the worse half."
    rule = "average rank surely in the worse half: supported; surely in the better half: contradicted"
    kept, networks, left = usable(fields, ("vgg16_bn",))
    tasks = len(by_task(kept))
    if tasks < FEWEST_TASKS or len(networks) < FEWEST_RANKED:
        because = lacking(fields, ("vgg16_bn",), FEWEST_TASKS, tasks)
        return Verdict("vgg16_bn", sentence, UNDECIDED, because, rule, left_out=left)
    table = overall(kept, networks, alpha)
    rank, low, high = table.of("vgg16_bn")
    word: Word = SUPPORTED if low > table.middle else CONTRADICTED if high < table.middle else UNDECIDED
    because = (
        f"average rank {rank:.2f} of {len(networks)} (surely {low:.2f} to {high:.2f}, middle "
        f"{table.middle:g})"
    )
    if "vgg16" in networks:
        because += f"; vgg16 without batch normalisation {table.of('vgg16')[0]:.2f}"
    numbers = {"rank": rank, "low": low, "high": high, "middle": table.middle, "ranks": table.numbers()}
    return Verdict("vgg16_bn", sentence, word, because, rule, numbers, tuple(f.label for f in kept), left)
