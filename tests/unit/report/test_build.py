"""The page as text: sound HTML, every section, nothing from outside, nothing hostile let through."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from lossnets.analysis import Results, shipped_costs, shipped_results
from lossnets.report import build_report
from lossnets.report.assets import unpack
from lossnets.report.leaderboard import leaderboard

from .hostile import SCRIPT, TEXTS, broken, hostile, run

SECTIONS = (
    "summary", "leaderboard", "taps", "ranks", "cost", "correlations", "variance", "findings", "pictures",
    "provenance", "downloads",
)  # fmt: skip
VOID = {"meta", "link", "img", "input", "br", "hr"}


class Page(HTMLParser):
    """Elements of a page, checked for nesting; text of scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.texts: dict[str, str] = {}
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open[-1] == tag, f"</{tag}> inside {self.open[-4:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.texts[str(self.elements[-1][1].get("id", self.open[-1]))] = data
        else:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def small(simulated: Callable[..., Any]) -> Results:
    """Three networks in two tasks with two seeds."""
    settings = ("similarity", "autoencoding")
    return simulated(np.random.default_rng(3), architectures=3, settings=settings, seeds=2, failed=0.04)


@pytest.fixture(scope="module")
def text(small: Results) -> str:
    return build_report(small, costs=shipped_costs(), title="Mine & yours")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_is_sound(page: Page, text: str) -> None:
    assert text.startswith("<!DOCTYPE html>")
    assert page.open == []
    assert page.all("html")[0]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))
    assert [section["id"] for section in page.all("section")] == list(SECTIONS)
    links = [a["href"] for a in page.all("a") if a["href"] != "#main"]
    assert links == [f"#{name}" for name in SECTIONS]
    assert "Mine &amp; yours</h1>" in text


def test_everything_has_a_name_for_those_who_do_not_see_it(page: Page) -> None:
    for tag, attributes in page.elements:
        if tag == "img":
            assert attributes["alt"]
        if attributes.get("role") in ("region", "img"):
            assert attributes["aria-label"], (tag, attributes)
        if attributes.get("tabindex") == "0":
            assert attributes["role"] == "region"
    assert all(section["aria-labelledby"] for section in page.all("section"))


def test_the_policy_admits_nothing_but_the_own_script(page: Page) -> None:
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    digest = base64.b64encode(hashlib.sha256(page.texts["script"].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    running = [a for a in page.all("script") if "type" not in a]
    assert len(running) == 1


def test_nothing_is_fetched(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    assert "@import" not in page.texts["style"]
    assert "url(" not in page.texts["style"]


def test_figures_come_in_both_themes(page: Page, text: str) -> None:
    figures = [a for a in page.all("figure") if a.get("data-name")]
    names = [str(a["data-name"]) for a in figures]
    assert len(names) == len(set(names))
    assert {re.sub(r"-[\d].*", "", name) for name in names} == {
        "heat-map", "average-ranks", "ranks-of-networks", "critical-differences", "correlations",
        "attributes", "variance", "cost",
    }  # fmt: skip
    assert text.count('class="drawing of-light"') == text.count('class="drawing of-dark"') == len(names)


def test_the_embedded_table_is_the_leaderboard(page: Page, small: Results) -> None:
    data = json.loads(page.texts["data"])
    assert data == json.loads(json.dumps(leaderboard(small)))
    assert len(data["rows"]) == len(small.cells)


def test_equal_results_give_equal_pages(small: Results) -> None:
    part = Results(small.only(task="autoencoding").records[:6], "some")
    assert build_report(part, costs=shipped_costs()) == build_report(part, costs=shipped_costs())


def test_hostile_texts_stay_texts() -> None:
    results = hostile()
    text = build_report(results, costs=shipped_costs(), title=TEXTS[1], origin=TEXTS[2])
    page = Page(text)
    assert page.open == []
    names = {tag for tag, _ in page.elements}
    assert names & {"b", "img", "iframe", "object"} == set()
    assert len([a for a in page.all("script") if "type" not in a]) == 1
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
    words = "".join(page.words)
    for nasty in (SCRIPT, TEXTS[2], "{{ 7 * 7 }}"):
        assert nasty in words  # shown, not dropped
    assert "49" not in [word.strip() for word in page.words]
    rows = json.loads(page.texts["data"])["rows"]
    assert set(TEXTS) <= {row[2] for row in rows}
    runs = json.loads(unpack(page.texts["file-3"]))
    assert {run["loss"] for run in runs} == {record.config.loss for record in results.records}


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ((), "There are no runs."),
        ((broken("vgg11/relu1_1", "no memory"),), "no memory"),
        ((run("pixel:mse", 0.5),), "no loss here is a single point of a network"),
        ((run("pixel:mse", None, note="nothing to count"),), "a score that is not defined"),
        ((run("not a loss", 0.5, benchmark="unheard-of"),), "unheard-of"),
        ((run("vgg16/relu1_2", 0.5), broken("vgg16/relu2_2", "boom")), "boom"),
    ],
)
def test_results_that_say_little_make_a_page_that_says_so(records: Any, said: str) -> None:
    text = build_report(Results(records), costs=shipped_costs())
    page = Page(text)
    assert [section["id"] for section in page.all("section")] == list(SECTIONS)
    assert said in "".join(page.words)
    assert "could not be computed" not in text  # an error that is no LossnetsError
    for name in SECTIONS[2:10]:
        body = text.partition(f'<section id="{name}"')[2].partition("</section>")[0]
        after = body.partition("</p>")[2]
        assert re.search(r"<(p|table|figure|details|article)", after), f"{name} is empty"


def test_the_shipped_results_have_every_section() -> None:
    results = shipped_results()
    text = build_report(results.only(task="delineation"), costs=shipped_costs(), pictures=False)
    assert "could not be computed" not in text
    assert "Pictures were left out of this page on request." in text
    assert "efficientnet_lite0" in text
