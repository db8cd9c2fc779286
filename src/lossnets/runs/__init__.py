"""Many runs, resumable: a plan (losses x benchmarks x seeds), a store, executors, the sweep."""

from lossnets.errors import require as _require

for _module in ("sqlalchemy", "pydantic", "yaml"):
    _require(_module, "bench", "a sweep (lossnets.runs)")

from lossnets.runs.executors import Executor, LocalExecutor, ProcessExecutor, RayExecutor  # noqa: E402
from lossnets.runs.identity import RunConfig  # noqa: E402
from lossnets.runs.plan import Plan, parse_plan, read_plan  # noqa: E402
from lossnets.runs.records import RunRecord, ScoreRecord  # noqa: E402
from lossnets.runs.store import Store  # noqa: E402
from lossnets.runs.sweep import SweepEvent, SweepSummary, run_sweep  # noqa: E402

__all__ = [
    "Executor",
    "LocalExecutor",
    "Plan",
    "ProcessExecutor",
    "RayExecutor",
    "RunConfig",
    "RunRecord",
    "ScoreRecord",
    "Store",
    "SweepEvent",
    "SweepSummary",
    "parse_plan",
    "read_plan",
    "run_sweep",
]
