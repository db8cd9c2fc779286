"""Check a data set on disk: numbers, sizes, published checksums, and whether its images can be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lossnets.datasets.catalogue import card, cards
from lossnets.datasets.facts import Archive, Content, DataSetCard
from lossnets.datasets.fetch import ARCHIVES, md5_problem
from lossnets.datasets.places import missing_error, status
from lossnets.download import hash_problem
from lossnets.errors import DataError, ImageError
from lossnets.file_hash import content_hash
from lossnets.home import is_folder, user_path
from lossnets.images.files import read_image
from lossnets.images.folders import list_images

Progress = Callable[[str, int, int | None], None]

SAMPLE = 20
"""Images of each folder that are decoded when not all are."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        what: files or archive, and its part.
        result: what was found.
        good: nothing is wrong with it.
    """

    what: str
    result: str
    good: bool


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes:
        name: of the data set; "image-folder" for a folder that is none of the catalogue.
        folder: that was looked at.
        findings: one for each kind of files, archive, and unreadable file.
        decoded: images that were decoded.
        skipped: parts that are not there and need not be.
    """

    name: str
    folder: Path
    findings: tuple[Finding, ...]
    decoded: int
    skipped: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Nothing is wrong."""
        return all(finding.good for finding in self.findings)


def verify(target: str | Path, *, deep: bool = False, progress: Progress | None = None) -> Report:
    """Check a data set, or a folder.

    Args:
        target: name of a data set, or a folder: of a data set (told by what it holds), or of images.
        deep: decode every image; else the first, the last and some between (`SAMPLE` of each folder).
        progress: called with (what, images done, images in total).

    Raises:
        DataError: it is not there.
    """
    the_card, folder = _target(target)
    if the_card is None:
        return _image_folder(folder, deep, progress)
    findings: list[Finding] = []
    decoded, skipped = 0, []
    for content in the_card.contents:
        files = content.found(folder)[1]
        if not files and content.optional:
            skipped.append(content.part)
            continue
        findings.append(_content(content, folder))
        if content.images:
            some = files if deep else _some(files)
            decoded += len(some)
            findings += _decode(some, folder, content.patterns[0], progress)
    findings += [_archive(folder / ARCHIVES / a.filename, a) for a in _archives_here(the_card, folder)]
    return Report(the_card.name, folder, tuple(findings), decoded, tuple(dict.fromkeys(skipped)))


def _target(target: str | Path) -> tuple[DataSetCard | None, Path]:
    names = {the_card.name: the_card for the_card in cards()}
    if isinstance(target, str) and target in names:
        folder = status(target).folder
        if folder is None:
            raise missing_error(target)
        return names[target], folder
    folder = user_path(target, "target")
    if not is_folder(folder):
        card_or_folder = f"{str(target)!r} is neither a folder nor a data set of the catalogue"
        raise DataError(f"{card_or_folder}; data sets are listed by: lossnets data list")
    if folder.absolute().name in names and names[folder.absolute().name].contents:
        return card(folder.absolute().name), folder
    return max(
        ((c, folder) for c in names.values() if _complete_parts(c, folder)),
        key=lambda pair: _complete_parts(pair[0], folder),
        default=(None, folder),
    )


def _complete_parts(the_card: DataSetCard, folder: Path) -> int:
    """How many kinds of files of a card are complete; flat layouts alone prove nothing."""
    return sum(not c.problem(folder) for c in the_card.contents if "/" in c.found(folder)[0] or c.md5)


def _content(content: Content, folder: Path) -> Finding:
    pattern, files = content.found(folder)
    what = f"{content.part}: {pattern}"
    problem = content.problem(folder).removeprefix(f"{pattern}: ")
    if not problem:
        empty = [file.name for file in files if file.stat().st_size == 0]
        problem = f"{len(empty)} empty files: {', '.join(empty[:5])}" if empty else ""
    if not problem and content.md5:
        wrong = md5_problem(files[0], content.md5)
        problem = f"it {wrong}" if wrong else ""
    if problem:
        return Finding(what, problem, False)
    return Finding(what, f"{len(files)} files" + (f", md5 {content.md5}" if content.md5 else ""), True)


def _some(files: list[Path]) -> list[Path]:
    if len(files) <= SAMPLE:
        return files
    return [files[k * (len(files) - 1) // (SAMPLE - 1)] for k in range(SAMPLE)]


def _decode(files: list[Path], folder: Path, label: str, progress: Progress | None) -> list[Finding]:
    bad = []
    for done, file in enumerate(files, start=1):
        try:
            read_image(file)
        except ImageError as error:
            bad.append(Finding(file.relative_to(folder).as_posix(), str(error), False))
        if progress is not None:
            progress(label, done, len(files))
    return bad


def _archives_here(the_card: DataSetCard, folder: Path) -> list[Archive]:
    return [a for a in the_card.archives if (folder / ARCHIVES / a.filename).is_file()]


def _archive(path: Path, archive: Archive) -> Finding:
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        return Finding(archive.filename, f"{size} bytes, expected {archive.size}", False)
    got = content_hash(path)
    problem = hash_problem(got, archive.sha256, None)
    if problem:
        return Finding(archive.filename, f"it {problem}", False)
    known = "as published" if archive.sha256 else "no checksum is published"
    return Finding(archive.filename, f"sha256 {got}, {known}", True)


def _image_folder(folder: Path, deep: bool, progress: Progress | None) -> Report:
    files = list_images(folder, recursive=True)
    if not files:
        raise DataError(f"folder {str(folder)!r} holds no image and is no data set of the catalogue.")
    some = files if deep else _some(files)
    bad = _decode(some, folder, folder.name, progress)
    findings = (Finding("images", f"{len(files)} files", True), *bad)
    return Report("image-folder", folder, findings, len(some), ())
