"""What stands behind the numbers: settings with their hashes and options, environments, failures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from lossnets.analysis import Results, Setting
from lossnets.benchmarks.base import meaning
from lossnets.report.parts import Facts, Heading, Note, Part, Table, counted, sentence
from lossnets.runs.records import RunRecord

_SHOWN = 100
_MACHINE = (
    "lossnets", "commit", "python", "torch", "torchvision", "timm", "numpy", "device", "device_name",
    "threads", "platform",
)  # fmt: skip


def provenance(results: Results) -> Iterator[Part]:
    """Settings, then environments, then failed runs; each run's own are in the leaderboard's details."""
    yield Note(
        "A click on a row of the leaderboard opens the runs behind it, each with its scores, identity, "
        "signature of the loss, fingerprint of the data, options, versions and machine."
    )
    yield Heading("Settings")
    for setting in results.settings:
        yield Facts(results.labels[setting], list(_of_setting(results, setting)))
    yield Heading("Environments")
    yield _environments(results)
    failed = [record for record in results.records if record.failure is not None]
    if failed:
        yield Heading("Failed runs")
        rows = [
            [
                r.loss,
                results.labels[Setting.of(r)],
                str(r.config.seed),
                r.failure.type,
                r.failure.message,
            ]
            for r in failed[:_SHOWN]
            if r.failure
        ]
        columns = [("Loss", False), ("Setting", False), ("Seed", True), ("Error", False), ("Message", False)]
        more = (
            f"; the first {_SHOWN} are shown, the rest are in the downloads" if len(failed) > _SHOWN else ""
        )
        yield Table(f"{counted(len(failed), 'failed run')}{more}.", columns, rows)


def _of_setting(results: Results, setting: Setting) -> Iterator[tuple[str, str]]:
    records = list(results.members[setting])
    yield "Benchmark", setting.benchmark
    yield "Data", setting.data
    yield "Fingerprint of the data", setting.fingerprint
    yield "Profile, variant", f"{setting.profile}, {setting.variant}"
    yield "Options", setting.options
    measure = results.headlines.get(setting)
    if measure is not None:
        direction = "higher" if measure.higher_is_better else "lower"
        unit = f" in {measure.unit}" if measure.unit else ""
        yield "Ranked by", f"{measure.score}{unit}, {direction} is better"
        about = meaning(setting.benchmark, measure.score)
        if about:
            yield "What it says", sentence(about.replace("`", ""))
    yield "Runs", ", ".join(f"{n} {state}" for state, n in Counter(r.status for r in records).items())
    yield from _facts(records).items()


def _facts(records: list[RunRecord]) -> dict[str, str]:
    """Facts of the runs that all share; where they differ, how many values there are."""
    found: dict[str, Counter[str]] = {}
    for record in records:
        for name, value in record.facts.items():
            found.setdefault(name, Counter())[_text(value)] += 1
    shown = {}
    for name, values in found.items():
        first = next(iter(values))
        shown[name] = first if len(values) == 1 else f"{len(values)} different values, see the runs"
    return shown


def _text(value: object) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _environments(results: Results) -> Part:
    counts: Counter[tuple[str, ...]] = Counter()
    for record in results.records:
        counts[tuple(_text(record.environment.get(name, "–")) for name in _MACHINE)] += 1
    if not counts:
        return Note("No run, no environment.", "absent")
    rows = [[str(number), *values] for values, number in counts.most_common(_SHOWN)]
    columns = [("Runs", True), *((name.replace("_", " "), False) for name in _MACHINE)]
    return Table(f"{counted(len(counts), 'environment')} in which the runs were made.", columns, rows)
