"""What a plan will take: runs, missing data and weights, and time and disk from measured throughput."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lossnets.benchmarks.base import Workload, benchmark_class
from lossnets.benchmarks.engine.fit import Execution
from lossnets.datasets.catalogue import card
from lossnets.datasets.places import locate
from lossnets.errors import ImageError, LossnetsError
from lossnets.home import atomic_write, home, make_folder
from lossnets.losses import ImageLoss, load_loss, parse_loss
from lossnets.losses.families import family_names
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
_REPEATS = 2

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Missing:
    """Something that the plan needs and this machine does not have.

    Attributes:
        kind: ``data``, ``unreadable`` (an image of the data) or ``weights``.
        name: data set, benchmark whose data are incomplete, or network.
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


def missing(plan: Plan) -> tuple[Missing, ...]:
    """Data sets and weights that the plan needs and this machine does not have."""
    return (*_missing_data(plan), *_missing_weights(plan))


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
    return Forecast(entries, missing(plan))


class Clock:
    """Measured seconds of a training step and of a comparison, by loss and by benchmark."""

    def __init__(self, device: str, tell: Tell) -> None:
        self.device, self._tell = device, tell
        self._file = home() / "throughput.json"
        self._place = f"{device} {torch.get_num_threads()} threads torch {torch.__version__} {__version__}"
        self._all = self._read()
        self._known: dict[str, float] = self._all.setdefault(self._place, {})

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

    def encode(self, name: str, folder: str) -> float:
        """Seconds a megapixel of encoding a target: one pass through the network."""

        def measure(loss: ImageLoss, image: Tensor) -> float:
            return self._least(lambda: loss.encode(image))

        return self._loss("encoding", name, folder, measure)

    def step(self, name: str, folder: str) -> float:
        """Seconds a megapixel of forward and backward with an encoded target."""

        def measure(loss: ImageLoss, image: Tensor) -> float:
            encoded = loss.encode(image)
            return self._least(lambda: loss(image.flip(-1).requires_grad_(), encoded).backward())

        return self._loss("step", name, folder, measure)

    def _loss(
        self, what: str, name: str, folder: str, measure: Callable[[ImageLoss, Tensor], float]
    ) -> float:
        spec = parse_loss(located(name, folder))
        if spec.family not in ("pixel", *family_names()):
            spec = replace(spec, weights="random-0", head="")
        key = f"{what} {spec}"
        if key not in self._known:
            self._tell(f"timing {name} ({what})")
            loss = load_loss(spec, device=self.device)
            side = max(SIDE, int(getattr(loss, "min_size", 0) or 0))
            seconds = measure(loss, torch.rand(1, 3, side, side, device=self.device))
            self._known[key] = seconds / (side * side / 1e6)
            self.keep()
        return self._known[key]

    def model(self, key: str, bare_step: Callable[[], int], name: str) -> float:
        """Seconds an image of a training step without a loss network."""
        if key not in self._known:
            self._tell(f"timing the model of {name}")
            images = bare_step()  # the first call also starts things
            self._known[key] = self._least(bare_step, warm=True) / images
            self.keep()
        return self._known[key]

    def _least(self, action: Callable[[], object], *, warm: bool = False) -> float:
        if not warm:
            action()  # the first call also starts things
        seconds = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            action()
            if self.device.startswith("cuda"):
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return min(seconds)  # what else the machine does only adds


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
        settings = (load.side, benchmark.protocol(entry.profile), entry.benchmark.settings)
        key = f"{entry.benchmark.name} {settings}"
        step = benchmark.bare_step(entry.profile, clock.device)
        per_image = clock.model(key, step, entry.benchmark.name)
    try:
        seconds = sum(_run_seconds(run.loss, load, per_image, clock, folder) for run in runs)
    except LossnetsError as error:
        notes.append(str(error))
    return EntryForecast(entry, len(runs), seconds, disk, "; ".join(notes))


def _run_seconds(loss: str, load: Workload, per_image: float, clock: Clock, folder: str) -> float:
    megapixels = load.side * load.side / 1e6
    seconds = load.pairs * megapixels * 2 * clock.encode(loss, folder)
    images = load.steps * load.step_images
    if images:
        per_comparison = load.comparisons * clock.step(loss, folder) + clock.encode(loss, folder)
        seconds += images * (per_image + megapixels * per_comparison)
    return seconds


def _missing_data(plan: Plan) -> list[Missing]:
    found: dict[str, Missing] = {}
    for entry in plan.entries:
        try:
            entry.benchmark.load()
        except LossnetsError as error:  # noqa: PERF203
            for item in _lacking_sets(entry) or [_lacking(entry, error)]:
                found.setdefault(item.how, item)
    return list(found.values())


def _lacking_sets(entry: PlanEntry) -> list[Missing]:
    """Data sets of the catalogue that the benchmark looks for, and that are not here."""
    needs: Sequence[str] = getattr(benchmark_class(entry.benchmark.name), "needs", ())
    given = {"root", *needs} & set(entry.benchmark.options)
    names = [] if "root" in given else [name for name in needs if name not in given]
    sizes = {name: card(name).fetch_size for name in names if locate(name) is None}
    return [
        Missing("data", name, None if size is None else size / 1e6, f"lossnets data fetch {name}")
        for name, size in sizes.items()
    ]


def _lacking(entry: PlanEntry, error: LossnetsError) -> Missing:
    kind = "unreadable" if isinstance(error, ImageError) else "data"
    return Missing(kind, str(entry.benchmark), None, str(error))


def _missing_weights(plan: Plan) -> list[Missing]:
    specs = [parse_loss(loss) for loss in plan.losses]
    loaded = [s for s in specs if s.family not in ("pixel", *family_names()) and s.weights in ("", "default")]
    networks = dict.fromkeys(s.network for s in loaded)
    cards = [weights_card(network_spec(network)) for network in networks]
    return [
        Missing("weights", card.network, card.megabytes, f"lossnets weights fetch {card.network}")
        for card in cards
        if card.state in ("to be downloaded", "package not installed")
    ]
