"""The similarity benchmarks: scores per split and overall, failures of single losses, profiles, registry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossnets.benchmarks import (
    OVERALL,
    POOLED,
    Benchmark,
    DistanceBank,
    Evaluation,
    ScoreKind,
    benchmark_class,
    benchmark_names,
    load_benchmark,
    register_benchmark,
)
from lossnets.benchmarks.similarity import Bapps2AFC, BappsJND, Opinions, SeverityAgreement, Triplets
from lossnets.benchmarks.similarity.base import SIZES
from lossnets.errors import ConfigError, DataError, ImageError, UnknownNameError

from .standins import PixelBank

GREYS = {"r": 0, "near": 10, "far": 200}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, value in GREYS.items():
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / f"{name}.png")
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / f"{name}2.png")
    return tmp_path


def triplets(folder: Path, rows: str) -> Path:
    path = folder / "t.csv"
    path.write_text("ref,a,b,votes_a,votes_b,split\n" + rows)
    return path


ROWS = (
    "r.png,near.png,far.png,4,1,one\n"  # 0.8 agree with the distance
    "r2.png,far.png,near.png,4,0,one\n"  # nobody does
    "r.png,far.png,near.png,0,5,two\n"  # all do
    "r2.png,near.png,far.png,2,2,two\n"  # evenly split
    "r.png,near.png,near2.png,1,3,two\n"  # equal distances
)


def scores_of(evaluation) -> dict[tuple[str, str], float]:
    assert isinstance(evaluation, Evaluation), evaluation
    return {(s.name, s.split): s.value for s in evaluation.scores}


def test_2afc_known_answers_per_split_mean_and_pooled(folder):
    benchmark = Triplets(triplets(folder, ROWS), split="split", resize=None)
    result = benchmark.evaluate_many(PixelBank("mse"), profile="paper")["mse"]
    one, two, pooled = (0.8 + 0) / 2, (1 + 0.5 + 0.5) / 3, (0.8 + 0 + 1 + 0.5 + 0.5) / 5
    assert scores_of(result) == pytest.approx(
        {
            ("2afc_score", OVERALL): (one + two) / 2,
            ("2afc_score", POOLED): pooled,
            ("2afc_score", "one"): one,
            ("2afc_score", "two"): two,
            ("2afc_accuracy", OVERALL): (1 / 2 + 1.5 / 2) / 2,
            ("2afc_accuracy", POOLED): 2.5 / 4,
            ("2afc_accuracy", "one"): 1 / 2,
            ("2afc_accuracy", "two"): 1.5 / 2,
        }
    )
    by_key = {(s.name, s.split): s for s in result.scores}
    assert result.scores[0] is by_key["2afc_score", OVERALL]
    assert by_key["2afc_accuracy", "two"].n == 2
    assert "1 of 3 items left out: votes split evenly" in by_key["2afc_accuracy", "two"].note
    assert by_key["2afc_accuracy", "one"].n == 2
    assert by_key["2afc_accuracy", "one"].note == ""
    assert all(s.higher_is_better and s.unit == "fraction" for s in result.scores)


def test_items_allow_to_compute_the_scores_again(folder):
    benchmark = Triplets(triplets(folder, ROWS), split="split", resize=None)
    items = benchmark.evaluate_many(PixelBank("mse"))["mse"].items
    assert {k: len(v) for k, v in items.items()} == dict.fromkeys(
        ("ref", "p0", "p1", "split", "judge", "d0", "d1"), 5
    )
    assert items["d0"][0] == pytest.approx((10 / 255) ** 2, rel=1e-5)
    assert items["p1"][0] == "far.png"
    assert items["judge"].tolist() == pytest.approx([0.2, 0, 1, 0.5, 0.75])


def test_one_split_has_one_row_per_score(folder):
    benchmark = Triplets(triplets(folder, ROWS), resize=None)
    result = benchmark.evaluate_many(PixelBank("mse"))["mse"]
    assert [(s.name, s.split) for s in result.scores] == [("2afc_score", OVERALL), ("2afc_accuracy", OVERALL)]
    assert all(s.low <= s.value <= s.high for s in result.scores)
    assert result.facts["kind"] == "human judgement"
    assert result.facts["fingerprint"] == benchmark.data_fingerprint("small")


def test_several_losses_come_in_order_and_a_nan_fails_alone(folder):
    benchmark = Triplets(triplets(folder, ROWS), resize=None)
    results = benchmark.evaluate_many(PixelBank("mse", "nan", "constant"))
    assert list(results) == ["mse", "nan", "constant"]
    assert isinstance(results["nan"], DataError)
    assert (
        "loss 'nan' gave a distance that is not finite for 5 of 5 items (r.png | near.png | far.png"
        in str(results["nan"])
    )
    assert scores_of(results["constant"])["2afc_score", OVERALL] == 0.5
    with pytest.raises(DataError, match="loss 'nan'"):
        benchmark.run_many(PixelBank("mse", "nan"))
    assert benchmark.run_many(PixelBank("mse", "l1"))["l1"][0].value == pytest.approx(0.56)


def test_the_same_seed_gives_the_same_scores_and_intervals(folder):
    benchmark = Triplets(triplets(folder, ROWS), resize=None)
    one, same, other = (benchmark.run_many(PixelBank(), s) for s in (0, 0, 1))
    assert one == same
    assert one["mse"][0].value == other["mse"][0].value


def test_a_loss_that_refuses_the_images_does_not_stop_the_others(folder):
    pytest.importorskip("lossnets.losses")
    benchmark = Triplets(triplets(folder, ROWS), resize=None)
    small = "squeezenet1_1/features.12:weights=random-0"  # needs more than 8x8 pixels
    results = benchmark.evaluate_many(["pixel:mse", small, "pixel:l1"])
    assert isinstance(results["pixel:mse"], Evaluation)
    assert isinstance(results["pixel:l1"], Evaluation)
    assert isinstance(results[small], ImageError)
    alone = benchmark.evaluate_many([small])
    assert isinstance(alone[small], ImageError)


def test_a_ready_bank_whose_pass_breaks_raises(folder):
    class Broken(PixelBank):
        def distances(self, images, target):
            raise ImageError("too small")

    with pytest.raises(ImageError, match="too small"):
        Triplets(triplets(folder, ROWS)).evaluate_many(Broken())


@pytest.mark.parametrize(("higher", "sign"), [(True, 1), (False, -1)])
def test_opinion_correlations_have_the_sign_of_agreement(folder, higher, sign):
    (folder / "o.csv").write_text("ref,dist,mos\nr.png,near.png,5\nr.png,far.png,1\nr2.png,r.png,6\n")
    benchmark = Opinions(folder / "o.csv", higher_is_better=higher, resize=None)
    result = scores_of(benchmark.evaluate_many(PixelBank("mse"))["mse"])
    assert result["spearman", OVERALL] == pytest.approx(sign)
    assert result["kendall", OVERALL] == pytest.approx(sign)
    assert sign * result["pearson", OVERALL] > 0.9


def test_a_constant_loss_on_opinions_is_undefined_with_a_reason(folder):
    (folder / "o.csv").write_text("ref,dist,mos\nr.png,near.png,5\nr2.png,far.png,1\n")
    benchmark = Opinions(folder / "o.csv", higher_is_better=True, resize=None)
    for score in benchmark.run_many(PixelBank("constant"))["constant"]:
        assert np.isnan([score.value, score.low, score.high]).all()
        assert "not defined" in score.note


def make_bapps(root: Path, jnd: bool) -> Path:
    rng = np.random.default_rng(0)
    for split in ("cnn", "traditional"):
        folder = root / ("jnd" if jnd else "2afc") / "val" / split
        for part in ("p0", "p1") if jnd else ("ref", "p0", "p1"):
            (folder / part).mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                if jnd and part == "p1" and i < 2:
                    pixels = np.asarray(Image.open(folder / "p0" / f"{i:06d}.png"))
                Image.fromarray(pixels).save(folder / part / f"{i:06d}.png")
        label = folder / ("same" if jnd else "judge")
        label.mkdir()
        for i in range(4):
            np.save(label / f"{i:06d}.npy", np.array([float(i < 2)]))
    return root


def test_jnd_map_is_one_when_the_same_pairs_are_equal(tmp_path):
    result = scores_of(BappsJND(make_bapps(tmp_path, True)).evaluate_many(PixelBank("mse"))["mse"])
    splits = (OVERALL, POOLED, "traditional", "cnn")
    assert result == pytest.approx({("jnd_map", s): 1.0 for s in splits})


def test_bapps_is_evaluated_at_64_and_missing_data_say_how_to_get_them(tmp_path):
    benchmark = Bapps2AFC(make_bapps(tmp_path / "b", False), splits=["cnn"])
    benchmark.prepare()
    result = benchmark.evaluate_many(PixelBank("mse"))["mse"]
    assert result.facts["resize"] == 64
    with pytest.raises(DataError, match="download_dataset"):
        Bapps2AFC(tmp_path / "none").prepare()


def test_severity_agreement_is_never_called_human():
    benchmark = SeverityAgreement()
    assert benchmark.profiles == ("small", "smoke")
    result = benchmark.evaluate_many(PixelBank("mse", "constant"), profile="smoke")
    assert {s.name for s in result["mse"].scores} == {"severity_agreement"}
    assert all("not human judgement" in s.note for s in result["mse"].scores)
    assert result["mse"].facts["kind"] == "severity agreement"
    of_mse = scores_of(result["mse"])
    assert min(of_mse["severity_agreement", name] for name in ("jpeg", "gaussian_blur", "colour")) == 1.0
    assert of_mse["severity_agreement", "bicubic+moved"] < 1.0  # the misaligned pairs fool pixel losses
    assert scores_of(result["constant"])["severity_agreement", OVERALL] == 0.5
    with pytest.raises(
        ConfigError, match=r"profile of 'similarity-sample' must be one of small, smoke; got 'paper'"
    ):
        benchmark.run_many(PixelBank(), profile="paper")
    with pytest.raises(UnknownNameError, match="variant of 'similarity-sample'"):
        benchmark.evaluate_variant(["pixel:mse"], variant="lin")


def test_profiles_choose_size_and_number(folder):
    rows = "".join(f"r.png,near.png,far.png,{i + 1},1,s\n" for i in range(40))
    benchmark = Triplets(triplets(folder, rows))
    assert [len(benchmark.load(p)) for p in ("paper", "small", "smoke")] == [40, 40, SIZES["smoke"].per_split]
    assert [benchmark.load(p).resize for p in ("paper", "small", "smoke")] == [None, 224, 64]
    assert benchmark.load("smoke", 0).items != benchmark.load("smoke", 1).items
    assert benchmark.data_fingerprint("paper") != benchmark.data_fingerprint("smoke")
    assert Triplets(triplets(folder, rows), resize=32).load("smoke").resize == 32
    with pytest.raises(ConfigError, match="resize must be"):
        Triplets(triplets(folder, rows), resize="big")


def test_the_registry_makes_benchmarks_and_refuses_what_does_not_fit(folder):
    assert set(benchmark_names()) >= {
        "similarity-bapps-2afc", "similarity-bapps-jnd", "similarity-triplets", "similarity-opinions",
        "similarity-sample",
    }  # fmt: skip
    assert benchmark_class("similarity-triplets") is Triplets
    made = load_benchmark("similarity-triplets", csv=triplets(folder, ROWS), resize=None)
    assert isinstance(made, Triplets)
    with pytest.raises(UnknownNameError, match="Did you mean 'similarity-triplets'"):
        load_benchmark("similarity-triplet")
    with pytest.raises(UnknownNameError, match=r"option of benchmark 'similarity-triplets' 'cvs'.*'csv'"):
        load_benchmark("similarity-triplets", cvs="x")
    with pytest.raises(ConfigError, match=r"needs the option\(s\) \['higher_is_better'\]"):
        load_benchmark("similarity-opinions", csv="x")


def test_registering_needs_facts_and_a_free_name():
    with pytest.raises(ConfigError, match="must state 'name'"):
        register_benchmark(type("Nameless", (), {}))
    facts = {"data": "d", "scores": (ScoreKind("s", "fraction", True, "S."),), "profiles": ("small",)}
    with pytest.raises(ConfigError, match="scores must be ScoreKinds"):
        register_benchmark(type("Plain", (), {"name": "plain", **facts, "scores": ("s",)}))
    with pytest.raises(ConfigError, match="is taken by Triplets"):
        register_benchmark(type("Second", (), {"name": "similarity-triplets", **facts}))
    with pytest.raises(ConfigError, match="may hold"):
        register_benchmark(type("Odd", (), {"name": "odd", **facts, "profiles": ("huge",)}))
    assert "odd" not in benchmark_names()


def test_protocols_fit():
    assert isinstance(PixelBank(), DistanceBank)
    assert not isinstance(["pixel:mse"], DistanceBank)
    made: Benchmark = SeverityAgreement()
    assert made.name == "similarity-sample"


@pytest.mark.shared
def test_real_judgements_with_pixel_losses(shared_data):
    folder = shared_data / "human_judgements"
    triplet = Triplets(
        folder / "material_similarity" / "triplets_test.csv", drop="index_uncertain", resize=32
    )
    score, accuracy = triplet.run_many(PixelBank("mse"), profile="paper")["mse"]
    assert (score.n, accuracy.n) == (2820, 2820 - 251)
    assert 0.58 < score.low < score.value < score.high < 0.68
    opinion = Opinions(folder / "kadid_subset" / "scores.csv", higher_is_better=True, resize=96)
    spearman = opinion.run_many(PixelBank("mse"), profile="smoke")["mse"][0]
    assert (spearman.name, spearman.n) == ("spearman", 24)
    assert spearman.low < spearman.value < spearman.high
