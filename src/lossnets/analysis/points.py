"""Scores of one setting as an array: networks x points x seeds. What variance and verdicts are computed from.

Only losses that can be compared point by point are in: one tap, which is a point of the study, of the
design that most losses of the setting have, with weights that were trained. The rest is named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossnets.analysis.loss_facts import LossFacts, is_random, loss_facts
from lossnets.analysis.paired import power_of_two
from lossnets.analysis.results import Results
from lossnets.analysis.settings import Setting

Array = NDArray[np.float64]
DOUBLE = "several losses of this network and point"
LOST = ("failed", "running", "undefined", "missing", DOUBLE)
Z = 1.959963984540054  # half a 95 % interval of a normal estimate, in standard errors


@dataclass(frozen=True, eq=False)
class Points:
    """Scores of one setting, in the direction of better.

    Attributes:
        label: the setting, as in the ``setting`` column of every frame.
        task: of the setting.
        trains: whether chance has a part (`Setting.trains`).
        score: name of the headline score.
        networks: one for each row; weights that are not the published ones stand in parentheses.
        positions: of the study's points, early to late: one for each column.
        values: (networks, positions, seeds) signed so that more is better; NaN where there is none.
        errors: (networks, positions) standard errors by the items, NaN where no interval is known.
        taps: (networks, positions) names of the losses, empty where there is none.
        left_out: what the setting has and the array has not, with the reason.
        lost: of these, what would be in if its runs had gone through.
        failed: runs without a value, of losses that others of their seeds have kept in.
    """

    label: str
    task: str
    trains: bool
    score: str
    networks: tuple[str, ...]
    positions: tuple[int, ...]
    values: Array
    errors: Array
    taps: tuple[tuple[str, ...], ...]
    left_out: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    failed: int = 0

    @cached_property
    def means(self) -> Array:
        """(networks, positions) means over the seeds that there are; NaN where there is none."""
        counts = self.counts
        return np.where(counts > 0, np.nansum(self.values, axis=2) / np.maximum(counts, 1), np.nan)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(networks, positions) seeds behind each mean."""
        found: NDArray[np.int64] = np.isfinite(self.values).sum(axis=2)
        return found

    @cached_property
    def best(self) -> Array:
        """(networks,) the mean of each network's best point."""
        filled = np.where(np.isfinite(self.means), self.means, -np.inf)
        found = filled.max(axis=1, initial=-np.inf)
        return np.where(np.isfinite(found), found, np.nan)

    @cached_property
    def average(self) -> Array:
        """(networks,) mean over the points; NaN for a network that lacks one that another has."""
        return self.means.mean(axis=1) if self.positions else np.full(len(self.networks), np.nan)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Networks that lack a point: ``resnet18 without point 3``."""
        lacking = (
            (n, np.flatnonzero(~np.isfinite(row))) for n, row in zip(self.networks, self.means, strict=True)
        )
        return tuple(
            f"{name} without point {' and '.join(str(self.positions[i]) for i in where)}"
            for name, where in lacking
            if len(where)
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is missing from the array, for people: points, runs, seeds."""
        found = [*self.gaps, *self.lost]
        if self.failed:
            found.append(f"{self.failed} failed runs of losses that have other seeds")
        counts = self.counts[self.counts > 0]
        if self.trains and len(counts):
            low, high = int(counts.min()), int(counts.max())
            if high == 1:
                found.append("one seed: the scatter between trainings is unknown")
            elif low < high:
                found.append(f"{low} to {high} seeds a loss")
        return tuple(f"{self.label}: {text}" for text in found)

    @cached_property
    def unit(self) -> float:
        """A power of two near the largest score: in it, squares neither overflow nor vanish."""
        return power_of_two(self.values)

    def in_unit(self) -> Points:
        """The same in multiples of `unit`; every ratio, F and p stays what it is, to the last bit."""
        return replace(self, values=self.values / self.unit, errors=self.errors / self.unit)

    def only(self, networks: Iterable[str]) -> Points:
        """These networks, in the order that they have here."""
        wanted = set(networks)
        rows = [i for i, name in enumerate(self.networks) if name in wanted]
        return replace(
            self,
            networks=tuple(self.networks[i] for i in rows),
            taps=tuple(self.taps[i] for i in rows),
            values=self.values[rows],
            errors=self.errors[rows],
        )

    def distinct(self) -> tuple[Points, tuple[str, ...]]:
        """Each architecture once, with the published weights where it has them; and what that leaves out."""
        names = [network.partition(" (")[0] for network in self.networks]
        first = {name: i for i, name in reversed(list(enumerate(names)))}
        first |= {name: i for i, name in enumerate(names) if self.networks[i] == name}
        kept = {self.networks[i] for i in first.values()}
        return self.only(kept), tuple(network for network in self.networks if network not in kept)

    def tap_facts(self, attribute: str) -> Array:
        """(networks, positions) an attribute of the points as numbers; NaN where it is not known."""
        found = np.full(self.means.shape, np.nan)
        for i, j in zip(*np.nonzero(np.isfinite(self.means)), strict=True):
            value = getattr(loss_facts(self.taps[i][j]), attribute)
            found[i, j] = np.nan if value is None else float(value)
        return found

    def facts(self, attribute: str) -> Array:
        """(networks,) an attribute of the networks as numbers; NaN where it is not known."""
        losses = (next(loss for loss in row if loss) for row in self.taps)
        found = (getattr(loss_facts(loss), attribute) for loss in losses)
        return np.array([np.nan if value is None else float(value) for value in found])


