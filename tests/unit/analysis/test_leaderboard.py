"""Boards rank what can be compared, show what is missing, and never narrow an interval by seeds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossnets.analysis import Board, Standing, leaderboards
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Failure, RunRecord, ScoreRecord, Status


def run(loss: str, *scores: ScoreRecord, status: Status = "done", **config: Any) -> RunRecord:
    values = {"signature": f"{loss}|1", "benchmark": "sim", "data": "d", "fingerprint": "f"} | config
    failure = Failure("DataError", "broken.png") if status == "failed" else None
    return RunRecord(RunConfig(loss=loss, **values), status, scores=scores, failure=failure)


def score(
    value: float | None, low: float | None = None, high: float | None = None, **rest: Any
) -> ScoreRecord:
    return ScoreRecord(
        **{"name": "2afc", "value": value, "unit": "fraction", "low": low, "high": high} | rest
    )


def only(boards: list[Board]) -> tuple[Standing, ...]:
    assert len(boards) == 1
    return boards[0].rows


def ranks(rows: tuple[Standing, ...]) -> list[tuple[str, int | None]]:
    return [(row.loss, row.rank) for row in rows]


def test_nothing_stored_gives_no_board() -> None:
    assert leaderboards([]) == []


def test_higher_is_better_where_the_score_says_so() -> None:
    records = [run("a", score(0.6)), run("b", score(0.8)), run("c", score(0.7))]
    assert ranks(only(leaderboards(records))) == [("b", 1), ("c", 2), ("a", 3)]
    lower = [run("a", score(0.6, higher_is_better=False)), run("b", score(0.8, higher_is_better=False))]
    assert ranks(only(leaderboards(lower))) == [("a", 1), ("b", 2)]


def test_equal_values_share_a_rank() -> None:
    records = [run(name, score(value)) for name, value in (("d", 0.5), ("c", 0.7), ("b", 0.7), ("a", 0.9))]
    assert ranks(only(leaderboards(records))) == [("a", 1), ("b", 2), ("c", 2), ("d", 4)]


def test_a_reference_is_shown_without_a_rank() -> None:
    records = [
        run("a", score(0.6), score(0.7, name="2afc@coin"), score(0.2, name="other")),
        run("b", score(0.8), score(0.7, name="2afc@coin")),
    ]
    boards = leaderboards(records)
    assert [board.score for board in boards] == ["2afc", "other"]
    assert [(row.loss, row.rank, row.state, row.value) for row in boards[0].rows] == [
        ("b", 1, "ranked", 0.8),
        ("(coin)", None, "reference", 0.7),
        ("a", 2, "ranked", 0.6),
    ]


def test_seeds_are_averaged_and_the_interval_covers_all_of_theirs() -> None:
    records = [
        run("a", score(0.6, 0.5, 0.7), seed=0),
        run("a", score(0.7, 0.65, 0.75), seed=1),
        run("a", status="failed", seed=2),
    ]
    (row,) = only(leaderboards(records))
    assert row == Standing(
        1, "a", pytest.approx(0.65), 0.5, 0.75, seeds=2, failed=1, note="1 of 3 seeds failed", signature="a|1"
    )


def test_an_interval_that_one_seed_lacks_is_not_invented() -> None:
    (row,) = only(leaderboards([run("a", score(0.6, 0.5, 0.7), seed=0), run("a", score(0.7), seed=1)]))
    assert (row.low, row.high) == (None, None)


def test_gaps_are_shown_below_the_ranking_with_their_reason() -> None:
    records = [
        run("failed", status="failed"),
        run("ranked", score(0.5)),
        run("undefined", score(None, note="one value only")),
        run("running", status="running"),
        run("other", score(0.1), data="elsewhere"),
    ]
    board = leaderboards(records)[0]
    assert [(row.loss, row.state, row.rank, row.note) for row in board.rows] == [
        ("ranked", "ranked", 1, ""),
        ("undefined", "undefined", None, "one value only"),
        ("running", "running", None, ""),
        ("failed", "failed", None, "DataError: broken.png"),
        ("other", "missing", None, "not run here"),
    ]


def test_the_caller_may_say_which_losses_to_expect() -> None:
    rows = only(leaderboards([run("a", score(0.5))], losses=["a", "wanted"]))
    assert ranks(rows) == [("a", 1), ("wanted", None)]
    assert ranks(only(leaderboards([run("a", score(0.5))], losses=[]))) == [("a", 1)]


@pytest.mark.parametrize(
    "difference",
    [
        {"benchmark": "x"},
        {"data": "x"},
        {"fingerprint": "x"},
        {"profile": "paper"},
        {"variant": "lin"},
        {"options": {"resize": 32}},
    ],
)
def test_what_cannot_be_compared_is_on_boards_of_its_own(difference: dict[str, Any]) -> None:
    boards = leaderboards([run("a", score(0.5)), run("a", score(0.6), **difference)])
    assert [board.rows[0].value for board in boards] == [0.5, 0.6]


def test_weights_that_changed_make_two_rows() -> None:
    rows = only(leaderboards([run("a", score(0.5), signature="a|1"), run("a", score(0.6), signature="a|2")]))
    assert [(row.signature, row.value) for row in rows] == [("a|2", 0.6), ("a|1", 0.5)]


def test_splits_and_scores_are_boards_of_their_own() -> None:
    records = [run("a", score(0.5), score(0.4, split="cnn"), score(0.3, name="accuracy"))]
    assert [(b.score, b.split) for b in leaderboards(records)] == [
        ("2afc", "overall"),
        ("accuracy", "overall"),
    ]
    assert [(b.score, b.split) for b in leaderboards(records, split="cnn")] == [("2afc", "cnn")]
    assert len(leaderboards(records, split=None)) == 3


def test_a_title_says_what_where_and_which_direction() -> None:
    (board,) = leaderboards([run("a", score(0.5))])
    assert board.title == "sim on d (small, baseline): 2afc, overall (higher is better, fraction)"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.booleans())
def test_a_rank_is_one_plus_the_number_of_better_losses(values: list[int], higher: bool) -> None:
    records = [run(f"l{i}", score(float(v), higher_is_better=higher)) for i, v in enumerate(values)]
    for row in only(leaderboards(records)):
        assert row.value is not None
        better = sum((v > row.value) if higher else (v < row.value) for v in values)
        assert row.rank == 1 + better
