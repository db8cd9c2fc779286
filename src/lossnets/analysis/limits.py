"""What a loss may cost: limits as people write them, and whether a measured cost keeps to one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lossnets.errors import ConfigError

TIME_FORMS = "2x-pixel (training step against that with the pixel loss), 5ms or 0.5s (loss alone, one image)"
MEMORY_FORMS = "500MB, 2GB (powers of 1000), 512MiB, 2GiB (powers of 1024)"
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)(?:[eE]\+?(\d{1,2}))?"
_TIME = re.compile(rf"{_NUMBER}\s*(x-pixel|ms|s)")
_MEMORY = re.compile(rf"{_NUMBER}\s*([kKMGT]?)(i?)B")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True)
class Limit:
    """An upper limit on a column of `Costs.of`.

    Attributes:
        column: ``step_ratio``, ``ms_per_image`` or ``memory``.
        most: in the unit of the column; a loss that costs exactly this is within.
        text: as it was written.
    """

    column: Literal["step_ratio", "ms_per_image", "memory"]
    most: float
    text: str

    def keeps(self, cost: Mapping[str, Any]) -> bool | None:
        """Whether a cost is within the limit; None where it was not measured."""
        value = float(cost[self.column])
        return None if math.isnan(value) else value <= self.most

    def shown(self, cost: Mapping[str, Any]) -> str:
        """The cost that the limit is about, for people."""
        return show_cost(self.column, float(cost[self.column]))


def time_limit(text: str) -> Limit:
    """Read a limit on time.

    Raises:
        ConfigError: it has another form.

    >>> time_limit("2x-pixel").column, time_limit("0.5 s").most
    ('step_ratio', 500.0)
    """
    found = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    number = _value(found)
    if found is None or number is None:
        raise ConfigError(f"max_time must be like {TIME_FORMS}; got {text!r}")
    if found[3] == "x-pixel":
        return Limit("step_ratio", number, text)
    return Limit("ms_per_image", number * (1000 if found[3] == "s" else 1), text)


def memory_limit(text: str) -> Limit:
    """Read a limit on memory, in bytes.

    Raises:
        ConfigError: it has another form.

    >>> memory_limit("500MB").most, memory_limit("2GiB").most
    (500000000.0, 2147483648.0)
    """
    found = _MEMORY.fullmatch(text.strip()) if isinstance(text, str) else None
    number = _value(found)
    if found is None or number is None or (found[4] and not found[3]):
        raise ConfigError(f"max_memory must be like {MEMORY_FORMS}; got {text!r}")
    return Limit("memory", number * (1024.0 if found[4] else 1000.0) ** _POWERS[found[3].upper()], text)


def _value(found: re.Match[str] | None) -> float | None:
    """The number, where it is above 0."""
    number = float(found[1]) * 10.0 ** int(found[2] or 0) if found else 0.0
    return number if number > 0 else None


def show_cost(column: str, value: float) -> str:
    """A cost for people.

    >>> show_cost("step_ratio", 1.234), show_cost("ms_per_image", 0.5), show_cost("memory", 123456789.0)
    ('1.23x-pixel', '0.500ms', '123MB')
    """
    if math.isnan(value):
        return "not measured"
    if column == "memory":
        return f"{value / 1e6:.0f}MB"
    digits = f"{value:.3g}" if value >= 100 else f"{value:#.3g}"
    return f"{digits.rstrip('.')}{'x-pixel' if column == 'step_ratio' else 'ms'}"


def admitting(column: str, value: float) -> str:
    """The smallest round limit, as text, that admits this cost.

    >>> admitting("step_ratio", 1.234), admitting("ms_per_image", 0.5), admitting("memory", 123456789.0)
    ('1.3x-pixel', '0.5ms', '130MB')
    """
    number = value / 1e6 if column == "memory" else value
    power = 10.0 ** (math.floor(math.log10(number)) - 1) if number > 0 else 1.0
    rounded = math.ceil(round(number / power, 9)) * power
    return f"{rounded:.6g}" + {"memory": "MB", "step_ratio": "x-pixel"}.get(column, "ms")
