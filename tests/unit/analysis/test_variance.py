"""Shares of variance against statsmodels and by hand; the ratio's interval covers what it should."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lossnets.analysis import Results, attribute_correlations, variance_shares, variance_table, verdicts
from lossnets.analysis.components import Scatter, ratio_of
from lossnets.analysis.points import Points, points_of
from lossnets.analysis.variance import TERMS, VARIANCE_COLUMNS, scatter_of, shares_of, two_way
from lossnets.errors import ConfigError

from .handmade import made
from .simulate import simulated

DRAWN = {"settings": ["super-resolution"], "architectures": 14}


def rate_bounds(chance: float, draws: int) -> tuple[float, float]:
    """Rates that a count of `draws` trials has but once in a thousand outside."""
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, chance)
    return low / draws, high / draws


def statsmodels_table(values: np.ndarray) -> pd.DataFrame:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    where = np.argwhere(np.isfinite(values))
    frame = pd.DataFrame(where, columns=["a", "p", "seed"]).assign(y=values[tuple(where.T)])
    return anova_lm(ols("y ~ C(a) * C(p)", frame).fit(), typ=2)


def assert_same(values: np.ndarray) -> None:
    rows, error = two_way(values)
    second = statsmodels_table(values)
    assert error == "seeds"
    for row, name in zip(rows, ("C(a)", "C(p)", "C(a):C(p)", "Residual"), strict=True):
        assert row["df"] == second.loc[name, "df"]
        assert row["sum_sq"] == pytest.approx(second.loc[name, "sum_sq"], rel=1e-8, abs=1e-10)
        if name != "Residual":
            assert row["F"] == pytest.approx(second.loc[name, "F"], rel=1e-8)
            assert row["p"] == pytest.approx(second.loc[name, "PR(>F)"], rel=1e-6, abs=1e-300)


def test_balanced_anova_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(1)
    assert_same(rng.standard_normal((5, 4, 3)) + rng.standard_normal((5, 1, 1)))


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_anova_with_unequal_seeds_is_that_of_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((4, 4, 4)) + rng.standard_normal((1, 4, 1))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[..., 0] = rng.standard_normal((4, 4))  # statsmodels gives a cell without a value wrong degrees
    assert_same(values)


def test_anova_with_missing_losses_compares_nested_models() -> None:
    """Type II by its definition, sums of squares of least-squares fits, since statsmodels miscounts here."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((5, 4, 3))
    values[0, 1] = values[3, 3] = values[4, 0] = np.nan
    where = np.argwhere(np.isfinite(values))
    y = values[tuple(where.T)]
    a, p = np.eye(5)[where[:, 0]], np.eye(4)[where[:, 1]]
    cells = np.eye(20)[where[:, 0] * 4 + where[:, 1]]

    def fit(*parts: np.ndarray) -> tuple[float, int]:
        design = np.hstack(parts)
        found = design @ np.linalg.pinv(design) @ y
        return float(((y - found) ** 2).sum()), int(np.linalg.matrix_rank(design))

    both, full = fit(a, p), fit(cells)
    wanted = [fit(p)[0] - both[0], fit(a)[0] - both[0], both[0] - full[0], full[0]]
    dfs = [both[1] - fit(p)[1], both[1] - fit(a)[1], full[1] - both[1], len(y) - full[1]]
    rows, _ = two_way(values)
    np.testing.assert_allclose([row["sum_sq"] for row in rows], wanted, rtol=1e-9)
    assert [row["df"] for row in rows] == dfs == [4, 3, 9, 34]


def test_omega_squared_and_shares_by_hand() -> None:
    # means 2, 6 / 10, 14: networks 4 and 12, positions 6 and 10, no interaction, 1 either side in a cell
    rows, error = two_way(np.array([[[1.0, 3], [5, 7]], [[9, 11], [13, 15]]]))
    assert error == "seeds"
    assert [row["sum_sq"] for row in rows] == pytest.approx([128, 32, 0, 8], abs=1e-9)
    assert [row["df"] for row in rows] == [1, 1, 1, 4]
    assert [row["F"] for row in rows[:3]] == pytest.approx([64, 16, 0], abs=1e-9)
    assert [row["omega_sq"] for row in rows[:3]] == pytest.approx([126 / 170, 30 / 170, 0])
    assert [row["share"] for row in rows] == pytest.approx([128 / 168, 32 / 168, 0, 8 / 168], abs=1e-9)
    assert math.isnan(rows[3]["F"])


