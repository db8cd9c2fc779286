"""Records as flat rows, and rows as CSV, JSON or Markdown text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lossnets.errors import ConfigError
from lossnets.home import atomic_write
from lossnets.runs.identity import canonical_json
from lossnets.runs.records import RunRecord, ScoreRecord
from lossnets.runs.store import Store

Format = Literal["csv", "json", "markdown"]
Row = dict[str, Any]


def score_rows(records: Iterable[RunRecord]) -> list[Row]:
    """One row for each score; a run without scores (failed, running) has one row without a value."""
    return [
        _run_columns(record) | _score_columns(score) | _cost_columns(record)
        for record in records
        for score in (record.scores or (None,))
    ]


def _run_columns(record: RunRecord) -> Row:
    config = record.config
    return {
        "benchmark": config.benchmark,
        "data": config.data,
        "profile": config.profile,
        "variant": config.variant,
        "loss": config.loss,
        "seed": config.seed,
        "status": record.status,
    }


def _score_columns(score: ScoreRecord | None) -> Row:
    names = ("name", "split", "value", "low", "high", "unit", "higher_is_better", "n", "note")
    keys = ("score", *names[1:])
    return {key: getattr(score, name) if score else None for key, name in zip(keys, names, strict=True)}


def _cost_columns(record: RunRecord) -> Row:
    failure = record.failure
    return {
        "error": f"{failure.type}: {failure.message}" if failure else None,
        "seconds": record.seconds,
        "group_size": record.group_size,
        "attempt": record.attempt,
        "options": canonical_json(record.config.options),
        "facts": canonical_json(dict(record.facts)),
        "signature": record.config.signature,
        "fingerprint": record.config.fingerprint,
        "identity": record.identity,
        **dict(record.environment),
    }


def item_rows(records: Iterable[RunRecord], store: Store) -> list[Row]:
    """One row for each item of each finished run: the run's columns, then the item's."""
    rows: list[Row] = []
    for record in records:
        arrays = store.items(record.config) if record.item_names else {}
        count = max((len(values) for values in arrays.values()), default=0)
        head = _run_columns(record)
        rows += [
            head | {f"item.{n}": _plain(values[i]) for n, values in arrays.items()} for i in range(count)
        ]
    return rows


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def render(rows: Sequence[Row], form: Format) -> str:
    r"""Rows as text; the columns are those of any row, in order of first appearance.

    >>> rows = [{"loss": "pixel:mse", "value": 0.5}, {"loss": "a|b", "value": None}]
    >>> print(render(rows, "markdown"), end="")
    | loss | value |
    | --- | --- |
    | pixel:mse | 0.5 |
    | a\|b |  |
    """
    if form == "json":
        return json.dumps(list(rows), indent=2, ensure_ascii=False) + "\n"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return _csv(rows, columns) if form == "csv" else _markdown(rows, columns)


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _markdown(rows: Sequence[Row], columns: Sequence[str]) -> str:
    lines = [[*columns], ["---"] * len(columns), *([_cell(row, key) for key in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def write(text: str, path: str | Path) -> None:
    """Write UTF-8 text whole or not at all.

    Raises:
        ConfigError: the file cannot be written.
    """
    with atomic_write(path, error=ConfigError) as file:
        file.write(text.encode())
