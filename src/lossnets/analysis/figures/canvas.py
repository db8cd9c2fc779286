"""The figure itself. Imported inside functions only: this module needs matplotlib to be installed."""

from __future__ import annotations

from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from lossnets.analysis.figures.style import Theme


class Drawing(Figure):
    """A matplotlib figure that knows its theme, its tooltips and what to tell a screen reader.

    It stands alone: pyplot is not involved and keeps no reference. A notebook shows it as SVG.

    Attributes:
        theme: colours.
        label: one sentence on what is to be seen.
        tips: id of an artist -> tooltip.
    """

    def __init__(self, width: float, height: float, theme: Theme, label: str) -> None:
        super().__init__(figsize=(width, height), layout="constrained", facecolor=theme.surface)
        FigureCanvasAgg(self)
        self._layout().set(w_pad=0.05, h_pad=0.05, hspace=0.03, wspace=0.03)
        self.theme = theme
        self.label = label
        self.tips: dict[str, str] = {}
        self._heads: list[tuple[Any, float]] = []
        self._head = 0.0

    def head(self, artist: Any, inches: float) -> None:
        """Put a title or legend under those before it, and make the figure so much taller."""
        self._heads.append((artist, self._head))
        self._head += inches
        height = self.get_figheight() + inches
        self.set_figheight(height)
        self._layout().set(rect=(0, 0, 1, 1 - self._head / height))
        for each, above in self._heads:
            top = 1 - (above + 0.04) / height
            if isinstance(each, Text):
                each.set_y(top)
            else:
                each.set_bbox_to_anchor((0, top), transform=self.transFigure)

    def _layout(self) -> Any:
        return self.get_layout_engine()

    def tip(self, artist: Any, text: str) -> Any:
        """Give an artist a tooltip, and return the artist."""
        key = f"tip{len(self.tips)}"
        artist.set_gid(key)
        self.tips[key] = text
        return artist

    def settle(self) -> None:
        """Lay everything out, once and for all: each later layout would differ by a hair from the last."""
        for _ in range(2):  # the second sees where the first has put the labels of the axes
            self.draw_without_rendering()
        self.set_layout_engine("none")

    def _repr_svg_(self) -> str:
        from lossnets.analysis.figures.svg import to_svg

        return to_svg(self, transparent=False)
