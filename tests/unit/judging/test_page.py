"""The page: the verdict first, every number, nothing from the network, every text as text."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lossnets.errors import DataError
from lossnets.judging import page as page_module
from lossnets.judging.evaluation import Evaluation, read_evaluation, write_evaluation
from lossnets.judging.fidelity_result import FidelityResult, FidelityRow
from lossnets.judging.page import build_page, write_page

from .handmade import ENDS, RATIOS, cost_of, effect_of, fit, stability_of

ABOUT: dict[str, Any] = {
    "pgn": "mine", "true": "net/c1,c2", "parameters": 123_456, "images": "photos", "names": ["0.png"],
    "profile": "small", "machine": "a processor", "made": "2026-01-01T00:00:00+00:00",
    "plan": {"resamples": 100}, "signature": "pgn:mine|x",
}  # fmt: skip


def fidelity_of() -> FidelityResult:
    rows = [
        FidelityRow("true", "image-prior", 0, step, f"{k}.png", rival, space, cosine, 0.8, 0.7)
        for k in range(3) for step in (0, 10) for space in ("pixels/1", "parameters")
        for rival, cosine in (("pgn", 0.6), ("mse", 0.1))
    ]  # fmt: skip
    return FidelityResult({"steps": 10, "at": [0, 10]}, tuple(rows))


def inversion_of() -> Any:
    ends = {"true": 1.0, "pgn": 1.2, "mse": 2.0}
    result = effect_of(ends, generators=("inversion",), seeds=(0,))
    return replace(result, settings={**result.settings, "fit_steps": 50})


@pytest.fixture(scope="module")
def made() -> Evaluation:
    return Evaluation(
        ABOUT, {"name": "mine", "data": {"folder": "train"}}, cost_of(RATIOS), effect_of(ENDS),
        fidelity_of(), stability_of(0), inversion_of(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(made: Evaluation) -> str:
    return build_page(made)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawings take most of the time and are not what these tests are about."""
    monkeypatch.setattr(
        page_module, "_both", lambda drawing: {"caption": drawing.caption, "light": "", "dark": ""}
    )


def test_the_verdict_comes_first(page: str) -> None:
    assert page.startswith("<!DOCTYPE html>")
    assert "<h1>Is mine worth using?</h1>" in page
    assert page.index("Use the gradient network") < page.index("Gap closed against cost")
    assert "PGNLoss.from_pretrained(&#39;mine&#39;)" in page
    assert "Ties go to the simpler" in page
    for anchor in ("standings", "effect", "cost", "fidelity", "stability", "inversion", "provenance"):
        assert f'<section id="{anchor}"' in page


def test_thin_evidence_is_told_in_the_headline(made: Evaluation, page: str, undrawn: None) -> None:
    assert "provisional" not in made.verdict().sentence
    assert "Use the gradient network, provisionally" not in page
    thin = replace(made, effect=effect_of(ENDS, images=3))
    assert "This is provisional: only 3 images." in thin.verdict().sentence
    assert "Use the gradient network, provisionally" in build_page(thin)


def test_the_numbers_are_on_it(page: str) -> None:
    text = re.sub(r"<[^>]+>", " ", page)
    for part in (
        "123,456 parameters",
        "0 of 24",
        "[0.00, 0.14]",
        "0.60 [0.60, 0.60]",
        "data.folder train",
        "10,000",
    ):
        assert part in re.sub(r"\s+", " ", text), part


def test_nothing_is_fetched_and_no_script_runs(page: str) -> None:
    assert "default-src 'none'" in page
    assert "<script" not in page
    without = page.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
    assert "http:" not in without
    assert "https:" not in without
    assert page.count("<svg") == 2 * 2  # two drawings, each for both themes
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_texts_are_texts(undrawn: None, made: Evaluation) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    about = {**ABOUT, "pgn": hostile, "images": hostile, "names": [hostile]}
    page = build_page(replace(made, about=about, problems={"inversion": hostile}, inversion=None))
    assert "<img" not in page
    assert "&lt;img src=x onerror" in page
    assert "inversion is missing: &lt;img" in page


def test_parts_that_are_missing_leave_the_others(undrawn: None, made: Evaluation) -> None:
    bare = replace(
        made, fidelity=None, stability=None, inversion=None, card={}, problems={"stability": "broke"}
    )
    page = build_page(replace(bare, card={}))
    assert "stability is missing: broke" in page
    assert "Use the truncated loss" in page  # untested, it cannot be called good
    assert '<section id="fidelity"' not in page


def test_what_is_not_defined_is_said(made: Evaluation) -> None:
    flat = effect_of({**ENDS, "true": 2.0}, noise=0.3)
    page = build_page(replace(made, effect=flat))
    assert "not measurably better than MSE" in page
    assert "The image-prior does not count" in page
    assert "Nothing to draw" in page
    assert "nan" not in re.sub(r"<[^>]+>", " ", page).lower().split()


def test_lost_fits_are_shown_as_such(undrawn: None, made: Evaluation) -> None:
    ends = {key: value for key, value in ENDS.items() if key != "pgn"}
    result = effect_of(ends)
    lost = [
        fit("image-prior", "pgn", math.nan, image=f"{k}.png", seed=seed, diverged=10)
        for k in range(12) for seed in (0, 1)
    ]  # fmt: skip
    whole = replace(effect_of(ENDS), fits=(*result.fits, *lost))
    evaluation = replace(made, effect=whole)
    assert evaluation.verdict().word == "truncated"
    page = build_page(evaluation)
    assert "24 of 24" in page
    assert "fits driven by it are not finite" in page


def test_records_are_read_back(undrawn: None, made: Evaluation, tmp_path: Path) -> None:
    path = write_evaluation(made, tmp_path / "evaluation.json")
    record = json.loads(path.read_text())
    assert next(iter(record)) == "format"
    assert record["verdict"]["word"] == "pgn"
    assert read_evaluation(path).as_dict() == record
    write_page(read_evaluation(path), tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == build_page(made)
    (tmp_path / "other.json").write_text('{"format": "another"}')
    with pytest.raises(DataError, match="no evaluation of a gradient network: its format is 'another'"):
        read_evaluation(tmp_path / "other.json")
    del record["effect"]
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="the evaluation cannot be read: KeyError: 'effect'"):
        read_evaluation(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_evaluation(tmp_path / "nothing.json")


def test_cautions(made: Evaluation) -> None:
    seen = {**made.about, "trained_on": True}
    few = replace(made, effect=effect_of(ENDS, images=4, seeds=(0,)), about=seen)
    reasons = " ".join(few.verdict().reasons)
    assert "Only 4 images were judged" in reasons
    assert "One seed" in reasons
    assert "look like those that the network was trained on" in reasons
    assert "Only" not in " ".join(made.verdict().reasons)
