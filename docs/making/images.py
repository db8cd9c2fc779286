"""The table of images.md: every kind of file that the contract test makes, and what the tool does with it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from making.tables import rows_of, table

TESTS = Path(__file__).resolve().parents[2] / "tests" / "contracts"


@table("image-files")
def image_files() -> str:
    """Format, content, what is done; in the order of the test."""
    sys.path.insert(0, str(TESTS))
    try:
        rows = importlib.import_module("images.cases").rows()
    finally:
        sys.path.remove(str(TESTS))
    return rows_of(["format", "mode and depth", "what the tool does"], rows)