def test_one_value_a_loss_has_the_interaction_as_error() -> None:
    # 2 x 2 cell means 2, 6 / 10, 16: interaction 1 with 1 degree of freedom
    rows, error = two_way(np.array([[[2.0], [6]], [[10], [16]]]))
    assert error == "interaction"
    assert [row["sum_sq"] for row in rows] == pytest.approx([81, 25, 1, 0], abs=1e-9)
    assert [row["F"] for row in rows[:2]] == pytest.approx([81, 25])
    assert rows[0]["p"] == pytest.approx(stats.f.sf(81, 1, 1))
    assert math.isnan(rows[2]["p"])
    assert rows[3]["df"] == 0


def test_nothing_to_test_is_no_test() -> None:
    assert two_way(np.ones((3, 2, 2)))[1] == "none"  # no scatter at all
    assert two_way(np.full((3, 2, 2), np.nan))[1] == "none"
    rows, error = two_way(np.array([[[1.0]], [[2.0]]]))
    assert error == "none"
    assert all(math.isnan(row["p"]) for row in rows)


def test_ratio_is_the_f_interval_by_hand() -> None:
    means = np.array([[0.0, 2], [4, 6], [9, 11]])  # within: 2 each over 3; between: 2 var(1, 5, 10)
    f = 2 * np.var([1, 5, 10], ddof=1) / 2
    found = ratio_of(means, Scatter(0.0))
    assert found.method == "exact F"
    assert found.value == pytest.approx((f - 1) / 2)
    assert found.low == pytest.approx(max(0.0, (f / stats.f.ppf(0.975, 2, 3) - 1) / 2))
    assert found.high == pytest.approx((f / stats.f.ppf(0.025, 2, 3) - 1) / 2)
    assert found.shared == pytest.approx(found.high + 1 / 2)


def test_scatter_of_trainings_is_taken_out_of_the_points() -> None:
    means = np.array([[0.0, 2], [4, 6], [9, 11]])
    raw = (2 * np.var([1, 5, 10], ddof=1) / 2 - 1) / 2
    found = ratio_of(means, Scatter(0.5, df=1000))  # a quarter of the points' variance of 2
    assert found.noise == pytest.approx(0.25)
    assert found.value == pytest.approx(raw / 0.75)
    assert "trainings taken out" in found.method


def test_points_that_may_be_chance_have_no_upper_end() -> None:
    rng = np.random.default_rng(0)
    means = rng.standard_normal((14, 4))
    assert ratio_of(means, Scatter(1.0, df=100)).high == math.inf  # all scatter is that of trainings
    one_seed = ratio_of(means, Scatter(math.nan))
    assert one_seed.high == math.inf
    assert "unknown" in one_seed.method


def covered(
    truth: float, sizes: list[int], sets: int, *, trainings: float = 0.0, shared: bool = False
) -> float:
    """Share of sets whose interval has the truth in it; the points' variance is 1."""
    rng, hits = np.random.default_rng(7), 0
    for _ in range(sets):
        means = math.sqrt(truth) * rng.standard_normal((len(sizes), 1))
        own = rng.standard_normal((len(sizes), max(sizes)))
        if shared:
            position = rng.standard_normal(max(sizes))
            own = (position - position.mean()) / position.std(ddof=1)
        means = means + own + math.sqrt(trainings) * rng.standard_normal((len(sizes), max(sizes)))
        for row, size in zip(means, sizes, strict=True):
            row[size:] = np.nan
        df = 100 if trainings else math.inf
        noise = trainings * rng.chisquare(df) / df if trainings else 0.0
        found = ratio_of(means, Scatter(noise, df))
        hits += found.low <= truth <= (found.shared if shared else found.high)
    return hits / sets


