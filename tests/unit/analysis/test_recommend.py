"""A planted winner is found, what cannot be told apart is refused, and the advice is of use as printed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from lossnets.analysis import Recommendation, Results, recommend, shipped_results
from lossnets.analysis.cost import Costs
from lossnets.analysis.limits import memory_limit, time_limit
from lossnets.analysis.snippets import python_lines, weights_origin, weights_ready
from lossnets.errors import ConfigError, UnknownNameError
from lossnets.runs.cost_records import Cost, Machine, cost_key
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Failure, RunRecord, ScoreRecord

from .simulate import simulated, study_losses

SR, DEL = "super-resolution-folders", "delineation-folders"
A, B, C, D = "alexnet/features.1", "squeezenet1_1/features.3", "vgg16/relu3_3", "pixel:mse"
NONE = Costs((), ())
Values = Mapping[str, Sequence[float | None]]


def runs(
    values: Values,
    data: str = "d1",
    benchmark: str = SR,
    half: float = 0.01,
    higher: bool = True,
    **rest: Any,
) -> list[RunRecord]:
    """Loss -> value of each seed; None is a run that failed."""
    out = []
    for loss, seeds in values.items():
        for seed, value in enumerate(seeds):
            fields = {"profile": "small", "signature": f"{loss}|1"} | rest
            config = RunConfig(
                loss=loss, benchmark=benchmark, data=data, fingerprint=data, seed=seed, **fields
            )
            if value is None:
                out.append(RunRecord(config, "failed", failure=Failure("WeightsError", "no such file")))
                continue
            score = ScoreRecord("psnr", value, "dB", higher, low=value - half, high=value + half, n=20)
            bicubic = ScoreRecord("psnr@bicubic", 0.5, "dB", higher, low=0.4, high=0.6, n=20)
            out.append(RunRecord(config, "done", scores=(score, bicubic)))
    return out


def results(*parts: list[RunRecord]) -> Results:
    return Results(tuple(record for part in parts for record in part), "my runs")


def spread(**means: float) -> Values:
    """Three seeds around each mean, a tiny scatter."""
    names = {"a": A, "b": B, "c": C, "d": D}
    rng = np.random.default_rng(1)
    return {names[key]: (mean + 0.002 * rng.standard_normal(3)).tolist() for key, mean in means.items()}


CLEAR = spread(a=0.9, b=0.7, c=0.6, d=0.65)


def costs(step: Mapping[str, float], task: str = "super-resolution", **alone: Mapping[str, float]) -> Costs:
    """Step ratios; milliseconds an image and bytes where they are given."""
    machine = Machine("a processor", 1, "2.0", "0.1", "Linux")
    common = ("cpu", 1, 64, 3, machine, "2026-01-01", "pixel:mse")
    made = [
        Cost(cost_key(loss), task, *common, seconds=1.0, ratio=r, ratio_low=r, ratio_high=r)
        for loss, r in step.items()
    ]
    for loss, ms in alone.get("ms", {}).items():
        memory = alone.get("memory", {}).get(loss)
        made.append(
            Cost(
                cost_key(loss),
                "",
                *common,
                seconds=ms / 1e3,
                ratio=1.0,
                memory=None if memory is None else int(memory),
            )
        )
    return Costs(tuple(made), ("profile.json",) * len(made))


PRICES = costs(
    {A: 3.0, B: 1.5, C: 6.0, D: 1.0},
    ms={A: 3.0, B: 1.0, C: 20.0, D: 0.1},
    memory={A: 3e8, B: 1e8, C: 2e9, D: 1e7},
)


def names(made: Recommendation) -> list[str]:
    return [row.loss for row in made.rows]


# What the evidence says


def test_a_planted_winner_is_found_with_high_confidence() -> None:
    effects = np.zeros((3, 3))
    effects[1, 2] = 0.3
    found = simulated(
        np.random.default_rng(5), architectures=3, positions=3, seeds=4, seed_sd=0.01, effects=effects,
        settings=("super-resolution", "super-resolution/other"),
    )  # fmt: skip
    made = recommend(found, "super-resolution", costs=NONE)
    winner = study_losses(3, 3)[5]
    assert made.refused is None
    assert made.confidence == "high"
    assert made.leading == (winner,)
    best = made.best
    assert best is not None
    assert (best.loss, best.rank, best.average_rank, best.leading) == (winner, 1, 1.0, True)
    assert (
        "better than 8 of 8 others on at least one data set, and than 8 on every one, beyond chance"
        in best.reason
    )
    assert {row.leading for row in made.rows[1:]} == {False}
    assert {row.confidence for row in made.rows[1:]} == {"high"}
    assert all(f"worse than {winner} by 0.2" in r.reason or "by 0.3" in r.reason for r in made.rows[1:])
    assert [e.seeds_least for e in made.evidence] == [4, 4]


def test_ties_are_refused_nearly_always() -> None:
    """Of 40 sets of results without any difference at most a few are not refused (5 % of 40 are 2)."""
    answered = 0
    for number in range(40):
        found = simulated(
            np.random.default_rng(number), architectures=3, positions=2, seeds=3, effects=np.zeros((3, 2)),
            settings=("delineation", "delineation/other"),
        )  # fmt: skip
        made = recommend(found, "delineation", costs=NONE)
        answered += made.refused is None
        if made.refused:
            assert "do not tell the losses apart" in made.refused.why
            assert made.rows == ()
            assert made.confidence is None
    assert answered <= 5


def test_a_refusal_says_what_would_settle_it() -> None:
    made = recommend(
        results(runs({A: [0.5, 0.6, 0.7], B: [0.6, 0.5, 0.55]})), "super-resolution", costs=PRICES
    )
    assert made.refused is not None
    assert "On d1: about " in made.refused.settle
    assert (
        "seeds (there are 3) would tell alexnet/features.1 from squeezenet1_1/features.3"
        in made.refused.settle
    )
    assert f"{A} has the best average rank, {B} is the cheapest" in made.refused.settle
    assert made.evidence[0].leading == (A, B)


def test_a_refusal_without_a_test_says_why_there_was_none() -> None:
    told = {
        "On d1 all losses have the same score: another score or other data": {A: [0.5] * 3, B: [0.5] * 3},
        "On d1 nothing could be tested (the difference is the same with every seed": {
            A: [0.5] * 3,
            B: [0.6] * 3,
        },
    }
    for text, values in told.items():
        made = recommend(results(runs(values)), "super-resolution", costs=NONE)
        assert made.refused is not None
        assert made.refused.settle.startswith(text)


def test_one_seed_is_low_confidence_and_says_so() -> None:
    made = recommend(results(runs({A: [0.9], B: [0.7], C: [0.6], D: [0.5]})), "super-resolution", costs=NONE)
    assert made.confidence == "low"
    assert made.confidence_why == "one seed only on d1"
    assert names(made) == [A, B, C, D]
    assert {row.confidence for row in made.rows} == {"low"}
    assert "with intervals apart" in made.rows[0].reason
    assert "beyond chance" not in " ".join(row.reason for row in made.rows)
    assert any("seeds: [0, 1, 2] in the plan" in text for text in made.warnings)
    assert made.evidence[0].basis == "one seed"


def test_one_seed_and_overlapping_intervals_are_refused() -> None:
    made = recommend(results(runs({A: [0.9], B: [0.7]}, half=0.2)), "super-resolution", costs=NONE)
    assert made.refused is not None
    assert "train every loss with three seeds or more" in made.refused.settle


def test_one_data_set_is_medium_at_most() -> None:
    made = recommend(results(runs(CLEAR)), "super-resolution", costs=NONE)
    assert (made.confidence, made.confidence_why) == ("medium", "one data set")
    assert any(text.startswith("one data set only (d1)") for text in made.warnings)
    two = recommend(results(runs(CLEAR), runs(CLEAR, "d2")), "super-resolution", costs=NONE)
    assert two.confidence == "high"


def test_a_large_leading_group_is_low() -> None:
    made = recommend(results(runs(spread(a=0.9, b=0.9, c=0.9, d=0.5))), "super-resolution", costs=NONE)
    assert set(made.leading) == {A, B, C}
    assert (made.confidence, made.confidence_why) == ("low", "3 of 4 losses are in the leading group")
    assert made.rows[3].confidence == "medium"
    assert "not told apart from the first" in made.rows[1].reason


def test_data_sets_that_disagree_are_refused_and_one_can_be_asked_for() -> None:
    found = results(runs(spread(a=0.9, b=0.5, c=0.4), "d1"), runs(spread(a=0.5, b=0.9, c=0.4), "d2"))
    made = recommend(found, "super-resolution", costs=NONE)
    assert made.refused is not None
    assert f"Best are on d1: {A}; on d2: {B}." in made.refused.why
    assert made.refused.settle.endswith("--data 'd1' or --data 'd2'.")
    assert names(recommend(found, "super-resolution", costs=NONE, data="d2"))[0] == B
    with pytest.raises(UnknownNameError, match="data set of task 'super-resolution' in my runs 'd9'"):
        recommend(found, "super-resolution", costs=NONE, data="d9")


def test_ranks_are_averaged_and_the_leading_group_comes_first() -> None:
    """B is told to be worse on d1 only, so that C, whose average is worse, comes before it."""
    rng = np.random.default_rng(2)
    noisy = {
        k: (m + 0.3 * rng.standard_normal(4)).tolist() for k, m in ((A, 3.0), (B, 2.4), (C, 0.0), (D, -9.0))
    }
    sharp = {
        k: (m + 0.001 * rng.standard_normal(4)).tolist() for k, m in ((A, 0.9), (B, 0.8), (C, 0.9), (D, 0.1))
    }
    made = recommend(results(runs(sharp), runs(noisy, "d2")), "super-resolution", costs=NONE)
    by = {row.loss: row for row in made.rows}
    for loss, row in by.items():
        ranks = [quality.rank for quality in row.quality]
        assert row.average_rank == sum(ranks) / 2
        assert (loss in made.leading) == row.leading
    order = [(not row.leading, row.average_rank) for row in made.rows]
    assert order == sorted(order)


def test_lower_is_better() -> None:
    found = results(runs(CLEAR, higher=False), runs(CLEAR, "d2", higher=False))
    made = recommend(found, "super-resolution", costs=NONE)
    assert names(made)[0] == C
    assert made.leading == (C,)


def test_deterministic_settings_are_judged_by_their_items() -> None:
    values = {f"{k}:unit-spatial-sum": v[:1] for k, v in CLEAR.items() if k != D}
    made = recommend(results(runs(values, benchmark="similarity-triplets")), "similarity", costs=NONE)
    assert made.confidence == "medium"
    assert made.evidence[0].basis == "items"
    assert not any("trained once" in text for text in made.warnings)


# What else a user must know


def test_a_pixel_loss_may_win() -> None:
    values = spread(a=0.3, b=0.2, d=0.9)
    made = recommend(results(runs(values), runs(values, "d2")), "super-resolution", costs=PRICES)
    assert (names(made)[0], made.confidence) == (D, "high")
    assert made.rows[0].weights == ""


def test_a_pixel_loss_in_the_leading_group_is_pointed_out() -> None:
    made = recommend(results(runs(spread(a=0.9, b=0.5, c=0.4, d=0.9))), "super-resolution", costs=PRICES)
    assert set(made.leading) == {A, D}
    assert made.cheapest == D
    first = names(made)[0]
    told = [text for text in made.warnings if "which needs no network" in text]
    assert bool(told) == (first == A)


def test_a_reference_that_beats_every_loss_is_a_warning() -> None:
    low = {loss: [v - 0.6 for v in seeds if v is not None] for loss, seeds in CLEAR.items()}
    made = recommend(results(runs(low)), "super-resolution", costs=NONE)
    (text,) = [text for text in made.warnings if text.startswith("bicubic")]
    assert "is better than every loss on d1: 0.5 against 0.3" in text
    assert "At profile small" in text
    assert made.evidence[0].references == (("(bicubic)", 0.5),)
    assert not any(
        "bicubic" in t for t in recommend(results(runs(CLEAR)), "super-resolution", costs=NONE).warnings
    )


def test_losses_that_failed_or_are_missing_are_listed_with_the_reason() -> None:
    values = {**CLEAR, "vgg16/relu1_2": [None, None, None]}
    found = results(runs(values), runs({k: v for k, v in CLEAR.items() if k != A}, "d2"))
    made = recommend(found, "super-resolution", costs=NONE)
    why = {item.name: item.why for item in made.excluded}
    assert why["vgg16/relu1_2"] == "failed: WeightsError: no such file on d1"
    assert why[A] == "not run on d2"
    assert A not in names(made)
    assert any(text.startswith(f"{A} has a better value on d1 (0.9") for text in made.warnings)


def test_settings_without_common_losses_are_refused() -> None:
    found = results(runs({A: [0.1], B: [0.2]}), runs({C: [0.1], D: [0.3]}, "d2"))
    made = recommend(found, "super-resolution", costs=NONE)
    assert made.refused is not None
    assert "no loss has a value on every data set (d1, d2)" in made.refused.why


def test_smaller_runs_samples_and_variants_are_left_out_where_there_is_better() -> None:
    found = results(
        runs(CLEAR, "d1"),
        runs(CLEAR, "d1", profile="smoke"),
        runs(CLEAR, "photographs", benchmark="super-resolution-sample"),
        runs(CLEAR, "d3", profile="smoke"),
    )
    made = recommend(found, "super-resolution", costs=NONE)
    assert [e.setting for e in made.evidence] == ["super-resolution: d1 (small)"]
    assert {item.name: item.why for item in made.left_out} == {
        "super-resolution: d1 (smoke)": "runs of a larger profile are there",
        "super-resolution: d3 (smoke)": "profile smoke is for tests, and there are other runs",
        "super-resolution: photographs (small)": "it is a packaged sample, and there are other data",
    }
    alone = recommend(results(runs(CLEAR, profile="smoke")), "super-resolution", costs=NONE)
    assert alone.confidence == "low"
    assert any("profile smoke" in text for text in alone.warnings)


def test_a_task_without_results_is_refused_and_an_unknown_one_is_an_error() -> None:
    made = recommend(results(runs(CLEAR)), "delineation", costs=NONE)
    assert made.refused is not None
    assert "my runs has no finished run of task 'delineation'; it has super-resolution" in made.refused.why
    with pytest.raises(
        UnknownNameError, match=r"task 'superresolution' is not known\. Did you mean 'super-resolution'"
    ):
        recommend(results(runs(CLEAR)), "superresolution", costs=NONE)
    empty = recommend(Results((), "nothing"), "delineation", costs=NONE)
    assert empty.refused is not None
    assert "none at all" in empty.refused.why


# Limits


@pytest.mark.parametrize(
    ("text", "column", "most"),
    [
        ("2x-pixel", "step_ratio", 2.0),
        ("1.5x-pixel", "step_ratio", 1.5),
        ("5ms", "ms_per_image", 5.0),
        (" .5 s ", "ms_per_image", 500.0),
        ("1e1ms", "ms_per_image", 10.0),
        ("500MB", "memory", 5e8),
        ("2GiB", "memory", 2 * 1024.0**3),
        ("2GB", "memory", 2e9),
        ("64 kB", "memory", 64e3),
        ("100B", "memory", 100.0),
    ],
)
def test_limits_are_read(text: str, column: str, most: float) -> None:
    limit = memory_limit(text) if text.endswith("B") else time_limit(text)
    assert (limit.column, limit.most) == (column, pytest.approx(most))


@pytest.mark.parametrize(
    "text", ["", "fast", "2x", "5", "-1ms", "0ms", "nanms", "2 x pixel", "5msx", "1e999s"]
)
def test_nonsense_is_refused_with_the_allowed_forms(text: str) -> None:
    with pytest.raises(ConfigError, match=r"max_time must be like 2x-pixel .* 5ms or 0\.5s"):
        recommend(results(runs(CLEAR)), "super-resolution", costs=PRICES, max_time=text)


@pytest.mark.parametrize("text", ["", "2", "2gigabytes", "0MB", "5ms", "2iB", "-2GB", "MB"])
def test_nonsense_memory_is_refused_with_the_allowed_forms(text: str) -> None:
    with pytest.raises(ConfigError, match="max_memory must be like 500MB, 2GB"):
        recommend(results(runs(CLEAR)), "super-resolution", costs=PRICES, max_memory=text)


def test_limits_shut_out_what_costs_more() -> None:
    made = recommend(results(runs(CLEAR)), "super-resolution", costs=PRICES, max_time="1.5x-pixel")
    assert names(made) == [B, D]
    assert {item.name: item.why for item in made.excluded} == {
        A: "costs 3.00x-pixel, above 1.5x-pixel",
        C: "costs 6.00x-pixel, above 1.5x-pixel",
    }
    assert any(
        text.startswith(f"without the limits {A} would have the best average rank: psnr 0.9")
        for text in made.warnings
    )
    assert made.rows[0].cost.step_ratio == 1.5
    assert made.rows[0].quality[0].rank == 1.0
    both = recommend(
        results(runs(CLEAR)), "super-resolution", costs=PRICES, max_time="5ms", max_memory="200MB"
    )
    assert names(both) == [B, D]
    assert both.limits == ("5ms", "200MB")


def test_a_single_loss_within_the_limits_is_named_with_low_confidence() -> None:
    made = recommend(results(runs(CLEAR)), "super-resolution", costs=PRICES, max_memory="50MB")
    assert names(made) == [D]
    assert (made.confidence, made.confidence_why) == ("low", "a single loss is within the limits")
    assert made.rows[0].reason.startswith("the only loss within the limits")


def test_where_nothing_fits_the_cheapest_is_named_and_what_would_admit_it() -> None:
    made = recommend(
        results(runs(CLEAR)), "super-resolution", costs=PRICES, max_time="0.05ms", max_memory="1MB"
    )
    assert made.refused is not None
    assert made.refused.why == (
        "no loss is within the limits: the cheapest loss, pixel:mse, costs 0.100ms, above 0.05ms; "
        "the cheapest loss, pixel:mse, costs 10MB, above 1MB."
    )
    assert made.refused.settle == "0.1ms would admit pixel:mse; 10MB would admit pixel:mse."


def test_losses_of_unknown_cost_are_listed_with_the_command_that_measures_it() -> None:
    partly = costs({A: 3.0, D: 1.0})
    made = recommend(results(runs(CLEAR)), "super-resolution", costs=partly, max_time="4x-pixel")
    assert names(made) == [A, D]
    why = {item.name: item.why for item in made.excluded}
    assert why[B] == (
        f"its cost is not known; measure it: lossnets profile --loss '{B}' --task super-resolution"
    )
    nothing = recommend(results(runs(CLEAR)), "super-resolution", costs=NONE, max_time="4x-pixel")
    assert nothing.refused is not None
    assert "the cost that 4x-pixel is about is not known of any loss" in nothing.refused.why
    assert "lossnets profile --loss 'alexnet/features.1' --task super-resolution" in nothing.refused.settle


def test_similarity_has_no_training_step_to_limit() -> None:
    with pytest.raises(
        ConfigError, match="'similarity' has none that can be measured; limit the time of the loss alone"
    ):
        recommend(shipped_results(), "similarity", max_time="2x-pixel")


def test_without_costs_there_is_advice_and_no_made_up_number() -> None:
    made = recommend(results(runs(CLEAR)), "super-resolution", costs=NONE)
    assert made.cheapest is None
    cost = made.rows[0].cost
    assert (cost.step_ratio, cost.ms_per_image, cost.memory, cost.side) == (None, None, None, None)


# The answer as data, and as Python


def test_the_whole_answer_is_json() -> None:
    made = recommend(results(runs(CLEAR)), "super-resolution", costs=PRICES)
    text = json.dumps(made.to_dict(), allow_nan=False)
    content = json.loads(text)
    assert content["rows"][0]["loss"] == A
    assert content["rows"][0]["quality"][0]["unit"] == "dB"
    assert content["rows"][0]["cost"]["source"] == "profile.json"
    assert content["evidence"][0]["fingerprint"] == "d1"
    assert content["refused"] is None
    assert set(content["rules"]) == {"high", "medium", "low"}
    assert made.frame.loss.tolist() == names(made)
    assert made.frame.step_ratio.tolist() == [3.0, 1.0, 1.5, 6.0] or made.frame.step_ratio.notna().all()


RUNNABLE = (
    "efficientnet_lite0/blocks.0",
    "squeezenet1_1/features.3:weights=random-0",
    "efficientnet_lite0/bn1:unit-spatial-sum",
    "pixel:mse",
    "pixel:bce",
    "pixel:ssim",
)


@pytest.mark.parametrize("task", ["super-resolution", "delineation", "autoencoding", "similarity"])
@pytest.mark.parametrize("loss", RUNNABLE)
def test_the_lines_of_python_are_three_and_run(task: str, loss: str) -> None:
    lines = python_lines(loss, task)
    assert len(lines) == 3
    assert lines[0].startswith("import lossnets")
    assert weights_ready(loss)
    output, logits = (
        torch.rand(2, 3, 32, 32, requires_grad=True),
        torch.randn(2, 1, 32, 32, requires_grad=True),
    )
    space: dict[str, Any] = {
        "output": output, "target": torch.rand(2, 3, 32, 32),
        "logits": logits, "mask": (torch.rand(2, 1, 32, 32) > 0.5).float(),
    }  # fmt: skip
    exec("\n".join(lines), space)
    if task == "similarity":
        assert space["distances"].shape == (2,)
        return
    space["value"].backward()
    leaf = logits if task == "delineation" else output
    assert leaf.grad is not None
    assert float(leaf.grad.abs().sum()) > 0


def test_lines_of_delineation_compute_what_the_benchmark_minimises() -> None:
    from lossnets.benchmarks.delineation.objective import objective
    from lossnets.losses import load_loss

    logits, mask = torch.randn(2, 1, 32, 32), (torch.rand(2, 1, 32, 32) > 0.5).float()
    for name in ("efficientnet_lite0/blocks.0", "pixel:bce", "pixel:mse"):
        space: dict[str, Any] = {"logits": logits, "mask": mask}
        exec("\n".join(python_lines(name, "delineation")), space)
        term = None if name == "pixel:bce" else load_loss(name)
        wanted = objective([logits], mask, term, 0.01)["loss"]
        assert float(space["value"]) == pytest.approx(float(wanted), rel=1e-5)


def test_every_loss_that_is_ready_in_the_shipped_advice_runs() -> None:
    ran: set[str] = set()
    for task in ("super-resolution", "delineation", "autoencoding", "similarity"):
        for row in recommend(shipped_results(), task).rows:
            if row.ready and row.loss not in ran:
                space = {
                    "output": torch.rand(1, 3, 64, 64), "target": torch.rand(1, 3, 64, 64),
                    "logits": torch.rand(1, 1, 64, 64), "mask": torch.ones(1, 1, 64, 64),
                }  # fmt: skip
                exec("\n".join(row.python), space)
                ran.add(row.loss)
            if not row.ready:
                assert row.weights
    assert len(ran) > 2


def test_where_weights_come_from() -> None:
    signature = "vgg16/relu3_3|weights:file:sha256:0123456789abcdef|mean:0.5|numerics:1"
    told = weights_origin("vgg16/relu3_3:weights=data/x.safetensors", signature)
    assert told.startswith("data/x.safetensors, a file of whoever made the results, sha256 0123456789abcdef")
    assert not weights_ready("vgg16/relu3_3:weights=data/x.safetensors")
    assert "lossnets weights fetch vgg16" in weights_origin("vgg16/relu3_3")
    assert not weights_ready("vgg16/relu3_3")  # nothing is downloaded in tests
    assert "installed with lossnets" in weights_origin("efficientnet_lite0/bn1")
    assert "cannot be built here" in weights_origin("mine/layer")
    assert "in no file" in weights_origin("vgg16/relu3_3:weights=custom")


def test_shipped_results_are_answered_for_every_task() -> None:
    for task in ("super-resolution", "delineation", "autoencoding", "similarity"):
        made = recommend(shipped_results(), task)
        assert made.source == "the results that ship with lossnets"
        assert (made.refused is None) == bool(made.rows)
        for row in made.rows:
            assert row.cost.source
            assert row.cost.ms_per_image is not None
            assert not math.isnan(row.average_rank)
