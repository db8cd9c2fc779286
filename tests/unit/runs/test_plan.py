"""A plan is checked to the last key before anything runs, and each error says where and what instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lossnets.errors import ConfigError, UnknownNameError
from lossnets.runs.plan import Plan, parse_plan, read_plan

GOOD = """\
name: test
losses:
  - pixel:mse
  - pixel:l1
benchmarks:
  - benchmark: similarity
    data: sample
seeds: [0, 1]
profile: smoke
"""


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_plan_is_read_as_it_is_written() -> None:
    plan = parse_plan(GOOD)
    assert plan.losses == ("pixel:mse", "pixel:l1")
    entry = plan.entries[0]
    assert (plan.name, entry.seeds, entry.profile, entry.variants) == ("test", (0, 1), "smoke", ("baseline",))
    assert [str(choice) for choice in plan.benchmarks] == ["similarity-sample()"]
    assert plan.store is None


def test_runs_are_the_product_of_everything() -> None:
    runs = parse_plan(GOOD).runs()
    assert [(run.loss, run.seed) for run in runs] == [
        ("pixel:mse", 0), ("pixel:l1", 0), ("pixel:mse", 1), ("pixel:l1", 1)
    ]  # fmt: skip
    assert str(runs[0]) == "pixel:mse on similarity-sample() (smoke, baseline, seed 0)"


OWN = """\
name: test
losses: [pixel:mse, pixel:l1]
benchmarks:
  - benchmark: similarity-sample
    losses: pixel:ssim
    seeds: [5, 6]
    profile: smoke
  - benchmark: delineation-sample
    losses: [pixel:bce, pixel:mse]
  - benchmark: super-resolution
    data: sample
    options: {scale: 8}
