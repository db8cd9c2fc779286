"""Figures as files and as SVG: the same bytes, own ids, tooltips, nothing that a page would run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lossnets.analysis.figures import save_figure, to_svg
from lossnets.errors import ConfigError, DataError

from .drawn import DRAWN, EVIL, five, ranks_of

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


@pytest.mark.parametrize("kind", DRAWN)
def test_the_same_figure_gives_the_same_text(kind: str) -> None:
    first = to_svg(five(kind))
    assert first == to_svg(DRAWN[kind](5))
    assert not any(word in first for word in ("<?xml", "<!DOCTYPE", "<metadata", "dc:date"))


@pytest.mark.parametrize("kind", DRAWN)
def test_it_obeys_a_strict_policy_and_fits_a_page(kind: str) -> None:
    root = parsed(to_svg(five(kind)))
    assert root.get("viewBox")
    assert root.get("width") == "100%"
    assert root.get("height") is None
    assert root.get("role") == "img"
    assert root.get("aria-label") == five(kind).label
    for element in root.iter():
        assert element.tag.removeprefix(SVG) not in ("style", "script", "foreignObject")
        assert not any(name == "style" or name.startswith("on") for name in element.attrib)


def test_there_is_no_background_and_text_stays_text() -> None:
    figure = five("ranks")
    root = parsed(to_svg(figure))
    texts = {element.text for element in root.iter(f"{SVG}text")}
    assert "average rank (1 is best)" in texts
    assert {element.get("font-family") for element in root.iter(f"{SVG}text")} == {"sans-serif"}
    assert figure.theme.surface not in to_svg(figure).split("<text")[0]
    assert figure.theme.surface in to_svg(figure, transparent=False).split("<text")[0]


@pytest.mark.parametrize("kind", DRAWN)
def test_every_tooltip_arrives(kind: str) -> None:
    figure = five(kind)
    titles = [element.text for element in parsed(to_svg(figure)).iter(f"{SVG}title")]
    assert figure.tips
    assert set(titles) == set(figure.tips.values())


def ids(text: str) -> list[str]:
    return [element.get("id", "") for element in parsed(text).iter() if element.get("id")]


@pytest.mark.parametrize("kind", DRAWN)
def test_ids_are_unique_and_references_lead_to_them(kind: str) -> None:
    text = to_svg(five(kind), key="mine")
    found = ids(text)
    assert all(name == "mine" or name.startswith("mine-") for name in found)
    assert len(set(found)) == len(found)
    for element in parsed(text).iter():
        for value in element.attrib.values():
            if "url(#" in value:
                assert value.split("url(#")[1].split(")")[0] in found
            elif value.startswith("#mine"):
                assert value[1:] in found


def test_figures_of_one_page_do_not_share_ids() -> None:
    texts = [to_svg(five(kind, theme)) for kind in DRAWN for theme in ("light", "dark")]
    every = [name for text in texts for name in ids(text)]
    assert len(set(every)) == len(every)


def test_names_from_files_are_text_and_nothing_else() -> None:
    frame = ranks_of(3)
    frame.loc[1, "contender"] = 'a"><svg onload=alert(1)>\x00\x1b]</title>'
    from lossnets.analysis.figures import rank_figure

    text = to_svg(rank_figure(frame, title="<img src=x onerror=alert(2)>"))
    root = parsed(text)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "g", "defs", "path", "use", "text", "tspan", "title", "clipPath", "rect",
    }  # fmt: skip
    assert any(EVIL in (element.text or "") for element in root.iter(f"{SVG}title"))
    assert "<img" not in text
    assert "\x00" not in text


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("PDF", b"%PDF"), ("svg", b"<svg")])
def test_files_have_the_same_bytes_each_time(suffix: str, begin: bytes, tmp_path: Path) -> None:
    written = [
        save_figure(DRAWN["heatmap"](5), tmp_path / f"{k}.{suffix}", dpi=60).read_bytes() for k in range(2)
    ]
    assert written[0].startswith(begin)
    assert written[0] == written[1]


def test_png_has_the_background_of_the_theme(tmp_path: Path) -> None:
    from lossnets.images import read_image

    for theme, level in (("light", 1.0), ("dark", 0.08)):
        path = save_figure(DRAWN["cost"](5, theme=theme), tmp_path / f"{theme}.png", dpi=40)
        assert float(read_image(path)[0, 0, 0]) == pytest.approx(level, abs=0.01)


def test_mistakes_are_told(tmp_path: Path) -> None:
    figure = DRAWN["ranks"](1)
    with pytest.raises(ConfigError, match=r"must end in \.png, \.svg, \.pdf; got 'x\.jpg'"):
        save_figure(figure, "x.jpg")
    with pytest.raises(DataError):
        save_figure(figure, tmp_path / "no" / "x.png")


def test_other_figures_of_matplotlib_work_too() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    assert to_svg(figure).startswith("<svg ")


def test_a_notebook_shows_it() -> None:
    assert DRAWN["ranks"](1)._repr_svg_().startswith("<svg ")


def test_the_users_settings_are_neither_used_nor_changed(tmp_path: Path) -> None:
    import matplotlib

    plain = to_svg(DRAWN["ranks"](2))
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert to_svg(DRAWN["ranks"](2)) == plain
        assert dict(matplotlib.rcParams) == before


CODE = """
import sys
import lossnets.analysis
assert "matplotlib" not in sys.modules
import lossnets.analysis.figures as figures
assert "matplotlib" not in sys.modules, "figures are heavy to import"
import pandas
figures.to_svg(figures.rank_figure(pandas.DataFrame({"loss": ["a"], "rank": [1.0]})))
assert "matplotlib.pyplot" not in sys.modules
"""


def test_importing_is_light_and_pyplot_is_never_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_matplotlib_the_extra_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"figures needs the package 'matplotlib'.*lossnets\[bench\]"):
        DRAWN["ranks"](1)
