"""Readers for BAPPS (Zhang et al. 2018) in its published folder format: 2AFC and JND."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lossnets.datasets.catalogue import card
from lossnets.datasets.similarity import JNDSet, SamePair, Triplet, TwoAFCSet
from lossnets.datasets.sources import FolderImages
from lossnets.errors import ConfigError, DataError, unknown_name
from lossnets.home import is_folder

_ORDER = ("traditional", "cnn", "mix", "superres", "deblur", "color", "frameinterp")
_PHASES = ("train", "val")
_PARTS = {"2afc": (("ref", "p0", "p1"), "judge"), "jnd": (("p0", "p1"), "same")}


def read_bapps_2afc(
    root: str | Path, *, phase: str = "val", splits: Sequence[str] | None = None, resize: int | None = 64
) -> TwoAFCSet:
    """Read BAPPS 2AFC: ``2afc/<phase>/<split>/{ref,p0,p1}/NNNNNN.png`` and ``judge/NNNNNN.npy``.

    Args:
        root: the data set's folder, its ``2afc`` folder, a phase folder (``2afc/val``), or one
            split folder (``2afc/val/cnn``).
        phase: ``"val"`` or ``"train"``; not looked at when root is a phase or a split folder.
        splits: sub-splits to read; None: all that are there.
        resize: shorter side in pixels; BAPPS scores are published at 64.

    Raises:
        DataError: a folder or file is missing, files do not pair up, or a judgement is not a
            number in [0, 1].
    """
    folders = _split_folders(Path(root), "2afc", phase, splits)
    base = _common(folders)
    items = []
    for folder in folders:
        for stem, judge in _labelled(folder, "2afc"):
            ref, p0, p1 = (f"{_key(folder, base)}{part}/{stem}.png" for part in ("ref", "p0", "p1"))
            items.append(Triplet(ref, p0, p1, judge, folder.name))
    return TwoAFCSet("bapps-2afc", tuple(items), FolderImages(base, resize=resize), resize)


def read_bapps_jnd(
    root: str | Path, *, phase: str = "val", splits: Sequence[str] | None = None, resize: int | None = 64
) -> JNDSet:
    """Read BAPPS JND: ``jnd/<phase>/<split>/{p0,p1}/NNNNNN.png`` and ``same/NNNNNN.npy``.

    Arguments and errors as in `read_bapps_2afc`.
    """
    folders = _split_folders(Path(root), "jnd", phase, splits)
    base = _common(folders)
    items = []
    for folder in folders:
        for stem, same in _labelled(folder, "jnd"):
            p0, p1 = (f"{_key(folder, base)}{part}/{stem}.png" for part in ("p0", "p1"))
            items.append(SamePair(p0, p1, same, folder.name))
    return JNDSet("bapps-jnd", tuple(items), FolderImages(base, resize=resize), resize)


def _common(folders: Sequence[Path]) -> Path:
    return folders[0].parent


def _key(folder: Path, base: Path) -> str:
    return f"{folder.relative_to(base).as_posix()}/"


def _split_folders(root: Path, task: str, phase: str, splits: Sequence[str] | None) -> list[Path]:
    if phase not in _PHASES:
        raise ConfigError(f"phase must be one of {', '.join(_PHASES)}; got {phase!r}.")
    if not is_folder(root):
        raise DataError(f"BAPPS folder {str(root)!r} does not exist. {card('bapps').how_to_get}")
    found = {root.name: root} if _is_split(root, task) else _search(root, task, phase)
    if splits is None:
        return sorted(found.values(), key=lambda f: (_rank(f.name), f.name))
    if not splits:
        raise ConfigError("splits must name at least one sub-split, or be None for all; got an empty list.")
    for split in splits:
        if split not in found:
            raise DataError(str(unknown_name(f"split of BAPPS {task} below {str(root)!r}", split, found)))
    return [found[split] for split in dict.fromkeys(splits)]


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _is_split(folder: Path, task: str) -> bool:
    images, label = _PARTS[task]
    return all((folder / part).is_dir() for part in (*images, label))


def _search(root: Path, task: str, phase: str) -> dict[str, Path]:
    for place in (root / task / phase, root / phase, root):
        if place.is_dir():
            folders = {f.name: f for f in sorted(place.iterdir()) if f.is_dir() and _looks_like(f, task)}
            if folders:
                return folders
    images, label = _PARTS[task]
    raise DataError(
        f"no BAPPS {task} split found below {str(root)!r}: looked for {task}/{phase}/SPLIT, {phase}/SPLIT "
        f"and SPLIT, each with the folders {', '.join((*images, label))}. {card('bapps').how_to_get}"
    )


def _looks_like(folder: Path, task: str) -> bool:
    """A folder with some of the parts: it is then checked, and a missing part is named."""
    label = _PARTS[task][1]
    # both tasks have p0 and p1, so only the label folder or ref tells them apart
    return (folder / label).is_dir() or (task == "2afc" and (folder / "ref").is_dir())


def _labelled(folder: Path, task: str) -> list[tuple[str, float]]:
    images, label = _PARTS[task]
    stems = {part: _stems(folder / part, ".png") for part in images}
    stems[label] = _stems(folder / label, ".npy")
    first = stems[images[0]]
    for part, have in stems.items():
        odd = sorted(have ^ first)
        if odd:
            some = ", ".join(odd[:5]) + (", ..." if len(odd) > 5 else "")
            raise DataError(
                f"files do not pair up in {str(folder)!r}: {len(odd)} of {images[0]}/ and {part}/ have no "
                f"partner ({some}); every number needs a file in each of {', '.join(stems)}. Unpack it again."
            )
    return [(stem, _read_label(folder / label / f"{stem}.npy")) for stem in sorted(first)]


def _stems(folder: Path, suffix: str) -> set[str]:
    if not folder.is_dir():
        raise DataError(f"folder {str(folder)!r} is missing; BAPPS needs it. Unpack the archive again.")
    stems = {p.stem for p in folder.iterdir() if p.suffix == suffix and not p.name.startswith(".")}
    if not stems:
        raise DataError(f"folder {str(folder)!r} holds no {suffix} file. Unpack the archive again.")
    return stems


def _read_label(path: Path) -> float:
    try:
        values = np.load(path, allow_pickle=False)
        number = float(values.item()) if isinstance(values, np.ndarray) and values.size == 1 else None
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise DataError(f"{str(path)!r} cannot be read as a NumPy number: {error}") from error
    if number is None:
        raise DataError(f"{str(path)!r} must hold one number; got shape {values.shape}.")
    if not 0 <= number <= 1:  # refuses NaN too
        raise DataError(f"{str(path)!r} must hold a fraction in [0, 1]; got {number}.")
    return number
