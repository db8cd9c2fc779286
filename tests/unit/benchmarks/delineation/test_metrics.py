"""Completeness, correctness, quality, F1: by hand, by brute force, and where they are 0/0."""

from __future__ import annotations

import numpy as np
import pytest

from lossnets.benchmarks.delineation.metrics import (
    NAMES,
    THRESHOLDS,
    best_threshold,
    count,
    delineation_scores,
    near,
)
from lossnets.errors import ConfigError, DataError


def _map(text: str) -> np.ndarray:
    return np.array([[c == "#" for c in line] for line in text.split()])


def _scores(predicted: np.ndarray, true: np.ndarray, *, relaxed: bool = False) -> dict[str, float]:
    made = delineation_scores(np.array(count(predicted, true)), relaxed=relaxed)
    return {name: float(value) for name, value in made.items()}


def _brute_force(predicted: np.ndarray, true: np.ndarray, buffer: float) -> dict[str, float]:
    """Second implementation: all pairs of pixels, and the definitions word by word."""

    def share_near(of: np.ndarray, other: np.ndarray) -> float:
        a, b = np.argwhere(of), np.argwhere(other)
        if len(a) == 0:
            return 1.0 if len(b) == 0 else 0.0
        if len(b) == 0:
            return 0.0
        squared = ((a[:, None] - b[None]) ** 2).sum(-1)
        return float((squared.min(1) <= buffer**2).mean())

    c, r = share_near(true, predicted), share_near(predicted, true)
    if c * r == 0:
        return {"quality": 0.0, "completeness": c, "correctness": r, "f1": 0.0}
    return {
        "quality": 1 / (1 / c + 1 / r - 1),
        "completeness": c,
        "correctness": r,
        "f1": 2 / (1 / c + 1 / r),
    }


def test_strict_scores_by_hand() -> None:
    true = _map("####.. ......")
    predicted = _map(".#####  ......".replace("  ", " "))
    # TP 3, FN 1, FP 2
    assert _scores(predicted, true) == pytest.approx(
        {"quality": 3 / 6, "completeness": 3 / 4, "correctness": 3 / 5, "f1": 2 * 3 / (2 * 3 + 1 + 2)}
    )


def test_relaxed_scores_by_hand() -> None:
    true = _map("#......... .......... ..........")
    predicted = _map("...#...... .......... .#........")
    # (0, 3) is 3 away, (2, 1) is the root of 5 away: both beyond 2 pixels
    assert _scores(predicted, true, relaxed=True)["correctness"] == 0
    predicted = _map("..##...... .......... ..........")
    # (0, 2) is within 2 pixels, (0, 3) is not; the true pixel has one within 2 pixels
    assert _scores(predicted, true, relaxed=True) == pytest.approx(
        {"quality": 0.5, "completeness": 1.0, "correctness": 0.5, "f1": 2 / 3}
    )


def test_the_buffer_is_euclidean_and_includes_2_pixels_exactly() -> None:
    mask = np.zeros((7, 7), bool)
    mask[3, 3] = True
    y, x = np.mgrid[:7, :7] - 3
    assert (near(mask, 2.0) == (y**2 + x**2 <= 4)).all()
    assert not near(np.zeros((3, 3), bool), 2.0).any()


@pytest.mark.parametrize("share", [0.02, 0.2, 0.7])
@pytest.mark.parametrize("buffer", [0.0, 1.0, 2.0, 2.5])
def test_scores_agree_with_brute_force(share: float, buffer: float) -> None:
    rng = np.random.default_rng(int(share * 100))
    for _ in range(5):
        predicted, true = rng.random((2, 13, 17)) < share
        counts = np.array(count(predicted, true, buffer))
        expected = _brute_force(predicted, true, buffer)
        for name, value in delineation_scores(counts, relaxed=True).items():
            assert float(value) == pytest.approx(expected[name], abs=1e-12), name
        strict = _brute_force(predicted, true, 0.0)
        assert {k: float(v) for k, v in delineation_scores(counts).items()} == pytest.approx(strict)


def test_strict_quality_is_true_positives_over_all_that_is_true_or_predicted() -> None:
    rng = np.random.default_rng(0)
    predicted, true = rng.random((2, 20, 20)) < 0.3
    assert _scores(predicted, true)["quality"] == pytest.approx(
        (predicted & true).sum() / (predicted | true).sum()
    )


@pytest.mark.parametrize("relaxed", [False, True])
def test_zero_denominators_are_1_where_nothing_is_wrong_and_else_0(relaxed: bool) -> None:
    nothing, some = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    assert _scores(nothing, nothing, relaxed=relaxed) == dict.fromkeys(NAMES, 1.0)
    assert _scores(some, nothing, relaxed=relaxed) == dict.fromkeys(NAMES, 0.0)
    assert _scores(nothing, some, relaxed=relaxed) == dict.fromkeys(NAMES, 0.0)
    assert _scores(some, some, relaxed=relaxed) == dict.fromkeys(NAMES, 1.0)
    apart = np.zeros((4, 4), bool)
    apart[3, 0] = True
    true = np.zeros((4, 4), bool)
    true[0, 3] = True
    assert _scores(apart, true, relaxed=relaxed) == dict.fromkeys(NAMES, 0.0)


def test_scores_of_totals_are_not_the_mean_of_scores() -> None:
    counts = np.array([[10, 10, 10, 10, 10], [90, 10, 0, 0, 0]], float)
    assert float(delineation_scores(counts.sum(0))["correctness"]) == pytest.approx(0.1)
    assert delineation_scores(counts)["correctness"] == pytest.approx([1.0, 0.0])


def test_counting_refuses_another_shape() -> None:
    with pytest.raises(DataError, match=r"must be \(H, W\) alike; got \(2, 2\) and \(2, 3\)"):
        count(np.zeros((2, 2), bool), np.zeros((2, 3), bool))


def test_best_threshold_is_that_of_the_best_quality_over_all_images() -> None:
    true = _map("###... ......")
    probability = np.where(true, 0.62, 0.41).astype(np.float32)
    chosen = best_threshold([(probability, true), (probability, true)])
    assert chosen == 0.45  # the lowest of 0.45, 0.5, 0.55, 0.6, which are all perfect
    qualities = []
    rng = np.random.default_rng(1)
    probability = np.clip(true * 0.3 + rng.random(true.shape) * 0.7, 0, 1).astype(np.float32)
    for threshold in THRESHOLDS:
        predicted = probability >= threshold
        qualities.append((predicted & true).sum() / max(1, (predicted | true).sum()))
    assert best_threshold([(probability, true)]) == THRESHOLDS[int(np.argmax(qualities))]


def test_best_threshold_needs_images_and_thresholds() -> None:
    with pytest.raises(ConfigError, match="at least one image and one threshold"):
        best_threshold([])
    with pytest.raises(ConfigError, match="at least one image and one threshold"):
        best_threshold([(np.zeros((2, 2), np.float32), np.zeros((2, 2), bool))], [])
