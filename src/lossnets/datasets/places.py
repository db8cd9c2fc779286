"""Where data sets are looked for: folders of the user first, then what was fetched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lossnets.datasets.catalogue import card
from lossnets.datasets.facts import DataSetCard
from lossnets.errors import ConfigError, DataError, unknown_name
from lossnets.home import home, is_folder, is_there, user_path

VARIABLE = "LOSSNETS_DATA"


def data_places() -> tuple[Path, ...]:
    """Folders in which each data set has a folder of its own, in the order of the search.

    They are those of ``$LOSSNETS_DATA`` (several are separated like those of PATH), then
    ``LOSSNETS_HOME/data``. Nothing is created.

    Raises:
        ConfigError: a folder of LOSSNETS_DATA is a file.
    """
    places = [
        user_path(entry, VARIABLE).absolute()
        for entry in os.environ.get(VARIABLE, "").split(os.pathsep)
        if entry.strip()
    ]
    for place in places:
        if is_there(place) and not is_folder(place):
            raise ConfigError(f"{VARIABLE} must name folders, {place} is a file; set it to a folder.")
    return tuple(dict.fromkeys([*places, home() / "data"]))


def data_home() -> Path:
    """Where data sets are fetched to: the first of `data_places` that can be written.

    Raises:
        ConfigError: a folder of LOSSNETS_DATA is a file.
    """
    places = data_places()
    writable = (place for place in places if not is_there(place) or os.access(place, os.W_OK))
    return next(writable, places[0])


@dataclass(frozen=True)
class Status:
    """What is there of a data set.

    Attributes:
        name: of the data set.
        folder: where it is, or most of it; None where there is nothing.
        present: parts that are complete.
        missing: parts that are not, optional ones included.
        state: "complete", "without ..." (only optional parts are missing), "incomplete", "missing",
            "with packages" (made from installed packages) or "yours" (nothing to look for).
    """

    name: str
    folder: Path | None
    present: tuple[str, ...]
    missing: tuple[str, ...]
    state: str


def status(name: str) -> Status:
    """Look for a data set in every place; numbers of files are counted, nothing is opened.

    Raises:
        UnknownNameError: there is no such data set.
    """
    the_card = card(name)
    if not the_card.contents:
        return Status(name, None, (), (), "with packages" if name.startswith("sample") else "yours")
    found = [(place / name, present_parts(the_card, place / name)) for place in data_places()]
    folder, present = max(found, key=lambda pair: len(pair[1]))  # the first of the best
    missing = tuple(part for part in the_card.parts if part not in present)
    if not present:
        return Status(name, next((f for f, _ in found if _holds(f)), None), (), missing, _nothing(found))
    if set(the_card.needed_parts) <= set(present):
        state = f"without {', '.join(missing)}" if missing else "complete"
    else:
        state = "incomplete"
    return Status(name, folder, present, missing, state)


def _holds(folder: Path) -> bool:
    return is_folder(folder) and any(folder.iterdir())


def _nothing(found: list[tuple[Path, tuple[str, ...]]]) -> str:
    return "incomplete" if any(_holds(folder) for folder, _ in found) else "missing"


def present_parts(the_card: DataSetCard, folder: Path) -> tuple[str, ...]:
    """The parts whose files are all in ``folder``."""
    if not is_folder(folder):
        return ()
    bad = {content.part for content in the_card.contents if content.problem(folder)}
    return tuple(part for part in the_card.parts if part not in bad)


def check_parts(the_card: DataSetCard, parts: Sequence[str] | None) -> tuple[str, ...]:
    """The parts that are asked for; None: all but the optional ones.

    Raises:
        UnknownNameError: the data set has no such part.
        ConfigError: parts is empty.
    """
    if parts is None:
        return the_card.needed_parts
    if not parts:
        raise ConfigError(f"parts must name at least one of {', '.join(the_card.parts)}, or be None.")
    for part in parts:
        if part not in the_card.parts:
            raise unknown_name(f"part of {the_card.name}", part, the_card.parts)
    return tuple(dict.fromkeys(parts))


def locate(name: str, *, parts: Sequence[str] | None = None) -> Path | None:
    """The first folder that holds a data set; None where there is none.

    Args:
        name: of the data set; its folder has the same name.
        parts: what must be there; None: all parts but the optional ones.

    Raises:
        UnknownNameError: there is no such data set or part.
    """
    the_card = card(name)
    wanted = check_parts(the_card, parts)
    if not wanted:
        return None
    for place in data_places():
        contents = [content for content in the_card.contents if content.part in wanted]
        folder = place / name
        if is_folder(folder) and not any(content.problem(folder) for content in contents):
            return folder
    return None


def find(name: str, *, parts: Sequence[str] | None = None) -> Path:
    """As `locate`, but the data set must be there.

    Raises:
        DataError: it is not; the message says where it was looked for, what is missing there, and how
            to get it, with its size and licence.
        UnknownNameError: there is no such data set or part.
    """
    folder = locate(name, parts=parts)
    if folder is None:
        raise missing_error(name, parts)
    return folder


def missing_error(name: str, parts: Sequence[str] | None = None) -> DataError:
    """The error for a data set that is not there."""
    the_card = card(name)
    if not the_card.contents:
        return DataError(f"data set {name!r} has no folder to look for. {the_card.how_to_get}")
    wanted = check_parts(the_card, parts)
    looked = "; ".join(_looked(the_card, place / name, wanted) for place in data_places())
    size = the_card.fetch_size if parts is None else None
    option = "" if parts is None else "".join(f" --part {part}" for part in wanted)
    about = f"{human_size(size)} to download; " if size else ""
    return DataError(
        f"data set {name!r} is not there. Looked in {looked}. Get it with: lossnets data fetch "
        f"{name}{option} ({about}licence: {the_card.licence}). If you have it, put it at <place>/{name} "
        f"and set {VARIABLE}=<place>."
    )


def _looked(the_card: DataSetCard, folder: Path, parts: Sequence[str]) -> str:
    if not is_folder(folder):
        return f"{folder} (no such folder)"
    problems = [c.problem(folder) for c in the_card.contents if c.part in parts]
    return f"{folder} ({next(problem for problem in problems if problem)})"


def human_size(size: int | None) -> str:
    """Bytes for people, in powers of 1000; "-" where not known.

    >>> human_size(13_510_573_713), human_size(5_000_000), human_size(None)
    ('13.5 GB', '5 MB', '-')
    """
    if size is None:
        return "-"
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}".replace(".0 ", " ")
    return f"{size} bytes"
