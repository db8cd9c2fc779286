"""Records as flat rows, and rows as CSV, JSON or Markdown text."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lossnets.datasets.columns import column_twice
from lossnets.errors import ConfigError, DataError
from lossnets.home import atomic_write, text_bytes
from lossnets.losses.versions import split_name
from lossnets.runs.identity import RunConfig, canonical_json
from lossnets.runs.records import Failure, RunRecord, ScoreRecord
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
        "loss": record.loss,
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
    """Write UTF-8 text whole or not at all, names of files as `home.text_bytes` says.

    Raises:
        ConfigError: the file cannot be written.
    """
    with atomic_write(path, error=ConfigError) as file:
        file.write(text_bytes(text))


def run_objects(records: Iterable[RunRecord]) -> list[Row]:
    """One object for each run, its scores nested: everything but per-item values, without repetition."""
    return [
        _run_columns(record)
        | _cost_columns(record)
        | {
            "options": json.loads(canonical_json(record.config.options)),
            "facts": json.loads(canonical_json(dict(record.facts))),
            "scores": [
                {key: value for key, value in _score_columns(score).items() if value not in (None, "")}
                for score in record.scores
            ],
        }
        for record in records
    ]


def render_runs(records: Iterable[RunRecord]) -> str:
    """JSON text of `run_objects`, one run a line; `read_runs` reads it back."""
    lines = (json.dumps(row, ensure_ascii=False) for row in run_objects(records))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def read_runs(text: str, form: Literal["csv", "json"], source: str) -> list[RunRecord]:
    """Runs out of exported text: of `score_rows` (one row a score) or of `run_objects`.

    Args:
        text: as `render` and `render_runs` wrote it.
        form: of the text.
        source: name of the file, for messages.

    Raises:
        DataError: the text is no export of results, or a run's identity does not fit its configuration.
    """
    try:
        rows = _csv_rows(text) if form == "csv" else json.loads(text)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TypeError("expected a list of objects")
        grouped: dict[str, list[Row]] = {}
        for row in rows:
            grouped.setdefault(str(row["identity"]), []).append(row)
        for group in grouped.values():
            _check_alike(group)
        return [_record_of(identity, group) for identity, group in grouped.items()]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, csv.Error) as error:
        what = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{source} is not an export of results ({what}); make one with "
            "'lossnets results --store STORE --json FILE'."
        ) from error


_CONFIG = ("loss", "signature", "benchmark", "data", "fingerprint", "profile", "variant")
_NOT_ENVIRONMENT = {
    *_CONFIG, "seed", "status", "score", "split", "value", "low", "high", "unit", "higher_is_better", "n",
    "note", "error", "seconds", "group_size", "attempt", "options", "facts", "identity", "scores",
}  # fmt: skip


_NUMBERS = ("threads", "peak_memory_bytes")
"""What of an environment is no text; CSV does not tell."""
_OF_SCORE = {"score", "split", "value", "low", "high", "unit", "higher_is_better", "n", "note"}


def _csv_rows(text: str) -> list[Row]:
    """Rows with None for empty fields; what the environment has no word on is left out."""
    rows: list[Row] = []
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = reader.fieldnames or ()
    if "identity" not in names:
        raise KeyError("identity")
    if twice := column_twice(names):
        raise ValueError(twice)
    for line in reader:
        if None in line:
            raise ValueError(f"a row has more fields than the heading: {line[None]}")
        row: Row = {key: None if value == "" else value for key, value in line.items()}
        row = {key: value for key, value in row.items() if value is not None or key in _NOT_ENVIRONMENT}
        rows.append(row | {key: int(row[key]) for key in _NUMBERS if key in row})
    return rows


def _check_alike(rows: Sequence[Row]) -> None:
    """Raise ValueError unless rows of one identity are the scores of one run, each once."""
    head = rows[0]
    name = f"the run of {head.get('loss')} on {head.get('benchmark')} (seed {head.get('seed')})"
    if len(rows) > 1 and "scores" in head:
        raise ValueError(f"{name} is there {len(rows)} times")
    for row in rows:
        for key in sorted({*head, *row} - _OF_SCORE):
            if head.get(key) != row.get(key):
                raise ValueError(f"rows of {name} differ in {key}: {head.get(key)!r} and {row.get(key)!r}")
    scores = head.get("scores", rows)
    if not isinstance(scores, list) or not all(isinstance(score, dict) for score in scores):
        raise TypeError(f"the scores of {name} are no list of objects")
    names = [(score.get("score"), score.get("split")) for score in scores]
    if len(set(names)) < len(names):
        raise ValueError(f"{name} has a score twice")


def _record_of(identity: str, rows: Sequence[Row]) -> RunRecord:
    head = rows[0]
    config = RunConfig(
        **{key: str(head[key] or "") for key in _CONFIG} | {"loss": split_name(str(head["loss"] or ""))[0]},
        seed=_whole(head, "seed"),
        options=_object(head["options"]),
    )
    if config.identity != identity:
        raise ValueError(
            f"the run of {config.loss} on {config.benchmark} was changed: its identity does not fit"
        )
    status = head["status"]
    if status not in ("done", "failed", "running"):
        raise ValueError(f"status {status!r}")
    scores = head.get("scores", [row for row in rows if row.get("score") is not None])
    kind, _, message = str(head.get("error") or "").partition(": ")
    return RunRecord(
        config,
        status,
        attempt=_whole(head, "attempt", 1),
        scores=tuple(_score_of(row) for row in scores),
        failure=Failure(kind, message) if kind else None,
        seconds=_number(head, "seconds", 0.0),
        group_size=_whole(head, "group_size", 1),
        environment={key: value for key, value in head.items() if key not in _NOT_ENVIRONMENT},
        facts=_object(head.get("facts") or {}),
    )


def _number(row: Row, key: str, missing: float | None = None) -> float:
    """A finite number of a row, which CSV holds as text; `missing` stands for none.

    Raises:
        ValueError: it is something else.
    """
    value = missing if row.get(key) is None else row[key]
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{key} must be a finite number; got {value!r}")
    return number


def _whole(row: Row, key: str, missing: int | None = None) -> int:
    """A whole number of a row, of whatever size; `missing` stands for none.

    Raises:
        ValueError: it is something else.
    """
    value = missing if row.get(key) is None else row[key]
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+(\.0*)?", str(value)):
        raise ValueError(f"{key} must be a whole number; got {value!r}")
    return int(str(value).partition(".")[0])


def _object(value: Any) -> Any:
    """Raises ValueError unless it is an object, or JSON of one."""
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise TypeError(f"options and facts must be objects; got {value!r}")
    return dict(found)


def _score_of(row: Row) -> ScoreRecord:
    direction = str(row["higher_is_better"]).lower()
    if direction not in ("true", "false"):
        raise ValueError(f"higher_is_better {row['higher_is_better']!r}")
    value, low, high = (
        None if row.get(key) is None else _number(row, key) for key in ("value", "low", "high")
    )
    if low is not None and high is not None and low > high:
        raise ValueError(f"the interval of {row['score']!r} begins at {low}, above its end {high}")
    return ScoreRecord(
        str(row["score"]),
        unit=str(row.get("unit") or ""),
        higher_is_better=direction == "true",
        split=str(row.get("split") or "overall"),
        n=_whole(row, "n", 0),
        note=str(row.get("note") or ""),
        value=value,
        low=low,
        high=high,
    )
