"""The leaderboard as data: the page's script makes the table out of it, and the details of each run."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any

from lossnets.analysis import Results, Setting
from lossnets.analysis.figures import short_names
from lossnets.benchmarks.base import meaning
from lossnets.report.parts import sentence

ROW = (
    "setting", "rank", "loss", "short", "network", "value", "low", "high", "sd", "seeds", "failed", "state",
    "note", "runs",
)  # fmt: skip
"""What stands where in a row; ``setting`` is an index, ``runs`` are indices of runs in the packed JSON."""

_LONG = 56


def leaderboard(results: Results) -> dict[str, Any]:
    """Plain JSON values: ``settings`` (objects) and ``rows`` (lists, see `ROW`)."""
    order = {results.labels[setting]: index for index, setting in enumerate(results.settings)}
    runs = _runs(results)
    short = {
        label: short_names(cells["loss"], limit=_LONG) for label, cells in results.cells.groupby("setting")
    }
    rows = []
    for cell in results.cells.to_dict("records"):
        key = cell["setting"], cell["loss"], cell["signature"]
        values = [_plain(cell[name]) for name in ("value", "low", "high", "sd", "seeds", "failed")]
        rows.append(
            [order[cell["setting"]], _plain(cell["rank"]), cell["loss"], short[cell["setting"]][cell["loss"]],
             _plain(cell["architecture"]), *values, cell["state"], cell["note"], runs.get(key, [])]
        )  # fmt: skip
    return {"columns": ROW, "settings": [_setting(results, s) for s in results.settings], "rows": rows}


def _runs(results: Results) -> dict[tuple[str, str, str], list[int]]:
    found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, record in enumerate(results.records):
        label = results.labels[Setting.of(record)]
        found[label, record.loss, record.config.signature].append(index)
    return found


def _setting(results: Results, setting: Setting) -> dict[str, Any]:
    measure = results.headlines.get(setting)
    return {
        "label": results.labels[setting],
        "task": setting.task,
        "trains": setting.trains,
        "score": measure.score if measure else "",
        "unit": measure.unit if measure else "",
        "higher": measure.higher_is_better if measure else True,
        "meaning": sentence(meaning(setting.benchmark, measure.score).replace("`", "")) if measure else "",
    }


def _plain(value: Any) -> Any:
    """JSON has no NaN: missing numbers are null; whole numbers of a float column are whole."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def script_json(value: Any) -> str:
    r"""JSON that may stand in a ``<script>`` element: no ``<`` ends it or opens a comment.

    >>> script_json({"loss": "</script><!--"})
    '{"loss":"\\u003c/script>\\u003c!--"}'
    """
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )
