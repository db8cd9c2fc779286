"""What the judging of a gradient network finds, as records: rivals, points of a curve, fits.

Numbers that do not exist (not finite, not measured) are NaN here and null in JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lossnets.errors import DataError

Progress = Callable[[int, int, str], None]
"""Called with (parts done, parts in all, what comes next)."""

MEASURES = ("true", "l1", "psnr", "ssim")
"""What is measured of a fit: true perceptual loss, mean absolute error, PSNR in dB, SSIM."""

DIVERGED = 2.0
"""A fit has diverged when its true loss exceeds this many times that of its start (Nikulin et al. 2021)."""


@dataclass(frozen=True)
class RivalRecord:
    """One way of getting a gradient, as text.

    Attributes:
        key: short name, unique among rivals: ``true``, ``pgn``, ``mse``, ``pgn+mse``, ``cut-2``, ...
        letter: of its kind: a true loss, b PGN, c MSE, d PGN + small MSE, e true loss cut after its first
            taps, f at half resolution, g on a random crop, h every k-th step, i mean absolute error.
        title: for tables and pictures.
        loss: a loss name that can be pasted into ``load_loss``; "" where no name says it.
        python: an expression that gives the loss; x, y are images (N, 3, H, W) in [0, 1].
        plain: whether it needs no gradient network and is not the true loss itself.
        period: steps over which its cost is averaged (every k-th step: k).
        smallest: side in pixels of the smallest images that it takes.
        signature: everything that changes its gradient.
    """

    key: str
    letter: str
    title: str
    loss: str
    python: str
    plain: bool
    period: int
    smallest: int
    signature: str


@dataclass(frozen=True)
class Point:
    """Where a fit is after some steps; NaN where the image is not finite any more."""

    step: int
    true: float
    l1: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Fit:
    """One image, fitted by one generator that one rival drives.

    Attributes:
        generator: its kind.
        rival: key of the rival.
        seed: of the generator's initialisation.
        image: name of the image.
        steps: that were made; fewer than asked for only where fits stop early.
        curve: points from step 0, the equal start, to the last.
        diverged_at: first checked step whose true loss is above `DIVERGED` times the start, or is not a
            finite number; None: never.
        plateau_at: first checked step that lies ``patience`` steps behind the lowest true loss so far;
            None: never.
        seconds: of the fit; its share where several images were fitted at once.
    """

    generator: str
    rival: str
    seed: int
    image: str
    steps: int
    curve: tuple[Point, ...]
    diverged_at: int | None
    plateau_at: int | None
    seconds: float

    @property
    def start(self) -> Point:
        """The point before the first step; the same for all rivals."""
        return self.curve[0]

    @property
    def end(self) -> Point:
        """The point after the last step."""
        return self.curve[-1]

    @property
    def diverged(self) -> bool:
        """Whether the true loss ever rose above `DIVERGED` times its start."""
        return self.diverged_at is not None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; numbers that are not finite are None."""
        found: dict[str, Any] = plain(asdict(self))
        return found

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Fit:
        """Read what `as_dict` wrote.

        Raises:
            DataError: entries are missing, unknown or of the wrong kind.
        """
        curve = tuple(build(Point, point) for point in record.get("curve") or ())
        fit: Fit = build(cls, {**record, "curve": curve})
        if not curve:
            raise DataError(f"the fit of {fit.image!r} has no curve; leave it out, and fit again")
        return fit


def plain(value: Any) -> Any:
    """Values for JSON: records and tuples become dictionaries and lists, numbers that are not finite None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def build(cls: type[Any], record: Mapping[str, Any]) -> Any:
    """A record of a class from plain values; None becomes NaN where the class wants a float.

    Raises:
        DataError: entries are missing or unknown.
    """
    known = {f.name: str(f.type) for f in fields(cls)}
    if not isinstance(record, Mapping) or set(record) != set(known):
        got = sorted(record) if isinstance(record, Mapping) else type(record).__name__
        raise DataError(f"a {cls.__name__} has the entries {', '.join(known)}; got {got}")
    values = {k: math.nan if v is None and known[k] == "float" else v for k, v in record.items()}
    return cls(**values)
