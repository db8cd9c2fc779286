"""CSV tables that list the files of a folder: columns found by their usual names, files by name or stem."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lossnets.errors import DataError
from lossnets.home import is_file
from lossnets.images.folders import folded
from lossnets.images.kinds import SUFFIXES

FILE_COLUMNS = ("file", "filename", "file_name", "path", "image", "tile", "name", "id")
LABEL_COLUMNS = ("class", "class_name", "label", "category", "target")
SPLIT_COLUMNS = ("split", "suggested_split", "subset", "phase", "partition")
"""Usual column names, the first that a table has is taken; a class's name rather than its number."""

_VALIDATION = ("valid", "validation", "dev")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a .csv or .csv.gz file in UTF-8 with a line of column names; at least one.

    Raises:
        DataError: it is missing, cannot be read, has no rows or one column twice, or a row is too long or
            too short.
    """
    with open_table(path) as reader:
        rows = [_checked(row, f"{path.name}, line {reader.line_num}") for row in reader]
    if not rows:
        raise DataError(f"table {str(path)!r} has no rows; at least one is needed.")
    return rows


@contextmanager
def open_table(path: Path) -> Iterator[csv.DictReader[str]]:
    """Open a .csv or .csv.gz file in UTF-8 with a line of column names, each of which stands there once.

    A row that is too long has the key "", one that is too short has None among its values.

    Raises:
        DataError: it is missing, cannot be read to its end, or has one column twice.
    """
    if not is_file(path):
        raise DataError(f"table {str(path)!r} does not exist; give the path of a .csv or .csv.gz file.")
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval=None)
            twice = column_twice(reader.fieldnames or ())
            if twice:
                raise DataError(f"{path.name}: {twice}; rename one or take it away.")
            yield reader
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"table {str(path)!r} cannot be read as CSV in UTF-8: {error}") from error


def column_twice(names: Sequence[str]) -> str:
    """What is wrong with column names of which one stands there twice; "" where none does.

    >>> column_twice(["file", "label", "file"])
    "column 'file' stands there twice, as columns 1 and 3"
    """
    for number, name in enumerate(names, start=1):
        first = names.index(name) + 1
        if first < number:
            return f"column {name!r} stands there twice, as columns {first} and {number}"
    return ""


def refuse_contradictions(items: Iterable[tuple[Hashable, Hashable, str]], where: str) -> None:
    """Refuse things that are listed several times, and not with the same values.

    Args:
        items: (thing, what is said about it, both in words) of each row.
        where: begins the message.

    Raises:
        DataError: there is one.
    """
    known: dict[Hashable, tuple[Hashable, str]] = {}
    for thing, said, words in items:
        before = known.setdefault(thing, (said, words))
        if before[0] != said:
            raise DataError(f"{where}: {before[1]} is also {words}; keep one of the two.")


def _checked(row: dict[str, str], where: str) -> dict[str, str]:
    if "" in row or None in row.values():
        raise DataError(f"{where}: the row has more or fewer values than the table has columns.")
    return {column: value.strip() for column, value in row.items()}


def column(
    table: Path, row: Mapping[str, str], argument: str, asked: str | None, usual: Sequence[str]
) -> str | None:
    """The column that holds ``argument``: the one asked for, else the first of the usual names, or None.

    Raises:
        DataError: the one asked for is not there; the message lists those that are.
    """
    if asked is not None:
        if asked not in row:
            raise DataError(
                f"{argument}={asked!r} is not a column of {table.name}, which has: {', '.join(row)}."
            )
        return asked
    return next((name for name in usual if name in row), None)


def needed(
    table: Path, row: Mapping[str, str], argument: str, asked: str | None, usual: Sequence[str]
) -> str:
    """As `column`, but there must be one.

    Raises:
        DataError: there is none; the message lists the columns that are there.
    """
    found = column(table, row, argument, asked, usual)
    if found is None:
        raise DataError(
            f"{table.name} has no column {', '.join(usual)}; it has: {', '.join(row)}. "
            f"Say which one it is with {argument}=."
        )
    return found


def split_name(name: str | None) -> str | None:
    """The usual name of a split: "valid", "validation" and "dev" are "val"; an empty one is None.

    >>> split_name("Validation"), split_name("train"), split_name("")
    ('val', 'train', None)
    """
    if not name:
        return None
    return "val" if name.lower() in _VALIDATION else name.lower()


class FileIndex:
    """Files below a folder, found by relative path, by file name, or by name without ending.

    Args:
        files: the files.
        root: what relative paths are relative to.
    """

    def __init__(self, files: Iterable[Path], root: Path) -> None:
        self.root = root
        self._paths: dict[str, Path] = {}
        self._names: dict[str, list[Path]] = defaultdict(list)
        self._alike: dict[str, list[Path]] = defaultdict(list)  # but for Unicode normalisation and case
        for file in files:
            self._paths[file.relative_to(root).as_posix()] = file
            for key in dict.fromkeys((file.name, file.stem)):
                self._names[key].append(file)
            whole = file.relative_to(root).as_posix()
            for key in {folded(whole), folded(file.name), folded(file.stem)}:
                self._alike[key].append(file)

    def find(self, name: str, where: str) -> Path | None:
        """The file that ``name`` means; None where there is none.

        Raises:
            DataError: there are several; ``where`` (whose name it is) begins the message.
        """
        name = name.replace("\\", "/").removeprefix("./")
        if name in self._paths:
            return self._paths[name]
        stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in SUFFIXES else name
        for names, key in [(self._names, name), (self._names, stem), (self._alike, folded(name)),
                           (self._alike, folded(stem))]:  # fmt: skip
            found = names.get(key, [])
            if len(found) > 1:
                some = ", ".join(file.relative_to(self.root).as_posix() for file in found[:3])
                raise DataError(
                    f"{where}: {name!r} could be {len(found)} files below {str(self.root)!r} ({some}); "
                    "write paths relative to that folder."
                )
            if found:
                return found[0]
        return None

    def find_all(self, names: Sequence[str], where: str) -> list[Path]:
        """The files of all names, in their order.

        Raises:
            DataError: some are not there (the first five are named), or a name means several.
        """
        found = [self.find(name, where) for name in names]
        missing = [name for name, file in zip(names, found, strict=True) if file is None]
        if missing:
            some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise DataError(
                f"{where}: {len(missing)} of {len(names)} images are not below {str(self.root)!r} ({some}); "
                "names are relative to that folder, with or without the ending."
            )
        return [file for file in found if file is not None]
