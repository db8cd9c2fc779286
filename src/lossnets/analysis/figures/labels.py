"""Labels of points that hide neither each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.style import SMALL

if TYPE_CHECKING:
    from lossnets.analysis.figures.canvas import Drawing

_Box = tuple[float, float, float, float]
_REACH = (7.0, 16.0, 28.0, 42.0, 60.0)  # points away from what is named
_DIRECTIONS = (
    (0.7, 0.8, "left"), (-0.7, 0.8, "right"), (0.7, -0.8, "left"), (-0.7, -0.8, "right"), (1.0, 0.0, "left"),
    (-1.0, 0.0, "right"), (0.0, 1.0, "center"), (0.0, -1.0, "center"), (0.4, 0.95, "left"),
    (0.4, -0.95, "left"), (-0.4, 0.95, "right"), (-0.4, -0.95, "right"), (0.95, 0.4, "left"),
    (0.95, -0.4, "left"),
)  # fmt: skip


def place_labels(
    figure: Drawing,
    axes: Any,
    labels: Sequence[tuple[float, float, str]],
    points: Sequence[tuple[float, float]],
    lines: Sequence[tuple[float, float, float, float]] = (),
) -> None:
    """Write each text near its point, at the first free place; one without a free place is left out.

    Greedy, in the order given. The figure is laid out first, so this must be the last thing drawn.

    Args:
        figure: whole.
        axes: of the points.
        labels: (x, y, text) of each, in data coordinates.
        points: (x, y) of all points.
        lines: (x, y, x, y) of lines across or down that no label may cross.
    """
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    frame = axes.get_window_extent()
    room = (frame.x0, frame.y0, frame.x1, frame.y1)
    taken: list[_Box] = [_around(axes.transData.transform(p), 4.5 * scale) for p in points]
    taken += [_along(axes.transData.transform([line[:2], line[2:]]), scale) for line in lines]
    marks = taken[: len(points)]
    written: list[_Box] = []
    waiting = [(x, y, text, _size(figure, text)) for x, y, text in labels]
    for away in _REACH:  # what finds room beside its point comes before what needs a line to it
        rest = []
        for x, y, text, size in waiting:
            spot = tuple(axes.transData.transform((x, y)))
            others = [mark for mark in marks if not _touch(mark, _around(spot, 1.0))]
            found = _place(spot, size, away * scale, room, taken, [*written, *others])
            if found is None:
                rest.append((x, y, text, size))
                continue
            box, trail, (dx, dy, side) = found
            written.append(box)
            taken += [box, *trail]
            _write(figure, axes, (x, y), text, (dx * away, dy * away), side)
        waiting = rest


def _place(
    spot: tuple[float, ...], size: tuple[float, float], away: float, room: _Box, taken: Sequence[_Box],
    avoided: Sequence[_Box],
) -> tuple[_Box, list[_Box], tuple[float, float, str]] | None:  # fmt: skip
    """The first free box that far away, the line that leads to it, and its direction; None: all taken.

    ``avoided`` is what the line must not cross.
    """
    for dx, dy, side in _DIRECTIONS:
        box = _box(spot, (dx * away, dy * away), side, size)
        trail = _trail(spot, box)
        crossed = any(_touch(step, other) for step in trail for other in avoided)
        if _inside(box, room) and not crossed and not any(_touch(box, other) for other in taken):
            return box, trail, (dx, dy, side)
    return None


def _trail(spot: tuple[float, ...], box: _Box) -> list[_Box]:
    """Small boxes along the line from a point to the middle of a box, up to its edge."""
    x, y = (box[0] + box[2]) / 2 - spot[0], (box[1] + box[3]) / 2 - spot[1]
    steps = [(spot[0] + x * k / 24, spot[1] + y * k / 24) for k in range(25)]
    return [small for step in steps if not _touch(small := _around(step, 1.0), box)]


def _write(
    figure: Drawing, axes: Any, point: tuple[float, float], text: str, offset: tuple[float, float], side: str
) -> None:
    far = max(abs(part) for part in offset) > 12
    line = {"arrowstyle": "-", "color": figure.theme.muted, "linewidth": 0.6, "shrinkB": 4, "shrinkA": 1}
    made = axes.annotate(
        text, point, xytext=offset, textcoords="offset points", ha=side, va="center", fontsize=SMALL,
        color=figure.theme.ink, zorder=6, parse_math=False, arrowprops=line if far else None,
    )  # fmt: skip
    made.set_in_layout(False)


def _size(figure: Drawing, text: str) -> tuple[float, float]:
    probe = figure.text(0, 0, text, fontsize=SMALL, parse_math=False)
    extent = probe.get_window_extent()
    probe.remove()
    return extent.width * 1.06, extent.height * 1.1  # a page's own sans-serif may be wider


def _box(spot: tuple[float, ...], offset: tuple[float, float], side: str, size: tuple[float, float]) -> _Box:
    width, height = size
    x, y = spot[0] + offset[0], spot[1] + offset[1]
    left = x - {"left": 0.0, "center": width / 2, "right": width}[side]
    return left, y - height / 2, left + width, y + height / 2


def _around(spot: Any, reach: float) -> _Box:
    x, y = (float(part) for part in spot)
    return x - reach, y - reach, x + reach, y + reach


def _along(ends: Any, reach: float) -> _Box:
    (x0, y0), (x1, y1) = ends.tolist()
    return min(x0, x1) - reach, min(y0, y1) - reach, max(x0, x1) + reach, max(y0, y1) + reach


def _touch(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _inside(box: _Box, room: _Box) -> bool:
    return box[0] >= room[0] and box[1] >= room[1] and box[2] <= room[2] and box[3] <= room[3]
