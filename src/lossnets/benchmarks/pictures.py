"""Pictures of runs: one file for each image and column, and a sheet that puts several runs side by side."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lossnets.errors import DataError, ImageError
from lossnets.home import atomic_write, make_folder, text_bytes
from lossnets.images.files import read_image, write_image

FOLDER, OUTPUT = "pictures", "output"
MAX_ROWS = 6
_LONGEST, _BYTES = 120, 200  # characters and bytes of a file's name; systems take 255 bytes
_GAP, _LINE = 6, 14  # pixels between pictures, and of a line of text


def save_picture(folder: Path, row: str, column: str, image: Tensor) -> Path:
    """Write (3, H, W) in [0, 1], clamped, to ``folder/pictures/ROW/COLUMN.png`` -> that path.

    A name that cannot be that of a file is changed, and has a few digits of its hash at its end: two names
    never share a file.

    Args:
        folder: of the run.
        row: what is shown, e.g. the name of the test image.
        column: `OUTPUT` for what the trained model made, else the name of a column that all runs share.
        image: the picture.

    Raises:
        ImageError: the image has another shape, or cannot be written.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ImageError(f"image must have shape (3, H, W); got {tuple(image.shape)}")
    path = folder / FOLDER / _file_name(row) / f"{_file_name(column)}.png"
    make_folder(path.parent)
    write_image(path, image.detach().float().cpu().clamp(0, 1))
    return path


def sheet(
    runs: Mapping[str, Path],
    target: Path,
    *,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    side: int = 192,
) -> Path:
    """Draw rows of images against columns: those before, one for each run, those after -> ``target`` (PNG).

    Args:
        runs: label -> folder of the run; rows are the pictures that all of them have.
        target: the PNG file.
        before: shared columns to the left, taken from the first run.
        after: shared columns to the right.
        side: longer side of each picture on the sheet, in pixels.

    Raises:
        DataError: there is no run, or no row that all runs have.
    """
    folders = list(runs.values())
    rows = _common_rows(folders)
    if not rows:
        raise DataError(
            f"no pictures that all of these runs have: {', '.join(map(str, runs)) or 'none given'}. They lie "
            "beside the results file, in the folder of its name and .runs; copy both."
        )
    sources = [(name, folders[0], name) for name in before]
    sources += [(label, folder, OUTPUT) for label, folder in runs.items()]
    sources += [(name, folders[0], name) for name in after]
    cells = [[_cell(folder, row, column, side) for _, folder, column in sources] for row in rows]
    drawn = _draw(rows[:MAX_ROWS], [label for label, _, _ in sources], cells[:MAX_ROWS])
    make_folder(target.parent)
    with atomic_write(target, error=ImageError) as file:
        drawn.save(file, format="PNG")
    return target


def _file_name(text: str) -> str:
    """A name as that of a file: as it is where it can be one, else with a hash, which no other name has.

    >>> _file_name("lake, 2"), _file_name("lake 2")
    ('lake_ 2~7e52eb57', 'lake 2')
    """
    plain = re.sub(r"[^\w .+=@-]", "_", text)
    if plain == text and len(text) <= _LONGEST and len(text.encode()) <= _BYTES and text.strip(". "):
        return text
    cut = plain[:_LONGEST].encode()[:_BYTES].decode("utf-8", "ignore")
    return f"{cut.strip('. ')}~{hashlib.sha256(text_bytes(text)).hexdigest()[:8]}"


def _common_rows(folders: Sequence[Path]) -> list[str]:
    sets = [
        {path.parent.name for path in (folder / FOLDER).glob(f"*/{OUTPUT}.png")} if folder.is_dir() else set()
        for folder in folders
    ]
    return sorted(set.intersection(*sets)) if sets else []


def _cell(folder: Path, row: str, column: str, side: int) -> Image.Image:
    path = folder / FOLDER / row / f"{_file_name(column)}.png"
    values = (read_image(path) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    image = Image.fromarray(values)
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def _draw(rows: Sequence[str], labels: Sequence[str], cells: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Cells on white, the columns' labels above them (wrapped), the rows' names below each row."""
    widths = [max(row[c].width for row in cells) for c in range(len(labels))]
    heights = [max(cell.height for cell in row) for row in cells]
    font = ImageFont.load_default(11)
    wrapped = [_wrap(label, width) for label, width in zip(labels, widths, strict=True)]
    head = max(len(lines) for lines in wrapped) * _LINE + _GAP
    width = sum(widths) + _GAP * (len(widths) + 1)
    page = Image.new("RGB", (width, head + sum(heights) + (_GAP + _LINE) * len(rows)), "white")
    pen = ImageDraw.Draw(page)
    x = _GAP
    for column, lines in enumerate(wrapped):
        for number, line in enumerate(lines):
            pen.text((x, number * _LINE + 2), line, fill="black", font=font)
        y = head
        for r, row in enumerate(cells):
            page.paste(row[column], (x, y))
            if column == 0:
                pen.text((x, y + heights[r]), rows[r], fill="dimgray", font=font)
            y += heights[r] + _LINE + _GAP
        x += widths[column] + _GAP
    return page


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` pixels, broken after / , : and spaces where possible."""
    limit = max(4, width // 6)
    lines, line = [], ""
    for piece in re.findall(r"[^/,: ]*[/,: ]?", text):
        part = piece
        if line and len(line) + len(part) > limit:
            lines.append(line)
            line = ""
        while len(part) > limit:
            lines.append(part[:limit])
            part = part[limit:]
        line += part
    return [*lines, line] if line or not lines else lines
