"""A sweep in a process of its own, to be killed: ``python sweep_process.py PLAN.yaml STORE [WORKERS]``."""

from __future__ import annotations

import sys

import toy_sweep

from lossnets.runs.executors import LocalExecutor, ProcessExecutor
from lossnets.runs.plan import read_plan
from lossnets.runs.store import Store
from lossnets.runs.sweep import run_sweep

if __name__ == "__main__":
    assert toy_sweep.Toy.name == "toy"  # the import registers it
    workers = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    executor = ProcessExecutor(workers) if workers else LocalExecutor()
    print(run_sweep(read_plan(sys.argv[1]), Store(sys.argv[2]), executor=executor))
