"""Stability: diverged images are counted, shares have exact intervals, plateaus are seen."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from lossnets.errors import ConfigError, DataError, UnknownNameError
from lossnets.judging import Fit, Point, RivalRecord, StabilityResult, stability
from lossnets.judging.stability import clopper_pearson
from lossnets.losses import load_loss

from .small import SETTINGS, images, pgn_of

MSE = load_loss("pixel:mse")
Y = images(3, 16) * 0.1 + 0.45  # grey: the start lies near, so that what drives away soon doubles the loss


def run(factor: float, **options: Any) -> StabilityResult:
    settings = {"generators": ["deep-decoder"], "steps": 12, "check": 3, "points": 1, "learning_rate": 0.05,
                "generator_settings": SETTINGS, **options}  # fmt: skip
    return stability(MSE, pgn_of(MSE, factor), Y, **settings)


@pytest.mark.parametrize(("hits", "count"), [(0, 24), (1, 24), (12, 24), (23, 24), (24, 24), (0, 1)])
def test_exact_interval_is_that_of_scipy(hits: int, count: int) -> None:
    expected = binomtest(hits, count).proportion_ci(confidence_level=0.95, method="exact")
    assert clopper_pearson(hits, count) == pytest.approx((expected.low, expected.high))


def test_interval_by_hand() -> None:
    """No hit of n: the upper end p solves (1 - p)^n = 0.025."""
    low, high = clopper_pearson(0, 24)
    assert low == 0
    assert (1 - high) ** 24 == pytest.approx(0.025)


def test_a_network_that_drives_away_diverges_and_one_that_is_right_does_not() -> None:
    wrong = run(-1.0).row("deep-decoder", "pgn")
    assert (wrong.diverged, wrong.images, wrong.share, wrong.high) == (3, 3, 1.0, 1.0)
    assert wrong.low == pytest.approx(0.025 ** (1 / 3))
    assert wrong.steps == 12
    right = run(1.0, rivals=["pgn", "mse"])
    assert [(row.rival, row.diverged) for row in right.rows()] == [("pgn", 0), ("mse", 0)]
    assert right.row("deep-decoder", "pgn").letter == "b"


def test_lost_fits_may_end_early() -> None:
    result = run(-1.0, stop=True, steps=300)
    assert all(fit.steps < 300 for fit in result.fits)
    assert result.row("deep-decoder", "pgn").diverged == 3


def made(image: str, seed: int, diverged: int | None, plateau: int | None) -> Fit:
    curve = (Point(0, 1.0, 0.1, 20.0, 0.5), Point(10, math.nan, math.nan, math.nan, math.nan))
    return Fit("image-prior", "pgn", seed, image, 10, curve, diverged, plateau, 1.0)


def test_an_image_is_lost_with_any_seed_and_at_rest_with_every_seed() -> None:
    record = RivalRecord("pgn", "b", "PGN", "", "", plain=False, period=1, smallest=1, signature="s")
    fits = (made("a", 0, None, 5), made("a", 1, 7, 5), made("b", 0, None, 5), made("b", 1, None, None))
    result = StabilityResult({"steps": 10}, (record,), fits)
    row = result.row("image-prior", "pgn")
    assert (row.diverged, row.images, row.plateaued) == (1, 2, 1)
    assert (row.low, row.high) == clopper_pearson(1, 2)
    back = StabilityResult.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False)))
    assert back.rows() == result.rows()
    assert len(result.table()) == 1
    with pytest.raises(ConfigError, match="driven by 'pgn' was not tested; there are image-prior by"):
        result.row("deep-decoder", "pgn")
    with pytest.raises(DataError, match="no test of stability"):
        StabilityResult.from_dict({})


def test_resumes(tmp_path: Path) -> None:
    store = tmp_path / "stability.jsonl"
    first = run(1.0, store=store, batch=2)
    lines = store.read_text().splitlines()
    assert len(lines) == 2
    store.write_text(lines[0] + "\n" + lines[1][:20])
    again = run(1.0, store=store, batch=2)
    assert len(store.read_text().splitlines()) == 2
    assert again.rows() == first.rows()
    assert [fit.curve for fit in again.fits] == [fit.curve for fit in first.fits]


def test_errors() -> None:
    with pytest.raises(UnknownNameError, match="rival 'pgn' is not known"):
        stability(MSE, None, Y)
    with pytest.raises(ConfigError, match="steps must be a whole number"):
        run(1.0, steps=0)
