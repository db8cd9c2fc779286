"""Readers for judgements in CSV files: triplets with votes, and mean opinion scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lossnets.datasets.columns import open_table, refuse_contradictions
from lossnets.datasets.similarity import Opinion, OpinionSet, Triplet, TwoAFCSet
from lossnets.datasets.sources import FolderImages
from lossnets.errors import ConfigError, DataError, unknown_name
from lossnets.home import is_file, is_folder

ALL = "all"
"""Split name of rows when the table has no split column."""

_TRUE, _FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}


def read_triplets_csv(
    path: str | Path,
    images_dir: str | Path | None = None,
    *,
    ref: str = "ref",
    a: str = "a",
    b: str = "b",
    votes_a: str = "votes_a",
    votes_b: str = "votes_b",
    judge: str | None = None,
    split: str | None = None,
    drop: str | None = None,
    resize: int | None = None,
    name: str | None = None,
) -> TwoAFCSet:
    """Read a CSV (or .csv.gz) of triplets: one row is a reference, two candidates, and votes.

    Candidate a becomes p0, candidate b becomes p1. ``votes_a`` counts the people who found **a**
    closer to the reference, ``votes_b`` those who found **b** closer; so
    judge = votes_b / (votes_a + votes_b), the fraction that found p1 closer. If a table means it
    the other way round, swap the two names.

    Args:
        path: the table; the first line has the column names.
        images_dir: what image names are relative to; None: ``images`` beside the table if there is
            such a folder, else the table's own folder.
        ref: column of the reference's file name.
        a: column of the first candidate's file name.
        b: column of the second candidate's file name.
        votes_a: column of the number of votes for a.
        votes_b: column of the number of votes for b.
        judge: column of the fraction that found b closer, instead of the two vote columns.
        split: column of the sub-split; None: all rows are one split.
        drop: rows in which this column is 1, true or yes are left out.
        resize: shorter side in pixels that images are scaled to; None: as they are.
        name: data set name in results; None: the file's name without ending.

    Raises:
        DataError: the table, a column or an image is missing, a column or a value is malformed, or a row
            stands in two splits.
    """
    table = _read(path, [ref, a, b, *([judge] if judge else [votes_a, votes_b])], split, drop)
    items = []
    for row in table.rows:
        share = _fraction(row, judge) if judge else _share(row, votes_a, votes_b)
        items.append(Triplet(row.text(ref), row.text(a), row.text(b), share, _split(row, split)))
    refuse_contradictions(
        (
            (
                (t.ref, frozenset((t.p0, t.p1))),
                t.split,
                f"{t.ref!r} with {t.p0!r} and {t.p1!r} in split {t.split!r}",
            )
            for t in items
            if _is_a_part(t.split)
        ),
        table.path.name,
    )
    images = _images(table.path, images_dir, (key for t in items for key in (t.ref, t.p0, t.p1)), resize)
    return TwoAFCSet(name or table.name, tuple(items), images, resize)


def read_opinions_csv(
    path: str | Path,
    images_dir: str | Path | None = None,
    *,
    higher_is_better: bool,
    ref: str = "ref",
    distorted: str = "dist",
    score: str = "mos",
    split: str | None = None,
    drop: str | None = None,
    resize: int | None = None,
    name: str | None = None,
) -> OpinionSet:
    """Read a CSV (or .csv.gz) of opinion scores: one row is a reference, a distorted image, a score.

    Args:
        path: the table; the first line has the column names.
        images_dir: as in `read_triplets_csv`.
        higher_is_better: True where a higher score means better quality (MOS), False for difference
            scores (DMOS). There is no default: the wrong one flips the sign of every correlation.
        ref: column of the reference's file name.
        distorted: column of the distorted image's file name.
        score: column of the score.
        split: column of the sub-split; None: all rows are one split.
        drop: rows in which this column is 1, true or yes are left out.
        resize: shorter side in pixels that images are scaled to; None: as they are.
        name: data set name in results; None: the file's name without ending.

    Raises:
        DataError: the table, a column or an image is missing, a column or a value is malformed, or a row
            stands in two splits.
        ConfigError: higher_is_better is not a bool.
    """
    if not isinstance(higher_is_better, bool):
        raise ConfigError(f"higher_is_better must be True (MOS) or False (DMOS); got {higher_is_better!r}.")
    table = _read(path, [ref, distorted, score], split, drop)
    items = [
        Opinion(row.text(ref), row.text(distorted), row.number(score), _split(row, split))
        for row in table.rows
    ]
    refuse_contradictions(
        (
            ((o.ref, o.distorted), o.split, f"{o.distorted!r} of {o.ref!r} in split {o.split!r}")
            for o in items
            if _is_a_part(o.split)
        ),
        table.path.name,
    )
    images = _images(table.path, images_dir, (key for o in items for key in (o.ref, o.distorted)), resize)
    return OpinionSet(name or table.name, tuple(items), images, resize, higher_is_better=higher_is_better)


def _is_a_part(split: str) -> bool:
    """Whether a split is for training or testing, not a group of judgements that may share images."""
    return split.partition("/")[0].lower() in ("train", "val", "valid", "validation", "test")


@dataclass(frozen=True)
class _Row:
    values: Mapping[str, str]
    where: str  # "FILE, line N", for messages

    def text(self, column: str) -> str:
        value = self.values[column].strip()
        if not value:
            raise DataError(f"{self.where}: column {column!r} is empty; every row needs a value.")
        return value

    def number(self, column: str) -> float:
        text = self.text(column)
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise DataError(f"{self.where}: column {column!r} must hold a finite number; got {text!r}.")
        return number


@dataclass(frozen=True)
class _Table:
    path: Path
    name: str
    rows: list[_Row]


def _read(path: str | Path, columns: list[str], split: str | None, drop: str | None) -> _Table:
    path = Path(path)
    wanted = [*columns, *([split] if split else []), *([drop] if drop else [])]
    if len(set(columns)) != len(columns):
        raise ConfigError(f"columns must differ from each other; got {columns}.")
    rows = []
    with open_table(path) as reader:
        _check_columns(path, reader.fieldnames or (), wanted)
        for values in reader:
            row = _Row(values, f"{path.name}, line {reader.line_num}")
            _check_width(row)
            if drop is None or not _is_true(row, drop):
                rows.append(row)
    if not rows:
        dropped = f" after dropping rows with {drop!r}" if drop else ""
        raise DataError(f"table {str(path)!r} has no rows{dropped}; at least one is needed.")
    return _Table(path, path.name.removesuffix(".gz").removesuffix(".csv"), rows)


def _check_columns(path: Path, found: Iterable[str], wanted: list[str]) -> None:
    found = list(found)
    for column in wanted:
        if column not in found:
            message = unknown_name(f"column of {path.name}", column, found)
            raise DataError(f"{message} Say which column it is, e.g. ref='NAME'.")


def _check_width(row: _Row) -> None:
    if "" in row.values or None in row.values.values():
        raise DataError(f"{row.where}: the row has more or fewer values than the table has columns.")


def _is_true(row: _Row, column: str) -> bool:
    text = row.values[column].strip().lower()
    if text not in _TRUE | _FALSE:
        raise DataError(f"{row.where}: column {column!r} must hold 1/0, true/false or yes/no; got {text!r}.")
    return text in _TRUE


def _share(row: _Row, votes_a: str, votes_b: str) -> float:
    """Fraction of the votes that went to b, i.e. to p1."""
    for_a, for_b = row.number(votes_a), row.number(votes_b)
    if for_a < 0 or for_b < 0 or for_a + for_b == 0:
        raise DataError(
            f"{row.where}: {votes_a!r} and {votes_b!r} must be votes (0 or more, not both 0); "
            f"got {for_a:g} and {for_b:g}."
        )
    return for_b / (for_a + for_b)


def _fraction(row: _Row, column: str) -> float:
    share = row.number(column)
    if not 0 <= share <= 1:
        raise DataError(f"{row.where}: column {column!r} must hold a fraction in [0, 1]; got {share:g}.")
    return share


def _split(row: _Row, column: str | None) -> str:
    return row.text(column) if column else ALL


def _images(
    table: Path, images_dir: str | Path | None, keys: Iterable[str], resize: int | None
) -> FolderImages:
    if images_dir is None:
        beside = table.parent / "images"
        folder = beside if is_folder(beside) else table.parent
    else:
        folder = Path(images_dir)
        if not is_folder(folder):
            raise DataError(f"images_dir {str(folder)!r} does not exist or is not a folder.")
    missing = [key for key in dict.fromkeys(keys) if not is_file(folder / key)]
    if missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DataError(
            f"{len(missing)} image(s) named in {table.name} are not below {str(folder)!r} ({some}); "
            "names are relative to images_dir=."
        )
    return FolderImages(folder, resize=resize)
