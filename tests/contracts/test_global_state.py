"""One exam for everything that belongs to the process and not to us: it is afterwards as it was before.

What is looked at and what is done are lists of `process_state.py`, which runs in a fresh process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_nothing_of_the_process_is_changed(tmp_path: Path) -> None:
    program = Path(__file__).with_name("process_state.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {}
