"""What a plan will take: runs, missing data and weights, and time and disk from measured throughput."""

from __future__ import annotations

import json
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from lossnets.benchmarks.base import Workload
from lossnets.benchmarks.engine.fit import Execution
from lossnets.errors import LossnetsError
from lossnets.home import atomic_write, home, make_folder
from lossnets.losses import load_loss, parse_loss
from lossnets.networks import network_spec
from lossnets.networks.inventory import weights_card
from lossnets.runs.losses import located
from lossnets.runs.plan import Plan, PlanEntry
from lossnets.version import __version__

logger = logging.getLogger("lossnets")

_PICTURES_BYTES = 2_000_000
_ITEM_BYTES = 100  # of a pair of images in the store
SIDE = 128
"""Losses are timed on one image of this side; time is taken to grow with the number of pixels."""
_REPEATS = 3

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Missing:
    """Something that the plan needs and this machine does not have.

    Attributes:
        kind: ``data`` or ``weights``.
        name: data set of which benchmark, or network.
        megabytes: to be downloaded (10^6 bytes); None where unknown.
        how: where to get it.
    """

    kind: str
    name: str
    megabytes: float | None
    how: str


@dataclass(frozen=True)
class EntryForecast:
    """One benchmark of the plan.

    Attributes:
        entry: of the plan.
        runs: their number.
        seconds: of all of them, one after the other on this machine; None where it was not measured.
        disk_bytes: that they leave: models, logs, pictures.
        note: what is not known.
    """

    entry: PlanEntry
    runs: int
    seconds: float | None
    disk_bytes: int
    note: str = ""


@dataclass(frozen=True)
class Forecast:
    """What a plan will take."""

    entries: tuple[EntryForecast, ...]
    missing: tuple[Missing, ...]

    @property
    def runs(self) -> int:
        """All runs."""
        return sum(entry.runs for entry in self.entries)

    @property
    def seconds(self) -> float | None:
        """Of all runs; None where something was not measured."""
        known = [entry.seconds for entry in self.entries]
        return None if None in known else sum(s for s in known if s is not None)

    @property
    def disk_bytes(self) -> int:
        """Of all runs."""
        return sum(entry.disk_bytes for entry in self.entries)


def forecast(plan: Plan, *, device: str = "cpu", tell: Tell = logger.info) -> Forecast:
    """Look for what is missing and time each loss and each benchmark's model on this machine.

    A loss is timed once, with random weights (the time is the same), one step of one image of
    `SIDE` pixels; the model of a benchmark with a step of its own. The figures are kept in the home
    of lossnets. Early stopping, testing, and the loading of images are not in the estimate.

    Args:
        plan: from `read_plan`.
        device: where the runs would be.
        tell: told what is being measured.
    """
    clock = Clock(Execution.parse(device).first, tell)
    entries = tuple(_entry(entry, clock, plan.folder) for entry in plan.entries)
    clock.keep()
    return Forecast(entries, (*_missing_data(plan), *_missing_weights(plan)))


class Clock:
    """Measured seconds of a training step and of a comparison, by loss and by benchmark."""

    def __init__(self, device: str, tell: Tell) -> None:
        self.device, self._tell = device, tell
        self._file = home() / "throughput.json"
        self._place = f"{device} {torch.get_num_threads()} threads torch {torch.__version__} {__version__}"
        self._all = self._read()
        self._known: dict[str, list[float]] = self._all.setdefault(self._place, {})

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def keep(self) -> None:
        """Write what was measured, for the next time; a home that cannot be written is no error."""
        try:
            make_folder(self._file.parent)
            with atomic_write(self._file, "w") as file:
                json.dump(self._all, file, indent=1)
        except LossnetsError as error:
            logger.debug("throughput is not kept: %s", error)

    def loss(self, name: str, folder: str) -> tuple[float, float]:
        """Seconds a megapixel of (forward and backward with an encoded target, encoding)."""
        spec = parse_loss(located(name, folder))
        if spec.family != "pixel":
            spec = replace(spec, weights="random-0", head="")
        if str(spec) not in self._known:
            self._tell(f"timing {name}")
            self._known[str(spec)] = list(self._time_loss(str(spec)))
        step, encode = self._known[str(spec)]
        return step, encode

    def _time_loss(self, name: str) -> tuple[float, float]:
        loss = load_loss(name, device=self.device)
        side = max(SIDE, int(getattr(loss, "min_size", 0) or 0))
        target, image = (torch.rand(1, 3, side, side, device=self.device) for _ in range(2))
        encoded = loss.encode(target)

        def step() -> None:
            output = image.clone().requires_grad_()
            loss(output, encoded).backward()

        megapixels = side * side / 1e6
        return self._median(step) / megapixels, self._median(lambda: loss.encode(target)) / megapixels

    def model(self, key: str, bare_step: Callable[[], int]) -> float:
        """Seconds an image of a training step without a loss network."""
        if key not in self._known:
            self._tell(f"timing the model of {key}")
            images = bare_step()
            self._known[key] = [self._median(bare_step) / images]
        return self._known[key][0]

    def _median(self, action: Callable[[], object]) -> float:
        action()  # the first call also starts things
        seconds = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            action()
            if self.device.startswith("cuda"):
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)


def _entry(entry: PlanEntry, clock: Clock, folder: str) -> EntryForecast:
    runs = entry.runs()
    try:
        benchmark: Any = entry.benchmark.make()
        load: Workload = benchmark.workload(entry.profile)
    except LossnetsError as error:  # its data are missing or malformed, and their size is not published
        return EntryForecast(entry, len(runs), None, 0, str(error))
    trained = load.model_bytes + _PICTURES_BYTES
    disk = len(runs) * (trained if entry.benchmark.trains else _ITEM_BYTES * load.pairs)
    other = set(entry.variants) - {"baseline"}
    notes = ["the training of variants is not in the estimate"] if other else []
    seconds: float | None = None
    per_image = 0.0
    if entry.benchmark.trains:
        key = f"{type(benchmark).__name__} {entry.profile} {entry.benchmark.settings}"
        per_image = clock.model(key, benchmark.bare_step(entry.profile, clock.device))
    try:
        seconds = sum(_run_seconds(run.loss, load, per_image, clock, folder) for run in runs)
    except LossnetsError as error:
        notes.append(str(error))
    return EntryForecast(entry, len(runs), seconds, disk, "; ".join(notes))


def _run_seconds(loss: str, load: Workload, per_image: float, clock: Clock, folder: str) -> float:
    step, encode = clock.loss(loss, folder)
    megapixels = load.side * load.side / 1e6
    images = load.steps * load.step_images
    training = images * (per_image + megapixels * (step * load.comparisons + encode))
    return training + load.pairs * megapixels * 2 * encode


def _missing_data(plan: Plan) -> list[Missing]:
    found: dict[str, Missing] = {}
    for entry in plan.entries:
        try:
            entry.benchmark.load()
        except LossnetsError as error:  # noqa: PERF203
            found.setdefault(str(error), Missing("data", str(entry.benchmark), None, str(error)))
    return list(found.values())


def _missing_weights(plan: Plan) -> list[Missing]:
    specs = [parse_loss(loss) for loss in plan.losses]
    networks = dict.fromkeys(s.network for s in specs if s.family != "pixel" and s.weights in ("", "default"))
    cards = [weights_card(network_spec(network)) for network in networks]
    return [
        Missing("weights", card.network, card.megabytes, f"lossnets weights fetch {card.network}")
        for card in cards
        if card.state in ("to be downloaded", "package not installed")
    ]
