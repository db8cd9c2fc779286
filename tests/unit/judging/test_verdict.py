"""The verdict: the line of plain rivals by hand, and every branch of the rule."""

from __future__ import annotations

import json
import math

import pytest

from lossnets.judging.line import Corner, height_at, upper_line, weights_at
from lossnets.judging.standings import ABOVE, BELOW, ON, standings
from lossnets.judging.verdict import PGN, RULE, TRUE, TRUNCATED, Verdict, verdict, worst_rows

from .handmade import ENDS, RATIOS, cost_of, effect_of, stability_of


def judge(
    ends: dict[str, float] | None = None, ratios: dict[str, float] | None = None, diverged: int | None = 0,
    **options: object,
) -> Verdict:  # fmt: skip
    effect = effect_of({**ENDS, **(ends or {})}, **options)  # type: ignore[arg-type]
    found = standings(effect, cost_of({**RATIOS, **(ratios or {})}), resamples=200)
    rows = {} if diverged is None else worst_rows(stability_of(diverged).rows())
    return verdict(found, rows)


def test_the_line_by_hand() -> None:
    line = upper_line([
        Corner("mse", 0.01, 0.0), Corner("cut-1", 0.1, 0.6), Corner("half", 0.2, -0.3),
        Corner("same", 0.1, 0.5), Corner("nan", 0.3, math.nan), Corner("true", 1.0, 1.0),
    ])  # fmt: skip
    assert [corner.key for corner in line] == ["mse", "cut-1", "true"]
    assert height_at(line, 0.01) == 0
    assert height_at(line, 10**-1.5) == pytest.approx(0.3)  # halfway between 0.01 and 0.1 on the drawn axis
    assert height_at(line, 10**-0.5) == pytest.approx(0.8)
    assert height_at(line, 5.0) == 1
    assert math.isnan(height_at(line, 0.001))
    assert sum(weights_at(line, 0.4).values()) == pytest.approx(1)
    assert weights_at((), 1.0) == {}


def test_standings_by_hand() -> None:
    found = standings(effect_of(ENDS, noise=0.0), cost_of(RATIOS), resamples=200)
    pgn, cut, half = (found.of(key) for key in ("pgn", "cut-2", "half"))
    assert pgn is not None
    assert cut is not None
    assert half is not None
    assert pgn.gap == pytest.approx(0.7)  # (2 - 1.3) / (2 - 1)
    assert cut.gap == pytest.approx(0.8)
    assert half.gap == pytest.approx(-0.3)
    assert (pgn.place, cut.place, half.place) == (ABOVE, ON, BELOW)
    # between L1 (0.005, 0.1) and the first tap (0.15, 0.4), on a logarithmic axis
    share = math.log(0.1 / 0.005) / math.log(0.15 / 0.005)
    assert pgn.line == pytest.approx(0.1 + share * 0.3)
    assert pgn.over == pytest.approx(0.7 - pgn.line)
    assert pgn.by_generator["image-prior"][0] == pytest.approx(0.7)
    assert [c.key for c in found.line] == ["l1", "cut-1", "every-4", "cut-2", "true"]
    assert found.of("nobody") is None
    frame = found.frame()
    assert list(frame["cost"]) == sorted(frame["cost"])
    assert json.loads(json.dumps(found.as_dict()))["rows"][1]["place"] == ABOVE


def test_use_the_pgn_where_it_is_enough_and_above_the_line() -> None:
    found = judge()
    assert found.word == PGN
    assert found.key == "pgn"
    assert found.paste == "PGNLoss.from_pretrained('mine')"
    assert found.sentence.startswith("Use the PGN, PGNLoss.from_pretrained('mine'): it closes 0.7")
    assert "more than the plain rivals at that cost" in found.sentence
    assert found.rule == RULE


@pytest.mark.parametrize(
    ("diverged", "why"),
    [(1, "diverged on 1 of 24 images within 10,000 steps"), (None, "was not tested for stability")],
)
def test_a_diverging_or_untested_pgn_is_never_called_good(diverged: int | None, why: str) -> None:
    found = judge(diverged=diverged)
    assert found.word == TRUNCATED
    assert any(why in reason for reason in found.reasons)
    assert judge({"cut-2": 1.9}, diverged=diverged).word == TRUE


def test_a_pgn_that_diverged_in_a_fit_is_not_used() -> None:
    found = standings(effect_of(ENDS, diverged=("pgn",)), cost_of(RATIOS), resamples=200)
    made = verdict(found, worst_rows(stability_of(0).rows()))
    assert made.word == TRUNCATED
    assert any("diverged in 2 of 24 fits" in reason for reason in made.reasons)


def test_use_the_truncated_loss_named_so_that_it_can_be_pasted() -> None:
    found = judge({"pgn": 1.6, "pgn+mse": 1.6})
    assert (found.word, found.key, found.paste) == (TRUNCATED, "cut-2", "Loss('cut-2')")
    assert "Use the truncated loss, Loss('cut-2'): it closes 0.8" in found.sentence
    assert "; the PGN closes 0.39 [" in found.sentence