profile: small
"""


def test_a_benchmark_may_have_losses_seeds_and_a_profile_of_its_own() -> None:
    plan = parse_plan(OWN)
    assert [(e.losses, e.seeds, e.profile) for e in plan.entries] == [
        (("pixel:ssim",), (5, 6), "smoke"),
        (("pixel:bce", "pixel:mse"), (0,), "small"),
        (("pixel:mse", "pixel:l1"), (0,), "small"),
    ]
    assert plan.losses == ("pixel:ssim", "pixel:bce", "pixel:mse", "pixel:l1")
    assert [run.loss for run in plan.runs()] == [
        "pixel:ssim", "pixel:ssim", "pixel:bce", "pixel:mse", "pixel:mse", "pixel:l1"
    ]  # fmt: skip
    assert [entry.benchmark.trains for entry in plan.entries] == [False, True, True]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "losses: pixel:ssim",
            "losses: pixel:sim",
            r"plan, line 5, benchmarks\[0\].losses\[0\]: pixel loss 'sim'",
        ),
        ("[5, 6]", "[5, 5]", r"line 6, benchmarks\[0\].seeds\[1\]: 5 stands twice"),
        ("[pixel:bce, pixel:mse]", "[pixel:bce, pixel:bce]", r"line 9, .*pixel:bce' again"),
        ("    profile: smoke\n", "    profile: tiny\n", "must be 'paper', 'small' or 'smoke'; got 'tiny'"),
        (
            "profile: small\n",
            "profile: paper\n",
            "profile of 'delineation-sample' must be one of small, smoke",
        ),
        ("{scale: 8}", "{scales: 8}", "setting of benchmark 'super-resolution-sample'.*scale"),
    ],
)
def test_errors_in_a_benchmarks_own_settings(old: str, new: str, message: str) -> None:
    assert old in OWN
    with pytest.raises(ConfigError, match=message):
        parse_plan(OWN.replace(old, new))


def test_places_may_have_names(tmp_path: Path) -> None:
    text = (
        "name: a\nlosses: pixel:mse\nbenchmarks:\n  benchmark: super-resolution\n"
        "  data: {kind: folders, train: photos, test: {set5: five, mine: other}}\n"
    )
    choice = parse_plan(text, folder=tmp_path).benchmarks[0]
    assert choice.options == {
        "train": str(tmp_path / "photos"),
        "test": {"set5": str(tmp_path / "five"), "mine": str(tmp_path / "other")},
    }
    assert choice.settings == {}


def test_one_item_needs_no_list() -> None:
    plan = parse_plan("name: a\nlosses: pixel:mse\nbenchmarks: similarity-sample\nseeds: 3\nprofile: smoke\n")
    assert (plan.losses, plan.entries[0].seeds, len(plan.benchmarks)) == (("pixel:mse",), (3,), 1)


def test_shorthands_are_expanded() -> None:
    plan = parse_plan(changed("  - pixel:l1\n", "  - vgg16/*points\n  - vgg16/all-points:sort\n"))
    assert plan.losses == (
        "pixel:mse",
        "vgg16/relu1_2",
        "vgg16/relu2_2",
        "vgg16/relu3_3",
        "vgg16/relu5_3",
        "vgg16/relu1_2,relu2_2,relu3_3,relu5_3:sort",
    )


def test_losses_get_their_canonical_names() -> None:
    assert parse_plan(changed("pixel:l1", "vgg16/features.15")).losses[1] == "vgg16/relu3_3"


def test_paths_start_at_the_folder_of_the_plan(tmp_path: Path) -> None:
    text = (
        changed("data: sample", "data: {kind: triplets, csv: votes.csv, images: /abs}")
        + "store: out/r.sqlite\n"
    )
    (tmp_path / "plan.yaml").write_text(text)
    plan = read_plan(tmp_path / "plan.yaml")
    assert plan.store == str(tmp_path / "out/r.sqlite")
    choice = plan.benchmarks[0]
    assert choice.options == {"csv": str(tmp_path / "votes.csv"), "images": "/abs"}
    assert choice.settings == {}  # where data lie is not what they are


def test_a_store_url_is_kept() -> None:
    assert parse_plan(GOOD + "store: postgresql://me@host/db\n").store == "postgresql://me@host/db"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "profle: smoke\n", "line 10, profle: key 'profle' is not known. Did you mean 'profile'?"),
        (changed("data:", "dta:"), "line 7, benchmarks[0].dta: key 'dta' is not known. Did you mean 'data'?"),
        (changed("name: test\n", ""), "plan: key 'name' is missing. Keys: name, losses, benchmarks"),
        (changed("smoke", "tiny"), "line 9, profile: must be 'paper', 'small' or 'smoke'; got 'tiny'"),
        (changed("[0, 1]", "[0, x]"), "line 8, seeds[1]: must be a valid integer; got 'x'"),
        (changed("[0, 1]", "[-1]"), "line 8, seeds[0]: must be greater than or equal to 0; got -1"),
        (changed("[0, 1]", "[]"), "line 8, seeds: must have at least 1 item"),
        (changed("[0, 1]", "[2, 2]"), "line 8, seeds[1]: 2 stands twice"),
        (changed("seeds", "variants: [baseline, linn]\nseeds"), "line 8, variants[1]: must be 'baseline'"),
        (changed("  - pixel:mse\n  - pixel:l1\n", "  []\n"), "losses: must have at least 1 item"),
        (changed("pixel:l1", "pixel:mse"), "line 4, losses[1]: 'pixel:mse' names the loss 'pixel:mse'"),
        (changed("pixel:l1", "pixel:lll1"), "line 4, losses[1]: pixel loss 'lll1' is not known. Did"),
        (changed("pixel:l1", "vgg-16/relu3_3"), "Did you mean 'vgg16'"),
        (changed("pixel:l1", "vgg16/relu3_9"), "line 4, losses[1]: "),
        (changed("pixel:l1", "vgg16/*point"), "shorthand '*point' is not known. Did you mean '*points'"),
        (changed("pixel:l1", "resnet34/*points"), "no study points of 'resnet34'"),
        (changed("similarity", "similarty"), "benchmark 'similarty' is not known. Did you mean 'similarity'"),
        (changed("sample", "sampel"), "'sampel' is not known. Did you mean 'sample'"),
        (changed("    data: sample\n", ""), "benchmark 'similarity' needs data, one of the kinds"),
        (changed("sample", "{kind: triplets}"), "benchmark 'similarity-triplets' needs csv"),
        (changed("sample", "{kind: triplets, cvs: a}"), "'cvs' is not known. Did you mean 'csv'"),
        (changed("sample", "{kind: triplets, csv: 3}"), "'csv' must be a path; got 3"),
        (changed("smoke", "paper"), "profile of 'similarity-sample' must be one of small, smoke; got"),
        (changed("sample\n", "sample\n  - similarity-sample\n"), "similarity-sample() stands twice"),
        ("name: [\n", "line 2: this is not YAML"),
        ("- a\n", "must hold keys and values"),
        ("", "must hold keys and values"),
        (GOOD + "more: &m [*m]\n", "line 10: this holds itself by way of an alias"),
        (GOOD + "more: 2024-13-45\n", "holds a value that is none: month must be in 1..12"),
        (GOOD + f"more: {'[' * 3000}\n", "is nested too deeply"),
        (GOOD + "name: again\n", "line 10: key 'name' stands already in line 1"),
        (changed("name: test", "name: 3"), "line 1, name: must be a valid string; got 3"),
    ],
)  # fmt: skip
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_plan(text)
    assert message in str(caught.value)


def test_an_unknown_name_stays_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError):
        parse_plan(changed("pixel:l1", "vgg-16/relu3_3"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no file"),
        (lambda path: path.mkdir(), "cannot read"),
        (lambda path: path.write_bytes(b"name: \xff\xfe"), "must be UTF-8 text"),
    ],
    ids=["missing", "folder", "not text"],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "plan.yaml"
    make(path)
    with pytest.raises(ConfigError, match=message) as caught:
        read_plan(path)
    assert str(path) in str(caught.value)


def test_a_plan_runs_no_run_twice(plan: Callable[..., Plan]) -> None:
    runs = plan().runs()
    assert len(set(runs)) == len(runs) == 6
