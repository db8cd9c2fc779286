"""Correlations with attributes against SciPy; chance by networks, never by single losses of one network."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lossnets.analysis import Results, attribute_correlations, loss_facts, shipped_results
from lossnets.analysis.attributes import ATTRIBUTE_COLUMNS, ATTRIBUTES, NETWORK_ATTRIBUTES
from lossnets.analysis.points import points_of
from lossnets.analysis.resampling import (
    bootstrap_interval,
    mean_interval,
    mean_spearman,
    permutation_p,
    ranks,
    sign_flip_p,
    spearman,
)
from lossnets.errors import ConfigError, UnknownNameError
from lossnets.networks import network_spec

from .simulate import simulated, study_losses

ONE = {"settings": ["super-resolution"], "architectures": 8}
NOTHING = {"architecture_sd": 0.0, "position_sd": 0.0, "interaction_sd": 0.0}


def row_of(results: Results, attribute: str, level: str = "setting", **rest: Any) -> dict[str, Any]:
    frame = attribute_correlations(results, **rest)
    rows = frame[(frame["attribute"] == attribute) & (frame["level"] == level)]
    assert len(rows) == 1
    return rows.iloc[0].to_dict()


def renamed(results: Results, network: str, weights: str) -> Results:
    """The same runs with other weights of one network."""
    return Results(
        tuple(
            replace(r, config=replace(r.config, loss=f"{r.config.loss}:weights={weights}"))
            if r.config.loss.startswith(f"{network}/")
            else r
            for r in results.records
        )
    )


def test_ranks_and_rho_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(4, size=(50, 9)).astype(float)
    np.testing.assert_array_equal(ranks(values), stats.rankdata(values, axis=1))
    other = rng.standard_normal((50, 9))
    wanted = [stats.spearmanr(one, two).statistic for one, two in zip(values, other, strict=True)]
    np.testing.assert_allclose(spearman(values, other), wanted, atol=1e-12)
    assert math.isnan(float(spearman(np.ones(5), np.arange(5.0))))


def test_weights_make_a_mean_over_tasks() -> None:
    one, two = np.array([1.0, 2, 3, 4]), np.array([[1.0, 2, 3, 4], [4, 3, 2, 1], [4, 3, 2, 1]])
    assert float(mean_spearman(one, two)) == pytest.approx(-1 / 3)
    assert float(mean_spearman(one, two, np.array([1, 0.5, 0.5]))) == pytest.approx(0)


def test_few_networks_are_permuted_in_every_order() -> None:
    attribute, scores = np.array([1.0, 2, 3, 5, 4]), np.array([[1.0, 3, 2, 4, 5]])
    observed = spearman(attribute, scores[0])
    drawn = [spearman(np.array(order), scores[0]) for order in itertools.permutations(attribute)]
    wanted = np.mean([abs(rho) >= abs(observed) - 1e-9 for rho in drawn])
    found = permutation_p(attribute, scores, draws=100, seed=0)
    assert found[0] == pytest.approx(wanted)
    assert found[1] == pytest.approx(np.mean([rho >= observed - 1e-9 for rho in drawn]))
    assert found[2] == pytest.approx(np.mean([rho <= observed + 1e-9 for rho in drawn]))


def test_many_networks_agree_with_scipys_permutation() -> None:
    rng = np.random.default_rng(2)
    attribute = rng.standard_normal(12)
    scores = 0.6 * attribute + rng.standard_normal(12)
    second = stats.permutation_test(
        (attribute,),
        lambda x: stats.spearmanr(x, scores).statistic,
        permutation_type="pairings",
        n_resamples=1000,
        rng=np.random.default_rng(1),
    )
    found = permutation_p(attribute, scores[None], draws=20000, seed=0)
    assert found[0] == pytest.approx(second.pvalue, abs=4 * math.sqrt(second.pvalue / 1000))


def test_settings_are_permuted_together() -> None:
    """Two copies of a setting are no more evidence than one."""
    rng = np.random.default_rng(3)
    attribute, scores = rng.standard_normal(6), rng.standard_normal(6)
    once = permutation_p(attribute, scores[None], draws=100, seed=0)
    assert permutation_p(attribute, np.array([scores, scores]), draws=100, seed=0) == once


def test_sign_flips_by_hand() -> None:
    assert sign_flip_p(np.array([1.0, 2, 3]), draws=10, seed=0) == (2 / 8, 1 / 8, 1.0)
    assert sign_flip_p(np.array([1.0, 2, -3]), draws=10, seed=0)[0] == 1.0
    assert math.isnan(sign_flip_p(np.array([]), draws=10, seed=0)[0])
    many = sign_flip_p(np.full(20, 0.5), draws=999, seed=0)  # too many patterns: drawn, with the data's own
    assert many[0] == pytest.approx(1 / 1000)


def test_bootstrap_draws_networks_whole() -> None:
    rng = np.random.default_rng(4)
    attribute = rng.standard_normal(10)
    scores = attribute + rng.standard_normal(10)
    low, high = bootstrap_interval(attribute, scores[None], alpha=0.05, draws=2000, seed=0)
    assert low < spearman(attribute, scores) < high
    twice = bootstrap_interval(attribute, np.array([scores, scores]), alpha=0.05, draws=2000, seed=0)
    assert twice == (low, high)  # a second setting that says the same does not narrow it
    picked = np.random.default_rng(0).integers(10, size=(2000, 10))
    second = [stats.spearmanr(attribute[i], scores[i]).statistic for i in picked[:200]]
    np.testing.assert_allclose(spearman(attribute[picked[:200]], scores[picked[:200]]), second, atol=1e-12)
    assert math.isnan(bootstrap_interval(attribute[:4], scores[None, :4], alpha=0.05, draws=9, seed=0)[0])
    assert math.isnan(mean_interval(attribute[:4], alpha=0.05, draws=9, seed=0)[0])


@pytest.mark.parametrize("summary", ["best", "mean"])
def test_network_attributes_are_correlated_as_scipy_does(summary: str) -> None:
    results = simulated(np.random.default_rng(0), **ONE)
    table = points_of(results, results.settings[0])
    scores = table.means.max(axis=1) if summary == "best" else table.means.mean(axis=1)
    for attribute in NETWORK_ATTRIBUTES:
        values = [getattr(loss_facts(row[0]), attribute) for row in table.taps]
        row = row_of(results, attribute, summary=summary)
        assert row["rho"] == pytest.approx(stats.spearmanr(values, scores).statistic)
        assert (row["n"], row["unit"], row["summary"]) == (8, "architecture", summary)
        assert row["low"] <= row["rho"] <= row["high"]


def test_point_attributes_are_correlated_within_networks() -> None:
    results = simulated(np.random.default_rng(0), **ONE)
    table = points_of(results, results.settings[0])
    wanted = [
        stats.spearmanr([loss_facts(tap).channels for tap in taps], row).statistic
        for taps, row in zip(table.taps, table.means, strict=True)
    ]
    row = row_of(results, "channels")
    assert row["rho"] == pytest.approx(np.mean(wanted))
    assert row["n"] == 8  # networks, not 32 losses
    assert row["unit"] == "point within architecture"


def test_holm_within_a_setting_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    frame = attribute_correlations(simulated(np.random.default_rng(5), **ONE))
    block = frame[frame["level"] == "setting"]
    np.testing.assert_allclose(block["p_adjusted"], multipletests(block["p"], method="holm")[1], rtol=1e-12)


def test_columns_levels_and_direction() -> None:
    names = ["super-resolution", "super-resolution/other", "similarity"]
    up = attribute_correlations(simulated(np.random.default_rng(6), architectures=6, settings=names))
    assert tuple(up.columns) == ATTRIBUTE_COLUMNS
    assert len(up) == (3 + 2) * len(ATTRIBUTES)
    tasks = up[up["level"] == "task"]
    assert set(tasks["setting"]) == {"super-resolution: 2 settings", "similarity: 1 setting"}
    down = simulated(np.random.default_rng(6), architectures=6, settings=names, higher_is_better=False)
    np.testing.assert_allclose(attribute_correlations(down)["rho"], up["rho"])


def test_planted_depth_is_found_and_survives_other_seeds_of_chance() -> None:
    results = simulated(np.random.default_rng(7), position_effect=[0.0, 0.1, 0.2, 0.3], **ONE)
    one, two = row_of(results, "depth"), row_of(results, "depth", seed=9)
    assert one["rho"] > 0.9
    assert one["p_adjusted"] < 0.1
    assert one["p"] == two["p"] == 2 / 2**8


def test_other_weights_have_no_known_accuracy() -> None:
    results = renamed(simulated(np.random.default_rng(0), **ONE), "vgg16", "data/edges.safetensors")
    row = row_of(results, "top1")
    assert row["n"] == 7
    assert row["note"] == "unknown of vgg16 (data/edges.safetensors)"
    assert row_of(results, "gmacs")["n"] == 8
    assert loss_facts("vgg16/relu3_3").top1 == pytest.approx(71.592)
    assert loss_facts("vgg16/relu3_3:weights=IMAGENET1K_V1").top1 == pytest.approx(71.592)
    assert loss_facts("vgg16/relu3_3:weights=data/edges.safetensors").top1 is None
    assert loss_facts("vgg16/relu3_3:weights=random-0").top1 is None
    assert loss_facts("vgg16/relu3_3:weights=data/edges.safetensors").weights == "data/edges.safetensors"
    assert loss_facts("nobody/knows:weights=x.pt").weights == "x.pt"


def test_one_network_with_two_weights_is_one_unit() -> None:
    results = simulated(np.random.default_rng(0), **ONE)
    other = renamed(results, "vgg16", "data/edges.safetensors")
    both = Results(tuple({r.identity: r for r in (*results.records, *other.records)}.values()))
    row = row_of(both, "gmacs")
    assert (row["n"], row["rho"]) == (8, row_of(results, "gmacs")["rho"])
    assert row["note"] == "one of each network; without vgg16 (data/edges.safetensors)"


def test_few_networks_and_constant_attributes_say_why() -> None:
    two = row_of(simulated(np.random.default_rng(0), architectures=2, settings=["similarity"]), "top1")
    assert math.isnan(two["rho"])
    assert two["note"] == "not decidable from 2 networks"
    three = simulated(np.random.default_rng(0), architectures=3, settings=["similarity"])
    row = row_of(three, "batch_norm")  # none of the three has it
    assert math.isnan(row["p"])
    assert row["note"] == "the same of all networks"
    row = row_of(three, "top1")
    assert math.isnan(row["low"])
    assert row["p"] >= 1 / 3
    assert row["note"] == "3 networks: no interval below 5"


def test_the_mean_leaves_out_networks_that_lack_a_point() -> None:
    results = simulated(np.random.default_rng(0), **ONE)
    kept = Results(tuple(r for r in results.records if r.config.loss != "alexnet/features.4"))
    assert row_of(kept, "gmacs", summary="mean")["n"] == 7
    assert row_of(kept, "gmacs", summary="best")["n"] == 8


def test_wrong_arguments_are_refused() -> None:
    results = simulated(np.random.default_rng(0), architectures=2, settings=["similarity"])
    with pytest.raises(UnknownNameError, match="summary of a network's points 'worst' is not known"):
        attribute_correlations(results, summary="worst")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        attribute_correlations(results, alpha=0)
    assert attribute_correlations(Results(())).empty


def test_real_results_have_a_row_for_everything() -> None:
    frame = attribute_correlations(shipped_results(), draws=200)
    assert set(frame["attribute"]) == set(ATTRIBUTES)
    assert frame.loc[frame["rho"].isna(), "note"].str.len().gt(0).all()


SETS = pytest.mark.parametrize("sets", [40, pytest.param(200, marks=pytest.mark.slow)])


@SETS
def test_false_positive_rate_is_within_the_level(sets: int) -> None:
    """Scores without effects; p of one network attribute and of one point attribute."""
    found = []
    for seed in range(sets):
        results = simulated(np.random.default_rng(seed), seeds=1, **ONE, **NOTHING)
        frame = attribute_correlations(results, draws=400).set_index(["level", "attribute"])
        found.append([frame.loc[("setting", name), "p"] for name in ("gmacs", "top1", "depth")])
        found[-1].append(frame.loc["setting"]["p_adjusted"].min())
    rates = (np.array(found) <= 0.05).mean(axis=0)
    assert (rates <= stats.binom.ppf(0.9995, sets, 0.05) / sets).all()


@SETS
def test_planted_effect_is_found(sets: int) -> None:
    networks = [name.partition("/")[0] for name in study_losses(8, 1)]
    top1 = [network_spec(name).top1 for name in networks]
    effects = (stats.rankdata(top1) * 0.05)[:, None] + 0.1 * np.arange(4)
    hits = np.zeros(2)
    for seed in range(sets):
        results = simulated(np.random.default_rng(seed), seeds=1, seed_sd=0.03, effects=effects, **ONE)
        frame = attribute_correlations(results, draws=400).set_index(["level", "attribute"])["p"]["setting"]
        hits += frame[["top1", "depth"]].to_numpy() <= 0.05
    assert (hits / sets > 0.9).all()