def test_the_simplest_truncated_loss_that_none_beats() -> None:
    assert judge({"pgn": 1.9, "pgn+mse": 1.9, "cut-1": 1.21, "cut-2": 1.2}, noise=0.2).key == "cut-1"
    assert judge({"pgn": 1.9, "pgn+mse": 1.9, "cut-1": 1.4, "cut-2": 1.1}, noise=0.01).key == "cut-2"


def test_advice_on_thin_evidence_is_provisional() -> None:
    pgn, truncated = judge(), judge({"pgn": 1.6, "pgn+mse": 1.6})
    true = judge({"pgn": 1.8, "pgn+mse": 1.8, "cut-1": 1.9, "cut-2": 1.7})
    assert pgn.with_evidence(8, 2, 10_000) == pgn
    assert pgn.provisional == ()
    found = pgn.with_evidence(1, 1, 9_999)
    assert found.provisional == ("only 1 image", "one seed", "stability over 9,999 steps only")
    told = " This is provisional: only 1 image, one seed, stability over 9,999 steps only."
    assert found.sentence == pgn.sentence + told
    assert (found.word, found.key, found.paste) == (pgn.word, pgn.key, pgn.paste)
    assert pgn.with_evidence(7, 2, 10_000).provisional == ("only 7 images",)
    assert truncated.with_evidence(8, 2, 0) == truncated
    assert truncated.with_evidence(8, 1, 0).provisional == ("one seed",)
    assert true.with_evidence(1, 1, 0) == true  # what is always right needs no evidence


def test_ties_go_to_the_simpler() -> None:
    ratios = {"pgn": 0.35, "pgn+mse": 0.36}  # as dear as two taps, which close as much
    found = judge({"pgn": 1.2, "pgn+mse": 1.2}, ratios, noise=0.1)
    assert (found.word, found.key) == (TRUNCATED, "cut-2")
    alone = judge(
        {"pgn": 1.2, "pgn+mse": 1.5, "cut-1": 1.9, "cut-2": 1.9, "every-2": 1.2}, {"pgn": 0.52}, noise=0.1
    )
    assert alone.word == PGN  # on the line, and no truncated loss is enough
    assert "as much as the plain rivals at that cost" in alone.sentence


def test_use_the_true_loss_where_nothing_is_enough() -> None:
    found = judge({"pgn": 1.8, "pgn+mse": 1.8, "cut-1": 1.9, "cut-2": 1.7})
    assert (found.word, found.key) == (TRUE, "true")
    assert "neither the gradient network nor the loss truncated" in found.sentence
    assert any(reason.startswith("True loss cut after 2 taps: it closes") for reason in found.reasons)
    assert any(reason.startswith("Worth knowing: every-2 closes") for reason in found.reasons)


def test_a_pgn_below_the_line_or_no_cheaper_is_not_used() -> None:
    below = judge({"pgn": 1.45, "pgn+mse": 1.45, "cut-2": 1.9, "half": 1.1}, {"half": 0.08})
    assert below.word == TRUE
    assert any("less than plain rivals of its cost" in reason for reason in below.reasons)
    assert any("Worth knowing: half closes" in reason for reason in below.reasons)
    dear = judge({"pgn": 0.9}, {"pgn": 1.2, "pgn+mse": 1.2})
    assert dear.word == TRUNCATED
    assert any("takes 1.2 of the true loss's time" in reason for reason in dear.reasons)


def test_every_generator_must_be_served() -> None:
    effect = effect_of(ENDS, generators=("deep-decoder", "image-prior"))
    bad = [f for f in effect_of({**ENDS, "pgn": 1.9}, generators=("image-prior",)).fits if f.rival == "pgn"]
    good = [f for f in effect.fits if (f.generator, f.rival) != ("image-prior", "pgn")]
    mixed = type(effect)(effect.settings, effect.rivals, (*good, *bad), {})
    found = standings(mixed, cost_of(RATIOS), resamples=200)
    row = found.of("pgn")
    assert row is not None
    assert row.gap > 0.35
    made = verdict(found, worst_rows(stability_of(0).rows()))
    assert made.word == TRUNCATED
    assert any("of the gap on the image-prior" in reason for reason in made.reasons)


def test_where_there_is_no_gap_nothing_is_advised_but_the_true_loss() -> None:
    found = judge({"true": 2.0}, noise=0.3)
    assert found.word == TRUE
    assert "not measurably better than MSE" in found.sentence
    assert "no gap to close" in found.reasons[0]


def test_missing_costs_are_no_good_costs() -> None:
    effect = effect_of(ENDS)
    costs = cost_of({key: value for key, value in RATIOS.items() if key != "pgn"})
    found = standings(effect, costs, resamples=200)
    row = found.of("pgn")
    assert row is not None
    assert math.isnan(row.cost)
    assert row.place == ""
    made = verdict(found, worst_rows(stability_of(0).rows()))
    assert made.word == TRUNCATED
    assert any("has no measured cost" in reason for reason in made.reasons)


def test_short_tests_of_stability_are_told() -> None:
    effect = effect_of(ENDS)
    found = standings(effect, cost_of(RATIOS), resamples=200)
    made = verdict(found, worst_rows(stability_of(0, steps=500).rows()))
    assert made.word == PGN
    assert any("over 500 steps only" in reason for reason in made.reasons)