@pytest.mark.parametrize("truth", [0.0, 1.0, 4.0])
def test_exact_interval_covers_as_often_as_it_says(truth: float) -> None:
    low, high = rate_bounds(0.95, 600)
    rate = covered(truth, [4] * 14, 600)
    assert low <= rate <= (1.0 if truth == 0 else high)  # at 0 the lower end cannot miss
    assert low <= covered(truth, [4, 2, 3, 4, 1, 2, 4, 4], 600)


def test_interval_without_trainings_covers_at_least_as_often() -> None:
    assert covered(1.0, [4] * 14, 600, trainings=0.3) >= rate_bounds(0.95, 600)[0]


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_upper_end_holds_where_positions_share_an_effect(truth: float) -> None:
    assert covered(truth, [4] * 14, 400, shared=True) >= rate_bounds(0.95, 400)[0]


def test_unequal_seeds_are_adjusted_and_said_to_be_approximate() -> None:
    results = simulated(np.random.default_rng(0), seeds=3, failed=0.5, **DRAWN)
    shares = variance_shares(results, results.settings[0])
    assert shares.method.startswith("approximate F for unequal seeds")
    assert shares.ratio_low <= shares.ratio <= shares.ratio_high
    assert "losses have different seeds: adjusted for what a seed does to all" in shares.note


def unequal(rng: np.random.Generator, truth: float, trainings: float, block: float) -> Points:
    """14 networks, 4 points, 3 seeds, a sixth of the runs lost; the points' variance is 1."""
    values = math.sqrt(truth) * rng.standard_normal((14, 1, 1)) + rng.standard_normal((14, 4, 1))
    values = values + math.sqrt(trainings) * rng.standard_normal((14, 4, 3)) + block * np.arange(3)
    values[rng.random(values.shape) < 1 / 6] = np.nan
    names = tuple(f"network {i}" for i in range(14))
    return Points("here", "task", True, "score", names, (1, 2, 3, 4), values, np.full((14, 4), np.nan), ())


def test_adjustment_is_that_of_least_squares_on_losses_and_seeds() -> None:
    points = unequal(np.random.default_rng(1), 1.0, 0.3, block=5.0)
    means, scatter, _ = scatter_of(points)
    table = points.values.reshape(56, 3)
    where = np.argwhere(np.isfinite(table))
    y = table[tuple(where.T)]
    design = np.hstack([np.eye(56)[where[:, 0]], np.eye(3)[where[:, 1]]])
    solution = np.linalg.pinv(design) @ y
    rest, df = ((y - design @ solution) ** 2).sum(), len(y) - np.linalg.matrix_rank(design)
    present = points.counts.ravel() > 0
    assert scatter.df == df
    assert scatter.variance == pytest.approx(rest / df * np.mean(1 / points.counts.ravel()[present]))
    found, wanted = means.ravel()[present], solution[:56][present]
    np.testing.assert_allclose(found - found.mean(), wanted - wanted.mean(), atol=1e-9)


@pytest.mark.parametrize(("truth", "trainings"), [(1.0, 0.1), (1.0, 1.0), (4.0, 0.3)])
def test_unequal_seeds_are_covered_as_often_as_is_said(truth: float, trainings: float) -> None:
    rng, hits, sets = np.random.default_rng(3), 0, 300
    for _ in range(sets):
        means, scatter, _ = scatter_of(unequal(rng, truth, trainings, block=3.0))
        found = ratio_of(means, scatter)
        hits += found.low <= truth <= found.high
    assert hits / sets >= rate_bounds(0.95, sets)[0]


def test_unequal_seeds_of_chance_alone_say_nothing() -> None:
    """All scatter is that of trainings, and what a seed does to all must not pass for differences."""
    rng = np.random.default_rng(4)
    words = []
    for _ in range(100):
        points = unequal(rng, 0.0, 1.0, block=20.0)
        blank = replace(
            points, values=points.values - points.values + rng.standard_normal((14, 4, 3)) + 20 * np.arange(3)
        )
        words.append(shares_of(blank, 0.05).verdict)
    assert words.count("not decidable") >= 100 * rate_bounds(0.95, 100)[0]


