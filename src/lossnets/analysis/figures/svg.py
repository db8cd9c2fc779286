"""Figures as files, and as SVG that can stand many times in one page."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lossnets.analysis.figures.style import settings
from lossnets.errors import ConfigError

FORMATS = (".png", ".svg", ".pdf")
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_FONT = re.compile(r"(?:(?P<words>[\w ]*?) )?(?P<size>[\d.]+)px")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FAMILY = "sans-serif"
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))


def save_figure(figure: Any, path: str | Path, *, dpi: int = 200) -> Path:
    """Write a figure as PNG, SVG or PDF, by the ending of the path -> the path.

    The same figure gives the same bytes. PNG and PDF have the theme's background, SVG has none.

    Raises:
        ConfigError: another ending.
        DataError: the file cannot be written.
    """
    from lossnets.errors import DataError
    from lossnets.home import atomic_write, text_bytes

    path = Path(path)
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise ConfigError(f"a figure's file must end in {', '.join(FORMATS)}; got {str(path)!r}")
    if kind == ".svg":
        content = text_bytes(to_svg(figure))
    else:
        buffer = io.BytesIO()
        metadata = {"CreationDate": None} if kind == ".pdf" else {"Software": None}
        with settings():
            figure.savefig(buffer, format=kind[1:], dpi=dpi, metadata=metadata)
        content = buffer.getvalue()
    with atomic_write(path, error=DataError) as file:
        file.write(content)
    return path


def to_svg(figure: Any, *, key: str | None = None, transparent: bool = True) -> str:
    """A figure as SVG text: one ``<svg>`` element, no XML header, as wide as its place.

    Text stays text in the page's sans-serif. Points, cells and labels have tooltips (``<title>``). Ids
    begin with ``key``, so that figures do not disturb each other; no ``style`` attribute or element is
    used, so that a strict content security policy admits it. The same figure gives the same text.

    Args:
        figure: of this package; any other matplotlib figure works too, without tooltips.
        key: what ids begin with; by default a hash of the content. A page that holds the very same
            figure twice gives each its own.
        transparent: without the theme's background.
    """
    buffer = io.BytesIO()
    with settings():
        figure.savefig(
            buffer, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None}
        )
    raw = buffer.getvalue().translate(None, _CONTROL)  # which XML does not allow
    root = ElementTree.fromstring(raw)  # noqa: S314 - written by matplotlib a line above
    prefix = key if key is not None else f"f{hashlib.sha256(raw).hexdigest()[:10]}"
    tips = getattr(figure, "tips", {})
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        _rewrite(element, prefix, tips)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "style"):
                parent.remove(child)
    _finish(root, str(getattr(figure, "label", "")), prefix)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _rewrite(element: ElementTree.Element, prefix: str, tips: dict[str, str]) -> None:
    """Own ids, presentation attributes instead of styles, tooltips; in place."""
    found = dict(element.attrib)
    element.attrib.clear()
    for name, value in found.items():
        if name == "style":
            for key, text in _presentation(value):
                element.set(key, text)
            continue
        local = name.rpartition("}")[2]
        element.set("xlink:href" if local == "href" else local, value)
    for name, value in list(element.attrib.items()):
        if name == "id":
            element.set("id", f"{prefix}-{value}")
        elif name == "xlink:href" and value.startswith("#"):
            element.set(name, f"#{prefix}-{value[1:]}")
        elif "url(#" in value:
            element.set(name, _REFERENCE.sub(rf"url(#{prefix}-\1)", value))
    tip = tips.get(found.get("id", ""))
    if tip is not None:
        title = ElementTree.Element("title")
        title.text = _printable(tip)
        element.insert(0, title)


def _presentation(style: str) -> list[tuple[str, str]]:
    """``fill: #fff; font: 9px 'X'`` -> [("fill", "#fff"), ("font-size", "9px"), ...]."""
    pairs: list[tuple[str, str]] = []
    for part in style.split(";"):
        name, _, value = (piece.strip() for piece in part.partition(":"))
        if name == "font":
            match = _FONT.match(value)
            if match:
                pairs += [("font-size", f"{match['size']}px"), ("font-family", _FAMILY)]
                if "bold" in (match["words"] or "") or re.search(r"\b[6-9]00\b", match["words"] or ""):
                    pairs.append(("font-weight", "bold"))
        elif name == "font-family":
            pairs.append((name, _FAMILY))
        elif name:
            pairs.append((name, value))
    return pairs


def _finish(root: ElementTree.Element, label: str, prefix: str) -> None:
    """The attributes of the outermost element."""
    root.attrib = {
        "xmlns": _SVG,
        "xmlns:xlink": _XLINK,
        "id": prefix,
        "viewBox": root.get("viewBox", ""),
        "width": "100%",
        "role": "img",
        "aria-label": _printable(label),
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable() or c == "\n")