def network_name(facts: LossFacts) -> str:
    """The network with its weights, where they are not the published ones: ``vgg16 (edges.safetensors)``.

    >>> network_name(loss_facts("vgg16/relu3_3:weights=data/edges.safetensors"))
    'vgg16 (data/edges.safetensors)'
    """
    if facts.weights in ("", "default") or is_random(facts.weights):
        return str(facts.architecture)
    return f"{str(facts.architecture).partition(' (')[0]} ({facts.weights})"


def points_of(results: Results, setting: Setting) -> Points:
    """Array of a setting's losses that can be compared point by point.

    A point of a network that two losses claim (two designs of one name, two files) is left out: which of
    them is meant cannot be told.
    """
    label, headline = results.labels[setting], results.headlines.get(setting)
    cells = results.cells[results.cells["setting"] == label]
    kept, left = _kept(cells.to_dict("records"))
    left_out = tuple(f"{', '.join(sorted(set(names)))} ({why})" for why, names in left.items())
    lost = tuple(f"{', '.join(sorted(set(left[why])))} {why}" for why in LOST if why in left)
    networks = tuple(dict.fromkeys(network for network, _ in kept))
    positions = tuple(sorted({position for _, position in kept}))
    scores = _seeds(results, label, headline.score if headline else "")
    seeds = sorted({seed for cell in kept.values() for seed in scores[cell["loss"], cell["signature"]]})
    values = np.full((len(networks), len(positions), len(seeds)), np.nan)
    errors = np.full(values.shape[:2], np.nan)
    for (network, position), cell in kept.items():
        where = networks.index(network), positions.index(position)
        for seed, value in scores[cell["loss"], cell["signature"]].items():
            values[(*where, seeds.index(seed))] = value if cell["higher_is_better"] else -value
        errors[where] = _error(cell)
    names = {place: cell["loss"] for place, cell in kept.items()}
    taps = tuple(tuple(names.get((network, place), "") for place in positions) for network in networks)
    score = headline.score if headline else ""
    return Points(
        label, setting.task, setting.trains, score, networks, positions, values, errors,
        taps, left_out, lost, sum(int(cell["failed"]) for cell in kept.values()),
    )  # fmt: skip


def _error(cell: dict[str, Any]) -> float:
    """Standard error by the cell's 95 % interval; NaN without one (None where no cell of a frame has one)."""
    low, high = cell["low"], cell["high"]
    return float("nan") if low is None or high is None else (float(high) - float(low)) / (2 * Z)


def _kept(
    cells: Sequence[dict[str, Any]],
) -> tuple[dict[tuple[str, int], dict[str, Any]], dict[str, list[str]]]:
    """Cells by network and position, and the contenders that were left out, by reason."""
    reasons = {id(cell): _why_not(cell) for cell in cells}
    places = {
        id(c): (network_name(loss_facts(c["loss"])), int(c["position"])) for c in cells if not reasons[id(c)]
    }
    doubles = Counter(places.values())
    kept: dict[tuple[str, int], dict[str, Any]] = {}
    left: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        if reasons[id(cell)]:
            if reasons[id(cell)] != "reference":
                left[reasons[id(cell)]].append(cell["contender"])
        elif doubles[places[id(cell)]] > 1:
            left[DOUBLE].append(cell["contender"])
        else:
            kept[places[id(cell)]] = cell
    return kept, left


def _why_not(cell: dict[str, Any]) -> str:
    facts = loss_facts(cell["loss"])
    if cell["state"] == "reference":
        return "reference"
    if facts.architecture is None:
        return "no network"
    if facts.taps != 1:
        return "several taps"
    if facts.position is None:
        return "not a point of the study"
    if is_random(facts.weights):
        return "random weights"
    if not cell["main"]:
        return "another design"
    return "" if cell["state"] == "ranked" else str(cell["state"])


def _seeds(results: Results, label: str, score: str) -> dict[tuple[str, str], dict[int, float]]:
    frame = results.scores
    wanted = (frame["setting"] == label) & (frame["score"] == score) & (frame["split"] == "overall")
    rows = frame[wanted & frame["value"].notna()]
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    columns = (rows[name] for name in ("loss", "signature", "seed", "value"))
    for loss, signature, seed, value in zip(*columns, strict=True):
        found[str(loss), str(signature)][int(seed)] = float(value)
    return found