def test_seeds_that_some_losses_lack_are_left_out_of_the_ratio() -> None:
    results = simulated(np.random.default_rng(0), seeds=4, **DRAWN)
    kept = Results(
        tuple(r for r in results.records if (r.config.seed, r.config.loss) != (3, "vgg16/features.3"))
    )
    shares = variance_shares(kept, kept.settings[0])
    three = Results(tuple(r for r in results.records if r.config.seed < 3))
    assert "without 1 seeds" in shares.note
    assert shares.seeds == (3, 4)
    assert shares.ratio == variance_shares(three, three.settings[0]).ratio


@pytest.mark.parametrize(
    ("effects", "word"),
    [
        ({"architecture_sd": 0.01, "position_sd": 0.2, "interaction_sd": 0.05}, "supported"),
        ({"architecture_sd": 0.3, "position_sd": 0.02, "interaction_sd": 0.03}, "contradicted"),
    ],
)
def test_planted_ratio_is_found_in_200_sets(effects: dict[str, float], word: str) -> None:
    words = []
    for seed in range(200):
        results = simulated(np.random.default_rng(seed), **effects, **DRAWN | {"architectures": 10})
        words.append(variance_shares(results, results.settings[0]).verdict)
    assert words.count(word) >= 0.95 * 200


def test_chance_alone_is_not_decidable() -> None:
    nothing = {"architecture_sd": 0.0, "position_sd": 0.0, "interaction_sd": 0.0}
    words = []
    for seed in range(200):
        results = simulated(np.random.default_rng(seed), **nothing, **DRAWN)
        words.append(variance_shares(results, results.settings[0]).verdict)
    assert words.count("not decidable") >= 200 * rate_bounds(0.95, 200)[0]


def test_one_seed_does_not_support() -> None:
    results = simulated(np.random.default_rng(0), seeds=1, position_sd=0.3, **DRAWN)
    shares = variance_shares(results, results.settings[0])
    assert (shares.verdict, shares.error_term, shares.seeds) == ("not decidable", "interaction", (1, 1))
    assert "one seed: the scatter between trainings is unknown" in shares.note


def test_false_positives_of_f_tests_stay_within_level_and_effects_are_found() -> None:
    rng = np.random.default_rng(11)
    p = np.array([[row["p"] for row in two_way(rng.standard_normal((6, 4, 3)))[0][:3]] for _ in range(200)])
    assert ((p < 0.05).mean(axis=0) <= rate_bounds(0.05, 200)[1]).all()
    assert ((p < 0.05).mean(axis=0) >= rate_bounds(0.05, 200)[0]).all()
    shift = 2.0 * np.arange(6)[:, None, None] / 5 + 2.0 * np.arange(4)[:, None] / 3
    found = [[row["p"] for row in two_way(shift + rng.standard_normal((6, 4, 3)))[0][:2]] for _ in range(200)]
    assert (np.array(found) < 0.05).all(axis=1).mean() > 0.9


def test_direction_does_not_matter() -> None:
    up = simulated(np.random.default_rng(3), **DRAWN)
    down = simulated(np.random.default_rng(3), higher_is_better=False, **DRAWN)
    one, two = (variance_shares(r, r.settings[0]) for r in (up, down))
    pd.testing.assert_frame_equal(one.frame, two.frame)
    np.testing.assert_allclose(points_of(up, up.settings[0]).values, points_of(down, down.settings[0]).values)


def test_what_is_left_out_is_named() -> None:
    results = simulated(np.random.default_rng(0), seeds=2, settings=["super-resolution"])
    records = list(results.records)
    for i, record in enumerate(records):
        config = record.config
        if config.loss == "vgg16/features.3":
            records[i] = replace(record, config=replace(config, loss="vgg16/features.3:weights=random-0"))
        if config.loss == "alexnet/features.1":
            records[i] = replace(record, config=replace(config, loss="alexnet/features.1,features.4"))
        if config.loss == "vgg11/features.1":
            records[i] = replace(record, config=replace(config, loss="vgg11/features.1:input=raw"))
    changed = Results(tuple(records))
    shares = variance_shares(changed, changed.settings[0])
    assert "alexnet/features.1,features.4 (several taps)" in shares.left_out
    assert "vgg16 (random)/features.3 (random weights)" in shares.left_out
    assert "vgg11/features.1 (another design)" in shares.left_out
    assert "vgg16 without point 1" in shares.note


