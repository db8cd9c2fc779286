"""Verdicts on results of the study's 14 networks with 4 points: planted, reversed, null, and too little."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lossnets.analysis import (
    Results,
    Verdict,
    shipped_results,
    verdict_table,
    verdicts,
)
from lossnets.analysis.findings import FINDINGS, STUDY, VERDICT_COLUMNS
from lossnets.analysis.findings.ground import fields_of
from lossnets.analysis.findings.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Count, counted, listed
from lossnets.analysis.settings import STUDY_TASKS as TASKS
from lossnets.errors import ConfigError
from lossnets.networks import network_spec

from .simulate import NETWORKS, simulated

CLAIMS = tuple(finding.__name__ for finding in FINDINGS)
NOTHING = {"architecture_sd": 0.0, "position_sd": 0.0, "interaction_sd": 0.0}
LATER = np.arange(4) / 3
TOP1 = np.array([network_spec(name).top1 for name in NETWORKS], dtype=float)
WELL = np.random.default_rng(99).permutation(14) / 13  # an order of the networks that has to do with nothing
SMALL = WELL[:, None] * 0.1 + np.random.default_rng(98).standard_normal((14, 4)) * 0.02


def draw(seed: int = 0, **rest: Any) -> Results:
    return simulated(
        np.random.default_rng(seed), **{"architectures": 14, "seed_sd": 0.02, "item_sd": 0.01} | rest
    )


def verdict(claim: str, results: Results, alpha: float = 0.05) -> Verdict:
    finding = next(f for f in FINDINGS if f.__name__ == claim)
    return finding(fields_of(results), alpha)


def networks(**effects: float) -> np.ndarray:
    """(14, 4) effects: networks by name, others in between, in an order of no meaning."""
    found = SMALL - SMALL.mean()
    for name, effect in effects.items():
        found[NETWORKS.index(name)] += effect
    return found


def changed(results: Results, change: Callable[[str], str | None]) -> Results:
    """Losses renamed, or left out where the change is None."""
    records = []
    for record in results.records:
        name = change(record.config.loss)
        if name is not None:
            records.append(replace(record, config=replace(record.config, loss=name)))
    return Results(tuple(records))


def by_accuracy(sign: float) -> np.ndarray:
    return sign * (stats.rankdata(TOP1) / 14)[:, None] + 0.05 * LATER


PLANTED: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {  # what supports, and what contradicts
    "accuracy": ({"effects": by_accuracy(-1)}, {"effects": by_accuracy(1)}),
    "later": (
        {"effects": {t: SMALL + (LATER if t != "super-resolution" else -LATER) for t in TASKS}},
        {"effects": SMALL + LATER},
    ),
    "point": (
        {"effects": 0.2 * SMALL + LATER + np.random.default_rng(1).standard_normal((14, 4)) * 0.2},
        {"effects": 30 * WELL[:, None] + SMALL},
    ),
    "overlap": ({"effects": SMALL * 3 + LATER}, {"effects": 5 * WELL[:, None] + SMALL}),
    "vgg": (
        {"effects": networks(vgg11=1.2, vgg16=1.0, vgg19=1.0)},
        {"effects": networks(vgg11=-1.2, vgg16=-1.0, vgg19=-1.0)},
    ),
    "vgg16_bn": ({"effects": networks(vgg16_bn=-1.0)}, {"effects": networks(vgg16_bn=1.0)}),
    "squeezenet_cost": (
        {"effects": networks(squeezenet1_1=1.0)},
        {"effects": {t: networks(squeezenet1_1=1.0 if t != "delineation" else -1.0) for t in TASKS}},
    ),
    "squeezenet_best": ({"effects": networks(squeezenet1_1=1.0)}, {"effects": networks(squeezenet1_1=-0.2)}),
    "early": ({"effects": SMALL - LATER}, {"effects": SMALL + LATER}),
    "late": ({"effects": SMALL + LATER}, {"effects": SMALL - LATER}),
}  # fmt: skip


def test_every_finding_is_planted() -> None:
    assert tuple(PLANTED) == CLAIMS
    assert len(STUDY) == 14
    assert set(STUDY) == set(NETWORKS)


@pytest.mark.parametrize("claim", CLAIMS)
def test_planted_finding_is_supported_and_its_opposite_contradicted(claim: str) -> None:
    for effects, word in zip(PLANTED[claim], (SUPPORTED, CONTRADICTED), strict=True):
        found = verdict(claim, draw(1, **effects))
        assert found.word == word, found
        assert found.claim == claim
        assert found.rule
        assert found.settings
        assert found.numbers


@pytest.mark.parametrize("claim", CLAIMS)
def test_too_few_networks_are_not_decidable(claim: str) -> None:
    for effects in PLANTED[claim]:
        few = changed(
            draw(1, **effects),
            lambda loss: loss if loss.startswith(("vgg16/", "alexnet/", "vgg11/")) else None,
        )
        found = verdict(claim, few)
        assert found.word == UNDECIDED
        assert found.because.startswith("needs ")
        assert found.left_out


@pytest.mark.parametrize(
    "claim", [c for c in CLAIMS if c not in ("early", "later", "late", "squeezenet_best", "point", "overlap")]
)
def test_one_task_is_not_overall(claim: str) -> None:
    found = verdict(claim, draw(1, settings=["super-resolution"], **PLANTED[claim][0]))
    assert found.word == UNDECIDED


@pytest.mark.parametrize("claim", ["point", "vgg16_bn", "squeezenet_cost", "squeezenet_best", "overlap"])
def test_one_seed_tells_nothing_of_single_networks(claim: str) -> None:
    trained = [task for task in TASKS if task != "similarity"]
    found = verdict(claim, draw(1, seeds=1, settings=trained, **PLANTED[claim][0]))
    assert found.word == UNDECIDED
    assert any("one seed: the scatter between trainings is unknown" in text for text in found.left_out)


def test_one_seed_is_enough_where_networks_are_the_evidence() -> None:
    for claim, word in (("early", SUPPORTED), ("vgg", SUPPORTED)):
        assert verdict(claim, draw(1, seeds=1, **PLANTED[claim][0])).word == word
    assert verdict("accuracy", draw(1, seeds=1, **PLANTED["accuracy"][1])).word == CONTRADICTED
    support = verdict("accuracy", draw(1, seeds=1, **PLANTED["accuracy"][0]))
    assert support.word == UNDECIDED
    assert "too few to say that accuracy does not order them" in support.because


def test_no_difference_between_networks_does_not_support_that_accuracy_means_nothing() -> None:
    found = verdict("accuracy", draw(2, effects=0.3 * LATER[None], seed_sd=0.05, item_sd=0.05))
    assert found.word == UNDECIDED
    assert "differ by more than chance in 0 of 4 settings" in found.because


def test_later_layers_need_three_tasks_to_be_better_in_general() -> None:
    found = verdict("later", draw(1, settings=["delineation", "autoencoding"], effects=SMALL + LATER))
    assert found.word == UNDECIDED
    assert "surely better in delineation and autoencoding, but 'in general' takes 3 tasks" in found.because


def test_vgg_in_the_middle_is_contradicted_by_one_network_surely_better() -> None:
    found = verdict("vgg", draw(1, effects=networks(resnet50=2.0), seed_sd=0.002, item_sd=0.001))
    assert found.word == CONTRADICTED
    assert "surely better than all three: resnet50" in found.because
    assert found.numbers["p_worse"] > 0.025  # type: ignore[operator]


def test_squeezenet_everywhere_takes_four_tasks() -> None:
    three = draw(
        1, settings=["similarity", "super-resolution", "delineation"], **PLANTED["squeezenet_cost"][0]
    )
    found = verdict("squeezenet_cost", three)
    assert found.word == UNDECIDED
    assert found.because.endswith("no results for autoencoding")


def test_squeezenet_everywhere_is_everywhere_in_the_study() -> None:
    """A task that the study has not has no say: squeezenet1_1 is the worst there."""
    supports, contradicts = PLANTED["squeezenet_cost"]
    poor = draw(2, settings=["delineation"], **contradicts)
    elsewhere = tuple(
        replace(record, config=replace(record.config, benchmark="image-prior-folders"))
        for record in poor.records
    )
    both = Results((*draw(1, **supports).records, *elsewhere))
    assert len({setting.task for setting in both.settings}) == 5
    assert verdict("squeezenet_cost", both).word == SUPPORTED


def test_other_weights_are_not_the_studys_network() -> None:
    results = draw(1, **PLANTED["vgg"][0])
    other = changed(
        results, lambda loss: f"{loss}:weights=data/edges.safetensors" if loss.startswith("vgg16/") else loss
    )
    found = verdict("vgg", other)
    assert found.word == UNDECIDED
    assert "needs vgg11, vgg16 and vgg19" in found.because
    assert "with other weights, vgg16 (data/edges.safetensors)" in found.because
    poor = verdict("vgg16_bn", other)  # needs no vgg16: decided without it, and it says so
    assert "vgg16 (data/edges.safetensors)" in poor.left_out
    assert "vgg16 without batch" not in poor.because


@pytest.mark.parametrize("claim", ["later", "point", "overlap", "early", "late"])
def test_networks_beside_the_studys_are_said_to_count(claim: str) -> None:
    results = draw(1, **PLANTED[claim][0])
    assert "beside" not in verdict(claim, results).because
    other = changed(results, lambda loss: f"{loss}:weights=edges.pt" if loss.startswith("vgg16/") else loss)
    found = verdict(claim, other)
    assert found.because.endswith("; counted beside the study's networks: vgg16 (edges.pt)")


def test_missing_and_failed_runs_are_named() -> None:
    results = draw(1, **PLANTED["vgg16_bn"][0])
    dropped = changed(
        results,
        lambda loss: None if loss.startswith("alexnet/features.1:") or loss == "alexnet/features.1" else loss,
    )
    found = verdict("vgg16_bn", dropped)
    assert found.word == SUPPORTED
    assert "super-resolution: super-resolution (small): alexnet without point 1" in found.left_out
    failing = draw(1, failed=0.1, **PLANTED["vgg16_bn"][0])
    text = "; ".join(verdict("vgg16_bn", failing).left_out)
    assert "failed runs of losses that have other seeds" in text
    assert "2 to 3 seeds a loss" in text or "1 to 3 seeds a loss" in text


def test_settings_of_one_task_do_not_outweigh_another_task() -> None:
    """Three sets of one task against one of another: the mean is over tasks."""
    names = ["autoencoding", "autoencoding/b", "autoencoding/c", "super-resolution"]
    effects = {n: by_accuracy(1 if n.startswith("auto") else -1) for n in names}
    found = verdict("accuracy", draw(1, settings=names, effects=effects))
    assert abs(found.numbers["rho"]) < 0.05  # type: ignore[arg-type]


def test_majority_rule_by_hand() -> None:
    assert [Count(n).needed for n in (1, 2, 3, 4)] == [1, 2, 2, 3]
    assert Count(4).level(0.05) == pytest.approx(0.0375)
    assert Count(3).word([SUPPORTED, SUPPORTED, UNDECIDED]) == SUPPORTED
    assert Count(3).word([SUPPORTED, SUPPORTED, CONTRADICTED]) == UNDECIDED
    assert Count(3).word([SUPPORTED, UNDECIDED, UNDECIDED]) == UNDECIDED
    assert Count(1).word([CONTRADICTED]) == CONTRADICTED
    assert counted([SUPPORTED]) == "supported in 1 of 1 setting, contradicted in 0"
    assert listed([]) == "none"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"


def test_intervals_of_ranks_come_from_sure_pairs() -> None:
    results = draw(1, seed_sd=0.001, item_sd=0.001, effects=networks(resnet50=2.0, vgg11=-2.0))
    field = fields_of(results)[1]
    standing = field.standing(field.study, 0.05)
    assert standing.of("resnet50") == (1.0, 1.0, 1.0)
    assert standing.of("vgg11") == (14.0, 14.0, 14.0)
    assert (standing.low <= standing.rank).all()
    assert (standing.rank <= standing.high).all()
    nothing = draw(1, seeds=1, settings=["autoencoding"])
    field = fields_of(nothing)[0]
    assert field.standing(field.study, 0.05).of("vgg16")[1:] == (1.0, 14.0)


def test_direction_does_not_matter() -> None:
    up, down = (verdicts(draw(4, higher_is_better=higher)) for higher in (True, False))
    assert [v.word for v in up] == [v.word for v in down]


def test_real_results_are_judged_with_reasons() -> None:
    table = verdict_table(shipped_results())
    assert tuple(table.columns) == VERDICT_COLUMNS
    assert tuple(table["claim"]) == CLAIMS
    assert set(table["word"]) <= {SUPPORTED, CONTRADICTED, UNDECIDED}
    assert table["because"].str.len().gt(20).all()


def test_no_results_are_not_decidable() -> None:
    found = verdicts(Results(()))
    assert {v.word for v in found} == {UNDECIDED}
    assert all(v.because for v in found)
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        verdicts(Results(()), alpha=1.5)


@pytest.mark.parametrize(
    ("settings", "architectures"),
    [(("super-resolution", "autoencoding"), 8), pytest.param(TASKS, 14, marks=pytest.mark.slow)],
)
def test_words_on_null_results_are_no_more_often_than_alpha_allows(
    settings: tuple[str, ...], architectures: int
) -> None:
    words: dict[str, Counter[str]] = defaultdict(Counter)
    for seed in range(200):
        for found in verdicts(draw(seed, architectures=architectures, settings=settings, **NOTHING)):
            words[found.claim][found.word] += 1
    most = stats.binom.ppf(0.9995, 200, 0.05)
    for claim in CLAIMS:
        assert words[claim][SUPPORTED] <= most, (claim, words[claim])
        assert words[claim][CONTRADICTED] <= most, (claim, words[claim])


@pytest.mark.slow
@pytest.mark.parametrize("claim", CLAIMS)
def test_planted_findings_are_found_in_200_result_sets(claim: str) -> None:
    for effects, word in zip(PLANTED[claim], (SUPPORTED, CONTRADICTED), strict=True):
        found = [verdict(claim, draw(seed, **effects)).word for seed in range(100)]
        assert found.count(word) > 90, Counter(found)


@pytest.mark.slow
def test_accuracy_that_just_reaches_the_bound_is_rarely_called_meaningless() -> None:
    """Rank correlation 0.5 in truth: support is wrong there, and must stay within alpha."""
    words = Counter()
    for seed in range(200):
        rng = np.random.default_rng(1000 + seed)
        r = 2 * np.sin(np.pi / 6 * 0.5)  # the normal correlation whose rank correlation is 0.5
        accuracy = rng.standard_normal(14)
        accuracy = np.sort(accuracy)[stats.rankdata(TOP1, "ordinal") - 1]
        quality = r * accuracy + np.sqrt(1 - r * r) * rng.standard_normal(14)
        words[verdict("accuracy", draw(seed, effects=quality[:, None] + 0.05 * LATER)).word] += 1
    assert words[SUPPORTED] <= stats.binom.ppf(0.9995, 200, 0.05), words


@pytest.mark.slow
def test_ratio_of_one_is_rarely_decided() -> None:
    """Variance between networks equal to that between points: the edge of the claim."""
    words = Counter(
        verdict(
            "point", draw(seed, architecture_sd=0.1, position_sd=0.0, interaction_sd=0.1, agreement=0.0)
        ).word
        for seed in range(200)
    )
    most = stats.binom.ppf(0.9995, 200, 0.05)
    assert words[SUPPORTED] <= most
    assert words[CONTRADICTED] <= most


@pytest.mark.parametrize("claim", ["accuracy", "vgg", "vgg16_bn", "early"])
def test_a_small_setting_beside_full_ones_changes_nothing_but_is_named(claim: str) -> None:
    results = draw(1, **PLANTED[claim][0])
    small = simulated(np.random.default_rng(5), architectures=6, settings=["super-resolution/other"])
    before, after = verdict(claim, results), verdict(claim, Results((*results.records, *small.records)))
    assert after.word == before.word == SUPPORTED
    if claim != "early":  # there, six networks are enough to count
        assert any(text.startswith("super-resolution: other (small) (") for text in after.left_out)


def test_settings_without_networks_in_common_are_not_decidable() -> None:
    results = draw(1, settings=["super-resolution", "autoencoding"], **PLANTED["accuracy"][0])
    first = {f"{name}/" for name in NETWORKS[:7]}

    def halves(record: Any) -> bool:
        early = record.config.loss.partition("/")[0] + "/" in first
        return bool(early == record.config.benchmark.startswith("super"))

    found = verdict("accuracy", Results(tuple(r for r in results.records if halves(r))))
    assert found.word == UNDECIDED
    assert "enough in 1" in found.because
    assert any("(0 of the networks of the other settings)" in text for text in found.left_out)
