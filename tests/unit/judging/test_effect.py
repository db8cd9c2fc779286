"""Effect: gap closed and its interval against known answers, who wins, resuming, records."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lossnets.errors import ConfigError, DataError, UnknownNameError
from lossnets.images import list_images, read_image
from lossnets.judging import EffectResult, Fit, Point, RivalRecord, effect, make_rivals
from lossnets.judging import campaign as campaign_module
from lossnets.judging.gaps import Draws, gap_closed, gap_difference, mean_gap
from lossnets.losses import DEFAULT_LOSS

from .small import SETTINGS, images, pgn_of, true_loss

TRUE = true_loss()
Y = images(3, 16)


def run(pgn: Any = None, **options: Any) -> EffectResult:
    settings = {
        "generators": ["deep-decoder"], "seeds": [0, 1], "steps": 4, "points": 2, "batch": 3,
        "generator_settings": SETTINGS, "rivals": ["l1"], **options,
    }  # fmt: skip
    return effect(TRUE, pgn or pgn_of(TRUE), Y, **settings)


def values(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float64)


def test_gap_closed_by_hand() -> None:
    mse, true = values([2, 2], [4, 4]), values([1, 1], [1, 1])
    other = values([1.5, 1.5], [2, 2])
    assert gap_closed(mse, true, other).value == pytest.approx((3 - 1.75) / (3 - 1))
    assert gap_closed(mse, true, mse).value == 0
    assert gap_closed(mse, true, true).value == 1
    assert gap_closed(mse, true, true - 1).value == 1.5  # better than the true loss itself: not cut off
    assert gap_closed(mse, true, mse + 2).value == -1


def test_interval_of_the_gap_against_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(3)
    true = rng.uniform(0.5, 1, (12, 3))
    mse, other = true + rng.uniform(0.5, 1.5, (12, 3)), true + rng.uniform(0, 0.8, (12, 3))
    found = gap_closed(mse, true, other)
    drawn = []
    for _ in range(4000):  # the same thing, spelled out
        picked = np.ix_(rng.integers(12, size=12), rng.integers(3, size=3))
        drawn.append((mse[picked].mean() - other[picked].mean()) / (mse[picked].mean() - true[picked].mean()))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)
    assert found.low < found.value < found.high
    assert found == gap_closed(mse, true, other)


def test_draws_weigh_images_and_seeds() -> None:
    draws = Draws(4, 3, resamples=5000)
    data = np.arange(12.0).reshape(4, 3)
    assert draws.means(np.ones((4, 3))) == pytest.approx(np.ones(5000))
    assert draws.means(data).mean() == pytest.approx(5.5, abs=0.1)
    # one image that alone differs: as often as binomially drawn
    spike = np.zeros((4, 3))
    spike[2] = 1
    assert draws.means(spike).var() == pytest.approx(0.25 * 0.75 / 4, rel=0.1)
    assert Draws(4, 1, resamples=10).means(np.ones((4, 1))) == pytest.approx(np.ones(10))


def test_no_gap_is_said_and_not_divided_by() -> None:
    rng = np.random.default_rng(0)
    mse = rng.uniform(1, 2, (8, 2))
    none = gap_closed(mse, mse + rng.normal(0, 0.5, (8, 2)), mse)
    assert math.isnan(none.value)
    assert math.isnan(none.low)
    assert "there may be no gap to close, L_mse - L_true is" in none.note
    assert math.isnan(gap_closed(mse, mse + 1, mse).value)
    lost = mse - 0.5
    lost[3, 1] = math.nan
    assert gap_closed(mse, mse - 1, lost).note == "not defined: 1 of 16 fits driven by it are not finite"
    assert "driven by MSE" in gap_closed(lost, mse - 1, mse).note
    assert "driven by the true loss" in gap_closed(mse, lost, mse).note
    one = gap_closed(values([2.0]), values([1.0]), values([1.25]))
    assert one.value == 0.75
    assert math.isnan(one.low)
    assert one.note == "no interval: it needs at least 2 images"
    assert "no lower than MSE" in gap_closed(values([1.0]), values([1.0]), values([1.0])).note


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(1)
    true = rng.uniform(0.5, 1, (10, 2))
    mse = true + rng.uniform(0.5, 2, (10, 2))
    good, better = true + 0.5 * (mse - true), true + 0.4 * (mse - true)
    found = gap_difference([(mse, true, better, good)])
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1)  # the same difference in every image: no spread is left
    assert found.high == pytest.approx(0.1)
    part = (mse, true, good)
    assert mean_gap([part, (mse, true, mse)]).value == pytest.approx(0.25)
    assert mean_gap([part, (mse, mse, mse)]).note.startswith("not defined")
    assert gap_difference([(mse, mse, good, better)]).note.startswith("not defined")


def test_a_perfect_network_closes_the_gap_and_a_wrong_one_does_not() -> None:
    steps = {"steps": 25, "seeds": [0], "learning_rate": 0.05, "batch": 3}
    right = run(rivals=["pgn"], **steps)
    gap = right.gap("deep-decoder", "pgn")
    assert gap.value == pytest.approx(1, abs=0.05)  # rounding makes trajectories part
    wrong = run(pgn_of(TRUE, -1.0), rivals=["pgn"], **steps)
    assert wrong.gap("deep-decoder", "pgn").value < 0
    assert wrong.gap("deep-decoder", "mse").value == 0
    assert wrong.difference("deep-decoder", "true", "pgn").low > 0


def test_records_tables_and_json() -> None:
    result = run(training=Y.flip(3), generators=["deep-decoder", "autoencoder"], names=["x", "y", "z"])
    assert [r.key for r in result.rivals] == ["true", "mse", "l1"]
    assert len(result.fits) == 2 * 2 * 3 * 3
    assert result.values("deep-decoder", "l1").shape == (3, 2)
    first = next(f for f in result.fits if (f.rival, f.image, f.seed) == ("l1", "y", 1))
    assert result.values("deep-decoder", "l1", "psnr")[1, 1] == first.end.psnr
    rows = result.gaps(resamples=200)
    assert [(row.generator, row.rival) for row in rows][:5] == [
        ("deep-decoder", "true"), ("deep-decoder", "mse"), ("deep-decoder", "l1"), ("autoencoder", "true"),
        ("autoencoder", "mse"),
    ]  # fmt: skip
    assert {row.generator for row in rows} == {"deep-decoder", "autoencoder", "all"}
    row = next(r for r in rows if (r.generator, r.rival) == ("deep-decoder", "l1"))
    assert row.ssim == pytest.approx(result.values("deep-decoder", "l1", "ssim").mean())
    assert row.fits == 6
    everything = next(r for r in rows if (r.generator, r.rival) == ("all", "l1"))
    assert everything.fits == 12
    assert everything.true == pytest.approx(
        np.mean([result.values(g, "l1").mean() for g in ("deep-decoder", "autoencoder")])
    )
    assert len(result.frame()) == len(result.fits)
    assert list(result.table()["rival"])[:2] == ["true", "mse"]
    steps, means = result.curve("deep-decoder", "mse")
    assert steps == [0, 1, 4]
    assert means[-1] == pytest.approx(result.values("deep-decoder", "mse").mean())
    back = EffectResult.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False)))
    assert back == result
    assert result.settings["generators"] == ["deep-decoder", "autoencoder"]
    assert result.settings["true_signature"] == TRUE.signature()


def test_seeds_and_batches_start_apart_and_rivals_alike() -> None:
    result = run(batch=2)
    starts = {(f.image, f.seed, f.rival): f.start.true for f in result.fits}
    for image in "012":
        for seed in (0, 1):
            assert len({starts[image, seed, key] for key in ("true", "mse", "l1")}) == 1
    assert len({starts["0", seed, "mse"] for seed in (0, 1)}) == 2
    same = run(pgn_of(TRUE), batch=2, rivals=["pgn"], seeds=[1]).fits
    assert {f.start.true for f in same if f.image == "2"} == {starts["2", 1, "mse"]}


def test_what_is_earned_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "effect.jsonl"
    whole = run()
    calls: list[str] = []
    original = campaign_module.fit_images

    def counted(kind: str, rival: Any, *args: Any, **options: Any) -> list[Fit]:
        calls.append(rival.key)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(kind, rival, *args, **options)

    monkeypatch.setattr(campaign_module, "fit_images", counted)
    with pytest.raises(KeyboardInterrupt):
        run(store=store)
    done: list[tuple[int, int]] = []
    resumed = run(store=store, progress=lambda k, n, text: done.append((k, n)))
    assert len(calls) == 4 + (6 - 3)  # 2 seeds, 3 rivals
    assert done == [(k, 6) for k in range(7)]
    assert [replace(f, seconds=0.0) for f in resumed.fits] == [replace(f, seconds=0.0) for f in whole.fits]
    run(store=store, seeds=[0])  # part of it: nothing new
    assert len(calls) == 7
    run(store=store, seeds=[0], steps=3)  # something else: all new
    assert len(calls) == 7 + 3


def test_rivals_that_the_images_are_too_small_for_are_left_out() -> None:
    rivals = make_rivals(TRUE, None, Y, only=["half"])
    rivals[-1] = replace(rivals[-1], record=replace(rivals[-1].record, smallest=40))
    result = run(seeds=[0], rivals=rivals)
    assert result.left_out == {"half": "needs images of at least 40 pixels a side; these have 16"}
    assert [r.key for r in result.rivals] == ["true", "mse"]
    with pytest.raises(UnknownNameError, match="rival 'half' is not known"):
        result.gap("deep-decoder", "half")


def fit(image: str, rival: str, true: float) -> Fit:
    points = (Point(0, 9.0, 0.5, 10.0, 0.1), Point(5, true, 0.1, 20.0, 0.5))
    return Fit("deep-decoder", rival, 0, image, 5, points, None, None, 1.0)


def test_missing_fits_are_named() -> None:
    records = tuple(
        RivalRecord(k, "a", k, "", "", plain=True, period=1, smallest=1, signature=k) for k in ("true", "mse")
    )
    result = EffectResult({}, records, (fit("a", "true", 1), fit("b", "true", 1), fit("a", "mse", 2)), {})
    with pytest.raises(DataError, match=r"1 fits of deep-decoder driven by 'mse' are missing.*'b', seed 0"):
        result.gap("deep-decoder", "true")
    with pytest.raises(UnknownNameError, match="generator 'gan'"):
        result.values("gan", "true")
    with pytest.raises(UnknownNameError, match="measure 'lpips'"):
        result.values("deep-decoder", "true", "lpips")
    with pytest.raises(DataError, match="not the result of an effect"):
        EffectResult.from_dict({"fits": []})


def test_errors() -> None:
    with pytest.raises(ConfigError, match="'autoencoder' needs images to train on"):
        run(generators=["autoencoder"])
    with pytest.raises(ConfigError, match="seeds must be a list of at least one, none twice"):
        run(seeds=[0, 0])
    with pytest.raises(UnknownNameError, match="generator 'decoder'"):
        run(generators=["decoder"])
    with pytest.raises(ConfigError, match="generators must be a list"):
        run(generators="image-prior")
    with pytest.raises(ConfigError, match="must have 'true' and 'mse' among them"):
        run(rivals=make_rivals(TRUE, None, Y)[:1])
    with pytest.raises(ConfigError, match="not both"):
        run(rivals=["true", make_rivals(TRUE, None, Y)[0]])


@pytest.mark.shared
@pytest.mark.slow
def test_the_true_loss_leaves_a_gap_on_photographs_and_a_cut_one_closes_it(shared_data: Path) -> None:
    files = [f for f in list_images(shared_data / "bsds500" / "test", recursive=True) if f.suffix == ".jpg"]
    crops = torch.stack([read_image(file)[:, 100:164, 100:164] for file in files[:4]])
    result = effect(
        DEFAULT_LOSS, None, crops, generators=["deep-decoder"], seeds=[0], steps=150, batch=4,
        rivals=["cut-3"],
    )  # fmt: skip
    gaps = {row.rival: row for row in result.gaps()}
    assert gaps["true"].low == gaps["true"].high == 1
    assert gaps["cut-3"].low > 0.3