def test_scores_without_any_interval_over_items_are_analysed_like_others() -> None:
    """A benchmark of one's own may give no interval at all: a column of None, not of NaN."""
    results = simulated(np.random.default_rng(0), seeds=3, settings=["super-resolution", "autoencoding"])
    bare = Results(
        tuple(
            replace(r, scores=tuple(replace(s, low=None, high=None) for s in r.scores))
            for r in results.records
        )
    )
    assert np.isnan(points_of(bare, bare.settings[0]).errors).all()
    pd.testing.assert_frame_equal(variance_table(bare), variance_table(results))
    with_ends, without = (attribute_correlations(r, draws=100) for r in (results, bare))
    pd.testing.assert_frame_equal(with_ends, without)
    assert [v.word for v in verdicts(bare)] == [v.word for v in verdicts(results)]


def test_two_losses_of_one_point_are_both_left_out() -> None:
    results = simulated(np.random.default_rng(0), seeds=2, settings=["super-resolution"])
    twice = [
        replace(r, config=replace(r.config, signature="another file"))
        for r in results.records
        if r.config.loss == "vgg16/features.3"
    ]
    doubled = Results((*results.records, *twice))
    points = points_of(doubled, doubled.settings[0])
    assert points.left_out == ("vgg16/features.3 (several losses of this network and point)",)
    assert math.isnan(points.means[points.networks.index("vgg16"), 0])


def test_table_has_four_rows_a_setting_and_says_when_nothing_is_there() -> None:
    results = simulated(np.random.default_rng(0), settings=["similarity", "autoencoding"], architectures=1)
    table = variance_table(results)
    assert tuple(table.columns) == VARIANCE_COLUMNS
    assert table["term"].tolist() == [*TERMS, *TERMS]
    assert set(table["verdict"]) == {"not decidable"}
    assert "no interval from 1 networks with 4 points" in table["note"][0]
    assert table["ratio"].isna().all()
    assert variance_table(Results(())).empty


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_the_unit_of_a_score_does_not_matter(unit: float) -> None:
    plain = simulated(np.random.default_rng(0), settings=["super-resolution", "autoencoding"])
    scaled = Results(
        tuple(
            replace(
                r,
                scores=tuple(replace(s, value=unit * (s.value or 0), low=None, high=None) for s in r.scores),
            )
            for r in plain.records
        )
    )
    numbers = ["F", "p", "omega_sq", "share", "ratio", "ratio_low", "ratio_high"]
    wanted, found = variance_table(plain), variance_table(scaled)
    pd.testing.assert_frame_equal(found[numbers], wanted[numbers], rtol=1e-6)
    assert found["sum_sq"].isna().all()  # no floating-point number is so large or small
    assert [v.word for v in verdicts(scaled)] == [v.word for v in verdicts(plain)]


def test_losses_that_cannot_be_compared_point_by_point_are_said_to_be_left_out() -> None:
    own = made({f"mynet/{tap}": [0.1, 0.2, 0.3] for tap in "abc"} | {"pixel:mse": [0.1, 0.2, 0.4]})
    note = variance_table(own)["note"][0]
    assert note.startswith("no interval from 0 networks with 0 points; the losses are left out (")
    assert "not a point of the study" in note
    assert "one seed" not in note


def test_a_single_loss_with_seeds_says_nothing_and_divides_by_nothing() -> None:
    alone = simulated(np.random.default_rng(0), architectures=1, positions=1, settings=["super-resolution"])
    shares = variance_shares(alone, alone.settings[0])
    assert shares.verdict == "not decidable"
    assert "a single loss" in shares.note
    assert math.isnan(shares.ratio)


def test_alpha_is_checked() -> None:
    results = simulated(np.random.default_rng(0), settings=["similarity"], architectures=2)
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        variance_shares(results, results.settings[0], alpha=5)
