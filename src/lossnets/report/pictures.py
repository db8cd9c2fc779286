"""Pictures that runs left beside their store, scaled and put into the page, best loss to worst."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from lossnets.analysis import Results, Setting
from lossnets.analysis.figures import short_names
from lossnets.analysis.results import without_password
from lossnets.benchmarks.base import benchmark_class
from lossnets.benchmarks.pictures import FOLDER, OUTPUT
from lossnets.errors import ImageError, UnknownNameError
from lossnets.home import home
from lossnets.images.files import read_image
from lossnets.report.parts import Heading, Note, Part, Strip, number
from lossnets.runs.folders import SUFFIX, run_folder
from lossnets.runs.records import RunRecord

ROWS, LOSSES, SIDE = 3, 5, 192
"""Test images and losses for each setting, and the longer side of a picture in pixels."""
_QUALITY = 86


def folder_beside(source: str) -> Path | None:
    """Folder of runs beside a file of results, where there is one: ``mine.sqlite`` -> ``mine.runs``.

    A store that is no file has its folder in the home of lossnets (`runs_folder`).

    >>> folder_beside("the results that ship with lossnets") is None
    True
    """
    if "://" in source:
        place = home() / "runs" / hashlib.sha256(without_password(source).encode()).hexdigest()[:12]
    else:
        place = Path(source).with_suffix(SUFFIX) if Path(source).is_file() else Path()
    return place.absolute() if place.suffix == SUFFIX and place.is_dir() else None


def pictures(results: Results, places: Sequence[Path]) -> Iterator[Part]:
    """For each setting whose runs left pictures, strips of `ROWS` test images: input, losses, target."""
    found = False
    for setting in results.settings:
        strips = list(_readable(results, setting, places))
        if strips:
            found = True
            yield Heading(results.labels[setting])
            yield from strips
    if not found:
        where = ", ".join(map(str, places)) or "none was found beside the results"
        yield Note(
            "These results come without pictures: benchmarks that train a model leave them in the folder of "
            f"runs beside the store (NAME{SUFFIX}); searched: {where}.",
            "absent",
        )


def _readable(results: Results, setting: Setting, places: Sequence[Path]) -> Iterator[Part]:
    """The strips; where a file cannot be read, those before it and why the rest is not there."""
    try:
        yield from _strips(results, setting, places)
    except (ImageError, OSError) as error:
        yield Note(f"A picture cannot be shown: {error}", "absent")


def _strips(results: Results, setting: Setting, places: Sequence[Path]) -> Iterator[Part]:
    chosen = _chosen(results, setting, places)
    if not chosen:
        return
    before, after = _columns(setting)
    folders = [folder for _, folder in chosen]
    rows = sorted(set.intersection(*(_rows(folder) for folder in folders)))
    for row in rows[:ROWS]:
        shared = [(name, folders[0] / FOLDER / row / f"{name}.png") for name in (*before, *after)]
        own = [(label, folder / FOLDER / row / f"{OUTPUT}.png") for label, folder in chosen]
        wanted = shared[: len(before)] + own + shared[len(before) :]
        shown = [(label, data_uri(path)) for label, path in wanted if path.is_file()]
        yield Strip(row, shown)


def _columns(setting: Setting) -> tuple[Sequence[str], Sequence[str]]:
    try:
        return getattr(benchmark_class(setting.benchmark), "sheet_columns", ((), ()))
    except UnknownNameError:
        return (), ()


def _chosen(results: Results, setting: Setting, places: Sequence[Path]) -> list[tuple[str, Path]]:
    """(caption, folder) of `LOSSES` losses that left pictures, spread evenly from the best to the worst.

    All of the seed that most of them have, so that only the loss differs.
    """
    cells = results.cells
    ranked = cells[(cells["setting"] == results.labels[setting]) & (cells["state"] == "ranked")]
    members = [run for run in results.members[setting] if run.status == "done"]
    with_pictures = {
        (r.loss, r.config.signature, r.config.seed): folder
        for r in members
        if (folder := _folder_of(r, places)) is not None
    }
    seeds = [seed for _, _, seed in with_pictures]
    if not seeds:
        return []
    seed = max(sorted(set(seeds)), key=seeds.count)
    found: list[tuple[dict[str, Any], Path]] = []
    for cell in ranked.to_dict("records"):
        folder = with_pictures.get((cell["loss"], cell["signature"], seed))
        if folder is not None:
            found.append((cell, folder))
    short = short_names(ranked["loss"])
    return [(_caption(cell, short[cell["loss"]]), folder) for cell, folder in _spread(found)]


def _spread(found: list[tuple[dict[str, Any], Path]]) -> list[tuple[dict[str, Any], Path]]:
    if len(found) <= LOSSES:
        return found
    step = (len(found) - 1) / (LOSSES - 1)
    return [found[round(k * step)] for k in range(LOSSES)]


def _caption(cell: dict[str, Any], name: str) -> str:
    unit = f" {cell['unit']}" if cell["unit"] == "dB" else ""
    return f"{int(cell['rank'])}. {name}: {number(cell['value'])}{unit}"


def _folder_of(record: RunRecord, places: Sequence[Path]) -> Path | None:
    folders = (run_folder(place, record.config) for place in places)
    return next((folder for folder in folders if (folder / FOLDER).is_dir()), None)


def _rows(folder: Path) -> set[str]:
    return {path.parent.name for path in (folder / FOLDER).glob(f"*/{OUTPUT}.png")}


def data_uri(path: Path, side: int = SIDE) -> str:
    """A picture file -> JPEG data URI, its longer side `side` pixels at most.

    Small pictures (up to 64 pixels) are enlarged without smoothing, so that pixels stay visible.
    """
    image = Image.fromarray((read_image(path) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if scale < 1:
        image = image.resize(size, Image.Resampling.LANCZOS)
    elif max(image.size) <= 64:
        image = image.resize(size, Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
