"""Results in, the text of one HTML page out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lossnets.analysis import Costs, Results
from lossnets.errors import require
from lossnets.report.assets import TEMPLATE, datatables, own, policy
from lossnets.report.downloads import downloads
from lossnets.report.leaderboard import leaderboard, script_json
from lossnets.report.pictures import folder_beside
from lossnets.report.sections import sections
from lossnets.report.summary import summary
from lossnets.version import __version__

TITLE = "Deep perceptual losses compared"


def build_report(
    results: Results,
    *,
    costs: Costs | None = None,
    pictures: bool | Sequence[str | Path] = True,
    title: str = TITLE,
    origin: str = "",
) -> str:
    """Results -> HTML text of one self-contained page; equal results give equal text.

    The page makes no request, runs no script but its own, and shows every text of the results as text.
    What cannot be computed from these results is a section that says why.

    Args:
        results: what to show; empty results give a page that says so.
        costs: measured costs of the losses; None: the known ones (`known_costs`).
        pictures: whether to show pictures of the runs' folders, found beside the files of
            ``results.source``; or those folders (``results.runs``).
        title: heading of the page.
        origin: one line that says whose results these are; by default ``results.source``.

    Raises:
        MissingExtraError: jinja2, pandas, matplotlib or itables is not installed.

    >>> from lossnets.analysis import shipped_results
    >>> page = build_report(shipped_results().only(task="delineation"), title="Roads & cracks")
    >>> page.startswith("<!DOCTYPE html>"), "<h1>Roads &amp; cracks</h1>" in page
    (True, True)
    """
    places = _beside(results) if pictures is True else [Path(place) for place in pictures or ()]
    script = own("script.js")
    context = {
        "title": title,
        "origin": origin or f"Results: {results.source}",
        "version": __version__,
        "policy": policy(script),
        "style": own("style.css"),
        "script": script,
        "datatables": datatables(),
        "summary": summary(results, costs),
        "sections": sections(results, costs, places, wanted=pictures is not False),
        "downloads": downloads(results),
        "data": script_json(leaderboard(results)),
    }
    text: str = _template().render(context)
    return text


def _beside(results: Results) -> list[Path]:
    found = (folder_beside(name) for name in results.source.split(", "))
    return [folder for folder in found if folder is not None]


@lru_cache(maxsize=1)
def _template() -> Any:
    jinja2 = require("jinja2", "bench", "lossnets.report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["kind"] = lambda part: type(part).__name__
    return environment.from_string(own(TEMPLATE))
