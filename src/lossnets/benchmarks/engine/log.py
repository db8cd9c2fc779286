"""The log of a training: one row of CSV an epoch, complete after every interruption."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from lossnets.errors import DataError
from lossnets.home import atomic_write


class EpochLog:
    """Rows of numbers, kept in a CSV file. Lightning's own CSV log is overwritten by a resumed training.

    Attributes:
        rows: one an epoch; the key ``epoch`` counts from 1.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[dict[str, float]] = []

    def read(self, epochs: int | None = None) -> None:
        """Take the rows of the file; only those of so many epochs, where a later one was not finished."""
        if not self._path.is_file():
            self.rows = []
            return
        try:
            with self._path.open(newline="", encoding="utf-8") as file:
                self.rows = [
                    {key: float(value) if value else math.nan for key, value in row.items()}
                    for row in csv.DictReader(file)
                ]
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise DataError(
                f"{str(self._path)!r} is damaged: {error}. Remove its folder to train again."
            ) from error
        self.rows = self.rows[:epochs]

    def add(self, row: dict[str, float]) -> None:
        """Append a row; one of the same epoch, written before an interruption, is replaced."""
        self.rows = [*self.rows[: int(row["epoch"]) - 1], row]
        columns = list(dict.fromkeys(key for entry in self.rows for key in entry))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        with atomic_write(self._path, "w", error=DataError) as file:
            file.write(text.getvalue())

    def column(self, name: str) -> list[float]:
        """Values of one column, NaN where a row has none."""
        return [row.get(name, math.nan) for row in self.rows]
