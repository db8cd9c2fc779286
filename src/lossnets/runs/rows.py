"""Between table rows and records, both ways."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from lossnets.home import printable
from lossnets.runs.identity import UNRESOLVED, RunConfig, canonical_json
from lossnets.runs.records import Failure, Outcome, RunRecord, ScoreRecord
from lossnets.runs.schema import items, runs, scores


def config_columns(config: RunConfig) -> dict[str, Any]:
    """Columns that a run has from the start."""
    return {
        "identity": config.identity,
        "config": canonical_json(config.to_dict()),
        "loss": config.loss,
        "benchmark": config.benchmark,
    }


def outcome_columns(outcome: Outcome) -> dict[str, Any]:
    """Columns that a run has when it is finished; the claim ends with them."""
    failure = outcome.failure
    return {
        "status": "failed" if failure else "done",
        "owner": None,
        "lease_until": None,
        "seconds": outcome.seconds,
        "group_size": outcome.group_size,
        "environment": canonical_json(outcome.environment),
        "facts": canonical_json(outcome.facts),
        "error_type": failure.type if failure else None,
        "error_message": printable(failure.message) if failure else None,
    }


def score_columns(run_id: int, values: Iterable[ScoreRecord]) -> list[dict[str, Any]]:
    """One row for each score, in their order."""
    return [
        {
            "run_id": run_id,
            "position": position,
            "name": score.name,
            "split": score.split,
            "value": None if score.value is None else float(score.value),
            "unit": score.unit,
            "higher_is_better": bool(score.higher_is_better),
            "low": None if score.low is None else float(score.low),
            "high": None if score.high is None else float(score.high),
            "n": int(score.n),
            "note": score.note,
        }
        for position, score in enumerate(values)
    ]


def read(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[RunRecord]:
    """Every attempt that fulfils the conditions, in order of creation."""
    found = connection.execute(sa.select(runs).where(*where).order_by(runs.c.id)).all()
    chosen = sa.select(runs.c.id).where(*where)
    of_run: dict[int, list[ScoreRecord]] = defaultdict(list)
    in_order = (scores.c.run_id, scores.c.position)
    for row in connection.execute(sa.select(scores).where(scores.c.run_id.in_(chosen)).order_by(*in_order)):
        of_run[row.run_id].append(_score(row))
    query = sa.select(items.c.run_id, items.c.names).where(items.c.run_id.in_(chosen))
    names = {row.run_id: tuple(json.loads(row.names)) for row in connection.execute(query)}
    return [_record(row, tuple(of_run[row.id]), names.get(row.id, ())) for row in found]


def _score(row: Any) -> ScoreRecord:
    return ScoreRecord(
        name=row.name,
        value=row.value,
        unit=row.unit,
        higher_is_better=row.higher_is_better,
        split=row.split,
        low=row.low,
        high=row.high,
        n=row.n,
        note=row.note,
    )


def _record(row: Any, of_run: tuple[ScoreRecord, ...], item_names: tuple[str, ...]) -> RunRecord:
    return RunRecord(
        config=RunConfig.from_dict(json.loads(row.config)),
        status=row.status,
        attempt=row.attempt,
        scores=of_run,
        failure=Failure(row.error_type, row.error_message or "") if row.error_type else None,
        seconds=row.seconds,
        group_size=row.group_size,
        started=row.started,
        environment=MappingProxyType(json.loads(row.environment)),
        facts=MappingProxyType(json.loads(row.facts)),
        item_names=item_names,
    )


def standing(attempts: Sequence[RunRecord]) -> list[RunRecord]:
    """Of each run the attempt that counts: the latest done, else the latest; in order of first try."""
    latest: dict[str, RunRecord] = {}
    for record in attempts:
        before = latest.get(record.identity)
        if before is None or before.status != "done" or record.status == "done":
            latest[record.identity] = record
    resolved = {_without_signature(r.config) for r in latest.values() if r.config.resolved}
    return [r for r in latest.values() if r.config.resolved or _without_signature(r.config) not in resolved]


def _without_signature(config: RunConfig) -> str:
    return replace(config, signature=UNRESOLVED).identity
