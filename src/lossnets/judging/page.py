"""The judgement as one HTML page: verdict, picture, tables; one file without script or request."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from lossnets.analysis.figures.style import ThemeName
from lossnets.errors import DataError, require
from lossnets.home import atomic_write
from lossnets.judging.evaluation import Evaluation
from lossnets.judging.page_parts import Drawing, Section, counted
from lossnets.judging.page_sections import sections, tiles
from lossnets.judging.verdict import PGN, TRUE, TRUNCATED
from lossnets.version import __version__

HEADLINES = {
    PGN: "Use the gradient network", TRUNCATED: "Use the truncated loss", TRUE: "Use the true loss",
}  # fmt: skip
"""Above the sentence of the verdict, by its word."""


def build_page(evaluation: Evaluation, *, json_name: str = "evaluation.json") -> str:
    """An evaluation -> HTML text of one self-contained page; equal evaluations give equal text.

    Raises:
        MissingExtraError: jinja2, pandas or matplotlib is not installed.
    """
    found = evaluation.standings()
    verdict = evaluation.verdict(found)
    about = evaluation.about
    context = {
        "title": f"Is {about['pgn']} worth using?",
        "source": _source(evaluation),
        "version": __version__,
        "style": _own("page.css"),
        "verdict": verdict,
        "headline": HEADLINES[verdict.word] + (", provisionally" if verdict.provisional else ""),
        "tiles": tiles(evaluation, found),
        "problems": [f"{part} is missing: {why}" for part, why in evaluation.problems.items()],
        "sections": list(_drawn(sections(evaluation, found, verdict.key))),
        "json": json_name,
    }
    text: str = _template().render(context)
    return text


def write_page(evaluation: Evaluation, path: str | Path) -> Path:
    """Write the page, whole or not at all -> the path.

    Raises:
        DataError: it cannot be written.
    """
    text = build_page(evaluation)
    with atomic_write(path, "w", error=DataError) as file:
        file.write(text)
    return Path(path)


def _source(evaluation: Evaluation) -> str:
    about = evaluation.about
    settings = evaluation.effect.settings
    count, side = len(about["names"]), settings["side"][0]
    return (
        f"A gradient network of {about['parameters']:,} parameters that imitates {about['true']}, judged on "
        f"{counted(count, 'image')} of {side}×{side} pixels from {about['images']!r}, profile "
        f"{about['profile']}; {about['machine']}; {about['made']}."
    )


def _drawn(all_sections: list[Section]) -> Any:
    """Sections with their drawings made, in both themes."""
    for section in all_sections:
        parts = [_both(part) if isinstance(part, Drawing) else part for part in section.parts]
        yield {"name": section.name, "title": section.title, "lead": section.lead, "parts": parts}


def _both(drawing: Drawing) -> dict[str, str]:
    from lossnets.analysis.figures import to_svg

    themes: tuple[ThemeName, ...] = get_args(ThemeName)
    light, dark = (to_svg(drawing.draw(theme=theme), key=f"{drawing.name}-{theme}") for theme in themes)
    return {"caption": drawing.caption, "light": light, "dark": dark}


def _own(name: str) -> str:
    return files("lossnets.judging").joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _template() -> Any:
    jinja2 = require("jinja2", "bench", "the page of an evaluation")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_own("page.html.j2"))
