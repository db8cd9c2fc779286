"""Results that are drawn at random from effects that the test chooses: what is planted must be found.

How to use it:

- in this folder: ``from .simulate import simulated`` (the folder is a package, as the benchmarks' are);
- in any other test: take the fixture ``simulated`` of ``tests/conftest.py``, which is this same function::

    def test_something(simulated):
        results = simulated(np.random.default_rng(1), architectures=4, seeds=5)

A run's value is, in the direction of better,

    0.5 + architecture + position + architecture x position + seed (shared by all losses) + scatter

with the study's networks and points as losses, so that `loss_facts` knows them. Effects are drawn
normal, of the given standard deviations; ``effects`` plants them instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossnets.analysis import Results
from lossnets.networks import network_spec
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Failure, RunRecord, ScoreRecord

NETWORKS = (
    "vgg16", "alexnet", "squeezenet1_1", "vgg11", "resnet18", "vgg16_bn", "vgg19", "googlenet", "resnet50",
    "densenet121", "efficientnet_b0", "inception_v3", "resnext50_32x4d", "efficientnet_b7",
)  # fmt: skip
"""The study's networks, those that are quick to look up first."""
TASKS = {  # task -> benchmark, headline score, unit, whether chance has a part, options of the loss
    "similarity": ("similarity-triplets", "2afc_score", "fraction", False, ":unit-spatial-sum"),
    "super-resolution": ("super-resolution-folders", "psnr_y_matched", "dB", True, ""),
    "delineation": ("delineation-folders", "quality", "fraction", True, ""),
    "autoencoding": ("autoencoding-folders", "accuracy", "fraction", True, ""),
}


def study_losses(architectures: int = 6, positions: int = 4) -> list[str]:
    """Names ``network/tap``, architecture by architecture, taps early to late."""
    return [
        f"{name}/{tap}" for name in NETWORKS[:architectures] for tap in network_spec(name).points[:positions]
    ]


def simulated(
    rng: np.random.Generator,
    *,
    architectures: int = 6,
    positions: int = 4,
    settings: Sequence[str] = tuple(TASKS),
    seeds: int = 3,
    architecture_sd: float = 0.03,
    position_sd: float = 0.03,
    interaction_sd: float = 0.02,
    seed_sd: ArrayLike = 0.01,
    item_sd: float = 0.01,
    shared_seed_sd: float = 0.0,
    agreement: float = 1.0,
    position_effect: ArrayLike | Mapping[str, ArrayLike] | None = None,
    effects: ArrayLike | Mapping[str, ArrayLike] | None = None,
    missing: float = 0.0,
    failed: float = 0.0,
    higher_is_better: bool = True,
) -> Results:
    """Draw results of `architectures` x `positions` losses in every setting.

    Args:
        rng: source of all chance.
        architectures: 1 to 14, in the order of `NETWORKS`.
        positions: 1 to 4 points of each, early to late.
        settings: task names; of a task with several data sets, ``"autoencoding/other"`` and so on.
        seeds: runs of each loss where something is trained; similarity has one.
        architecture_sd: of the architectures' effects.
        position_sd: of the positions' effects.
        interaction_sd: of each loss's own effect.
        seed_sd: scatter between trainings; a number, or one for each loss (architectures x positions).
        item_sd: error of a similarity score by its sample of items: its scatter, and of every score
            1.96 of it on either side of the value are the interval.
        shared_seed_sd: of what a seed does to all losses of a setting alike (a block effect).
        agreement: 0 to 1, correlation of the drawn effects between any two settings; 1: the same effects.
        position_effect: planted effects of the positions (added to the drawn ones), or by task.
        effects: planted effects (architectures, positions) instead of all drawn ones, or by setting or task.
        missing: probability that a loss was not run in a setting.
        failed: probability that a run failed.
        higher_is_better: direction of every score; False turns the signs of all values.
    """
    shape = architectures, positions
    sds = (architecture_sd, position_sd, interaction_sd)
    common, records = _drawn(rng, shape, sds), []
    for name in settings:
        task = name.partition("/")[0]
        own = np.sqrt(agreement) * common + np.sqrt(1 - agreement) * _drawn(rng, shape, sds)
        planted = _of_setting(effects, name, task)
        signed = own if planted is None else np.broadcast_to(planted, shape)
        later = _of_setting(position_effect, name, task)
        signed = signed if later is None else signed + later
        trains = TASKS[task][3]
        count = seeds if trains else 1
        sd = np.broadcast_to(seed_sd if trains else item_sd, shape).astype(float)
        values = 0.5 + signed[..., None] + sd[..., None] * rng.standard_normal((*shape, count))
        values = values + shared_seed_sd * trains * rng.standard_normal(count)
        states = _states(rng, values.shape, missing, failed)
        records += _records(name, values if higher_is_better else -values, states, item_sd, higher_is_better)
    return Results(tuple(records), "simulated runs")


def _drawn(
    rng: np.random.Generator, shape: tuple[int, int], sds: tuple[float, float, float]
) -> NDArray[np.float64]:
    architecture, position = rng.standard_normal((shape[0], 1)), rng.standard_normal((1, shape[1]))
    return sds[0] * architecture + sds[1] * position + sds[2] * rng.standard_normal(shape)


def _of_setting(planted: Any, name: str, task: str) -> NDArray[np.float64] | None:
    if isinstance(planted, Mapping):
        planted = planted.get(name, planted.get(task))
    return None if planted is None else np.asarray(planted, dtype=float)


def _states(
    rng: np.random.Generator, shape: tuple[int, ...], missing: float, failed: float
) -> NDArray[np.str_]:
    states = np.where(rng.random(shape) < failed, "failed", "done")
    return np.where((rng.random(shape[:2]) < missing)[..., None], "missing", states)


def _records(
    name: str, values: NDArray[np.float64], states: NDArray[np.str_], item_sd: float, higher: bool
) -> list[RunRecord]:
    task, _, data = name.partition("/")
    benchmark, score, unit, _, options = TASKS[task]
    losses = [f"{loss}{options}" for loss in study_losses(*values.shape[:2])]
    half, out = 1.96 * item_sd, []
    for index, state in np.ndenumerate(states):
        if state == "missing":
            continue
        loss = losses[index[0] * values.shape[1] + index[1]]
        config = RunConfig(loss, f"{loss}|1", benchmark, data or task, f"sha256:{name}", seed=index[2])
        if state == "failed":
            out.append(RunRecord(config, "failed", failure=Failure("DataError", "broken.png")))
            continue
        value = float(values[index])
        scored = ScoreRecord(score, value, unit, higher, low=value - half, high=value + half, n=100)
        out.append(RunRecord(config, "done", scores=(scored,), seconds=60.0))
    return out
