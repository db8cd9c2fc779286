"""Where the files of runs lie: checkpoints, logs and pictures of those that train something."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lossnets.home import home
from lossnets.runs.identity import RunConfig
from lossnets.runs.store import Store

SUFFIX = ".runs"


def runs_folder(store: Store) -> Path:
    """Folder beside the results file: ``results.sqlite`` -> ``results.runs``.

    A store that is no file (PostgreSQL, memory) has its folder in the home of lossnets, under a hash
    of its name.
    """
    if store.file is not None:
        return store.file.with_suffix(SUFFIX).absolute()
    return home() / "runs" / hashlib.sha256(store.name.encode()).hexdigest()[:12]


def run_folder(places: str | Path, config: RunConfig) -> Path:
    """Folder of one run, named by its benchmark and identity."""
    return Path(places) / config.benchmark / config.identity[:16]
