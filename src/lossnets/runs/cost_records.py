"""What a loss costs, as records: time, memory, ratio to the pixel loss, and the machine; read and written.

A cost is kept by the name of its loss without ``weights=`` (`cost_key`): the same arithmetic is done
whatever the numbers in the weights are, so that a loss is measured with random weights and needs none.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from lossnets.benchmarks.engine.fit import Execution
from lossnets.errors import DataError, LossnetsError
from lossnets.home import atomic_write, make_folder
from lossnets.losses import parse_loss
from lossnets.version import __version__

FORMAT = "lossnets costs 1"
ALONE = ""
"""The task of a cost that is of the loss alone: forward and backward, with an encoded target."""


@dataclass(frozen=True)
class Machine:
    """What a cost was measured on.

    Attributes:
        name: of the processor, or of the GPU.
        threads: that torch computed with.
        torch: version.
        lossnets: version.
        system: operating system and architecture.
    """

    name: str
    threads: int
    torch: str
    lossnets: str
    system: str

    def __str__(self) -> str:
        plural = "" if self.threads == 1 else "s"
        return f"{self.name}, {self.threads} thread{plural}, torch {self.torch}"


@dataclass(frozen=True)
class Cost:
    """Time and memory of one loss on one device; None where it was not measured.

    Attributes:
        loss: loss name without weights (`cost_key`).
        task: whose training step was timed; `ALONE` (empty): the loss itself.
        device: ``cpu``, ``cuda``, ...
        images: in a step.
        side: height and width in pixels of what the loss compares.
        rounds: that were timed.
        seconds: of a step, median over the rounds, with its quartiles.
        seconds_low: lower quartile.
        seconds_high: upper quartile.
        baseline: the pixel loss that took turns with it.
        ratio: seconds over those of the baseline in the same round, median.
        ratio_low: lower quartile.
        ratio_high: upper quartile.
        memory: bytes; the most that a process has, above what it had before anything was loaded, while it
            compares the images (not while it loads the network). Only of the loss alone.
        measured: date and time, UTC.
        machine: where.
        error: why there is nothing; empty where there is.
    """

    loss: str
    task: str
    device: str
    images: int
    side: int
    rounds: int
    machine: Machine
    measured: str
    baseline: str
    seconds: float | None = None
    seconds_low: float | None = None
    seconds_high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    memory: int | None = None
    error: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """(loss, task, device): a later measurement of the same replaces an earlier one."""
        return self.loss, self.task, self.device

    @property
    def milliseconds(self) -> float | None:
        """Of a step, for one image."""
        return None if self.seconds is None else 1e3 * self.seconds / self.images


@lru_cache(maxsize=4096)
def cost_key(loss: str) -> str:
    """The name that costs of a loss are kept by: canonical, without its weights.

    A name that cannot be parsed here (a network of the user's own) is kept, without ``weights=``.

    >>> cost_key("vgg16/features.15:weights=data/mine.safetensors")
    'vgg16/relu3_3'
    """
    try:
        return str(replace(parse_loss(loss), weights="default"))
    except LossnetsError:
        return ":".join(part for part in loss.split(":") if not part.startswith("weights="))


def this_machine(device: str = "cpu") -> Machine:
    """The machine that this runs on; the name is the GPU's for a CUDA device."""
    first = Execution.parse(device).first
    name = torch.cuda.get_device_name(first) if first.startswith("cuda") else _processor()
    system = f"{platform.system()} {platform.machine()}"
    return Machine(name, torch.get_num_threads(), torch.__version__, __version__, system)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine() or "unknown processor"


def merge_costs(old: Iterable[Cost], new: Iterable[Cost]) -> list[Cost]:
    """Both, a new measurement in the place of an old one of the same key; an error replaces only an error."""
    merged = {cost.key: cost for cost in old}
    for cost in new:
        known = merged.get(cost.key)
        if known is None or known.error or not cost.error:
            merged[cost.key] = cost
    return list(merged.values())


def write_costs(costs: Sequence[Cost], path: str | Path) -> None:
    """Write a file of costs, whole or not at all.

    Raises:
        DataError: it cannot be written.
        ConfigError: its folder cannot be made.
    """
    machines = list(dict.fromkeys(cost.machine for cost in costs))
    rows = [asdict(cost) | {"machine": machines.index(cost.machine)} for cost in costs]
    lines = ",\n  ".join(json.dumps(row, allow_nan=False) for row in rows)
    head = json.dumps([asdict(machine) for machine in machines])
    make_folder(Path(path).absolute().parent)
    with atomic_write(path, "w", error=DataError) as file:
        file.write(f'{{"format": "{FORMAT}",\n "machines": {head},\n "costs": [\n  {lines}\n ]}}\n')


def read_costs(path: str | Path) -> list[Cost]:
    """Read a file of costs.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the file of costs {str(path)!r} cannot be read: {error}") from error
    return parse_costs(text, str(path))


def parse_costs(text: str, name: str = "costs") -> list[Cost]:
    """The costs of a file's text.

    Raises:
        DataError: it is none that ``lossnets profile`` has written.
    """
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
        machines = [Machine(**machine) for machine in content["machines"]]
        return [_cost(row, machines) for row in content["costs"]]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(
            f"{name} is no file of costs: {type(error).__name__}: {error}. "
            "Move it away and measure anew: lossnets profile"
        ) from error


_NUMBERS = tuple(field.name for field in fields(Cost) if "float" in str(field.type))


def _cost(row: dict[str, Any], machines: list[Machine]) -> Cost:
    cost = Cost(**row | {"machine": machines[row["machine"]]})
    for name in _NUMBERS:
        value = getattr(cost, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} of {cost.loss!r} must be a number, 0 or more; got {value!r}")
    return cost
