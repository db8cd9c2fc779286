"""Bring tables and pictures on the pages up to date: ``python docs/make_pages.py [--check]``.

A table stands between ``<!-- made: NAME -->`` and ``<!-- end -->``; what stands there is what the function
of that name in ``making`` makes of the code, and of the results and costs that come with the package.
Pictures are those of ``making/pictures.py``; ``pictures/made.json`` remembers what each was drawn from. With
``--check`` nothing is written, and the exit status is 1 if something is not up to date; numbers may differ
by rounding there.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from making import PICTURES, TABLES
from making.pictures import drawn_from

DOCS = Path(__file__).resolve().parent
MEMORY = DOCS / "pictures" / "made.json"
MADE = re.compile(r"(<!-- made: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
DPI = {"compare-images.png": 96}
"""Where photographs would make a large file."""
CLOSE = 0.02
"""Two numbers of a table are the same up to this share: machines round differently."""


def pages() -> list[Path]:
    """Pages with something made."""
    return [page for page in sorted(DOCS.glob("*.md")) if MADE.search(page.read_text(encoding="utf-8"))]


def refreshed(text: str) -> str:
    """The page with every table made anew."""
    return MADE.sub(lambda found: found[1] + TABLES[found[2]]() + found[4], text)


def stale_tables() -> Iterator[str]:
    """Where a page does not say what the results say."""
    for page in pages():
        for _, name, shown, _ in MADE.findall(page.read_text(encoding="utf-8")):
            if not same(shown, TABLES[name]()):
                yield f"{page.name}: {name}"


def same(shown: str, made: str) -> bool:
    """Equal but for the last digits of numbers."""
    first, second = (re.findall(r"-?\d+(?:\.\d+)?|[^\s\d]+", text) for text in (shown, made))
    return len(first) == len(second) and all(map(_same_word, first, second))


def _same_word(first: str, second: str) -> bool:
    try:
        return first == second or math.isclose(float(first), float(second), rel_tol=CLOSE)
    except ValueError:
        return False


def remembered() -> dict[str, str]:
    """Picture -> what it was drawn from."""
    return dict(json.loads(MEMORY.read_text(encoding="utf-8"))) if MEMORY.exists() else {}


def stale_pictures() -> Iterator[str]:
    """Pictures that are not there, or were drawn from other data."""
    known = remembered()
    for name, draw in PICTURES.items():
        if not (DOCS / "pictures" / name).is_file() or known.get(name) != drawn_from(draw()[0]):
            yield f"pictures/{name}"


def draw_pictures() -> None:
    """Draw them all, and remember what from."""
    from lossnets.analysis.figures import save_figure

    known = {}
    for name, draw in PICTURES.items():
        frames, figure = draw()
        save_figure(figure, DOCS / "pictures" / name, dpi=DPI.get(name, 160))
        known[name] = drawn_from(frames)
    MEMORY.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """0, or 1 if something is not up to date and was to be checked only."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    if arguments:
        stale = [*stale_tables(), *stale_pictures()]
        sys.stderr.write("".join(f"not up to date: {name}\n" for name in stale))
        return int(bool(stale))
    for page in pages():
        text = page.read_text(encoding="utf-8")
        page.write_text(refreshed(text), encoding="utf-8")
    draw_pictures()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
