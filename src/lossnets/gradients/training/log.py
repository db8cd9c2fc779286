"""The log of a training: one row of CSV every so many steps, complete after every interruption."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from lossnets.errors import DataError
from lossnets.home import atomic_write


class StepLog:
    """Rows of numbers in a CSV file; the column ``step`` counts finished steps.

    Attributes:
        rows: so far, over all interruptions.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[dict[str, float]] = []

    def read(self, steps: int | None = None) -> None:
        """Take the rows of the file, only those up to ``steps``: later ones are computed again.

        Raises:
            DataError: the file is damaged.
        """
        self.rows = []
        if not self._path.is_file():
            return
        try:
            with self._path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    self.rows.append({k: float(v) if v else math.nan for k, v in row.items()})
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise DataError(
                f"{str(self._path)!r} is damaged: {error}. Remove its folder to train again"
            ) from error
        self.rows = [row for row in self.rows if steps is None or row["step"] <= steps]

    def add(self, row: dict[str, float]) -> None:
        """Append a row and write the file.

        Raises:
            DataError: it cannot be written.
        """
        self.rows.append(row)
        columns = list(dict.fromkeys(key for entry in self.rows for key in entry))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        with atomic_write(self._path, "w", error=DataError) as file:
            file.write(text.getvalue())
