"""Figures of the analysis: frames in, matplotlib figures out; they compute nothing that they show.

Every function takes ``theme="light"`` or ``"dark"``, ``title`` and ``width`` (inches), and needs the extra
``bench`` (matplotlib). A figure shows itself in a notebook; `save_figure` writes it, `to_svg` gives it as
text for a page. What has no value is shown as such: hatched, or named below the figure.
"""

from lossnets.analysis.figures.attributes import attribute_figure
from lossnets.analysis.figures.comparison import comparison_figure
from lossnets.analysis.figures.correlations import correlation_figure
from lossnets.analysis.figures.cost import quality_cost_figure
from lossnets.analysis.figures.critical import critical_difference_figure
from lossnets.analysis.figures.heatmap import heatmap_figure
from lossnets.analysis.figures.names import short_name, short_names
from lossnets.analysis.figures.ranks import rank_figure
from lossnets.analysis.figures.svg import save_figure, to_svg
from lossnets.analysis.figures.variance import variance_figure

__all__ = [
    "attribute_figure",
    "comparison_figure",
    "correlation_figure",
    "critical_difference_figure",
    "heatmap_figure",
    "quality_cost_figure",
    "rank_figure",
    "save_figure",
    "short_name",
    "short_names",
    "to_svg",
    "variance_figure",
]
