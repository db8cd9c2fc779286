"""What a data set's card says: archives as they are published, and the content that must be on disk."""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from pathlib import Path

JUDGED_BY_PEOPLE, JUDGED_BY_SEVERITY = "people", "severity"


@dataclass(frozen=True)
class Archive:
    """One file to fetch, or one index page of files.

    Attributes:
        url: where it is published.
        filename: its name on disk; for an index page the ending of the files that it lists.
        parts: the parts of the data set that it brings; empty: all of them.
        size: bytes, where known.
        sha256: where published.
        md5: where published, and no sha256.
        checksum_from: who published size and checksum; "" where nobody did.
        unpack: folder below the data set's that it is unpacked into ("" the data set's own); None: it is
            a single file that stays as it is.
        unpacked: bytes that it takes unpacked, where known (about).
        optional: fetched only when its part is asked for.
        index: how many files the index page lists; 0: it is no index page.
    """

    url: str
    filename: str
    parts: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    checksum_from: str = ""
    unpack: str | None = ""
    unpacked: int | None = None
    optional: bool = False
    index: int = 0


@dataclass(frozen=True)
class Content:
    """Files that must be there, in one of several layouts.

    Attributes:
        part: the part of the data set that they belong to.
        patterns: patterns relative to the data set's folder, the published layout first; wildcards are in
            the file name only.
        count: how many files.
        at_least: more are fine, too (where only a rounded number is published).
        size: bytes of the file, for single files.
        md5: of the file, for single files, as published.
        images: they are images that can be decoded.
        optional: the data set counts as there without them.
    """

    part: str
    patterns: tuple[str, ...]
    count: int
    at_least: bool = False
    size: int | None = None
    md5: str | None = None
    images: bool = True
    optional: bool = False

    def found(self, root: Path) -> tuple[str, list[Path]]:
        """The layout that has most files below ``root``, and its files, sorted; hidden files do not count."""
        pattern, names = self._best(root)
        folder = (root / pattern).parent
        return pattern, [folder / name for name in sorted(names)]

    def problem(self, root: Path) -> str:
        """What is wrong with names, numbers and sizes, in a few words; "" where nothing is."""
        pattern, names = self._best(root)
        if len(names) < self.count:
            return f"{pattern}: {len(names)} of {self.count} files"
        if len(names) > self.count and not self.at_least:
            return f"{pattern}: {len(names)} files, {len(names) - self.count} more than there should be"
        if self.size is not None:
            size = ((root / pattern).parent / names[0]).stat().st_size
            return f"{pattern}: {size} bytes, expected {self.size}" if size != self.size else ""
        return ""

    def _best(self, root: Path) -> tuple[str, list[str]]:
        best: tuple[str, list[str]] = (self.patterns[0], [])
        for pattern in self.patterns:
            names = _matching(root, pattern)
            if len(names) > len(best[1]):
                best = (pattern, names)
            if len(names) == self.count:
                break
        return best


def _matching(root: Path, pattern: str) -> list[str]:
    """Names of one folder; a hundred thousand of them are counted in a tenth of a second."""
    folder, _, last = pattern.rpartition("/")
    fits = re.compile(fnmatch.translate(last)).match
    try:
        with os.scandir(root / folder) as entries:
            return [entry.name for entry in entries if fits(entry.name) and not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


@dataclass(frozen=True)
class DataSetCard:
    """Facts about a data set.

    Attributes:
        name: key in plans and results, and name of its folder.
        title: one line for people.
        files: what has to be on disk, relative to the folder that is given.
        licence: terms as its makers state them.
        citation: whom to cite; empty where there is nobody.
        how_to_get: one or two sentences, also shown when the data are missing.
        judged_by: "people" or "severity" (known strength of a distortion); "" where nobody judges.
        use: what lossnets uses it for.
        homepage: where its makers describe it.
        archives: what `lossnets data fetch` brings; empty where nothing is fetched.
        contents: what must be there, to be checked by machine.
        size_on_disk: bytes unpacked, about, without optional parts; None where not known.
        remark: what a reader should know, e.g. that there is no canonical source.
    """

    name: str
    title: str
    files: tuple[str, ...]
    licence: str
    citation: str
    how_to_get: str
    judged_by: str = ""
    use: str = ""
    homepage: str = ""
    archives: tuple[Archive, ...] = ()
    contents: tuple[Content, ...] = ()
    size_on_disk: int | None = None
    remark: str = ""

    @property
    def expected(self) -> dict[str, int]:
        """Number of files for each pattern of the published layout."""
        return {content.patterns[0]: content.count for content in self.contents}

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts, in the order of the card."""
        return tuple(dict.fromkeys(content.part for content in self.contents))

    @property
    def needed_parts(self) -> tuple[str, ...]:
        """The parts that the data set is not there without."""
        return tuple(dict.fromkeys(content.part for content in self.contents if not content.optional))

    @property
    def fetch_size(self) -> int | None:
        """Bytes to fetch, about, optional parts left out; None where nothing is fetched."""
        needed = [archive for archive in self.archives if not archive.optional]
        return sum(archive.size or archive.unpacked or 0 for archive in needed) if needed else None
