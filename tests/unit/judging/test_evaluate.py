"""The whole judgement, small: parts, files, resuming, failures, what is judged and on what."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lossnets.errors import ConfigError, ImageError, UnknownNameError, WeightsError
from lossnets.gradients import PerceptualGradientNetwork, PGNLoss
from lossnets.gradients.checkpoint import Card, save_pgn
from lossnets.images import write_image
from lossnets.judging import campaign, parts
from lossnets.judging.case import cut_points, find_crops, make_case
from lossnets.judging.evaluate import _seen, evaluate_pgn
from lossnets.judging.evaluation import Evaluation, read_evaluation
from lossnets.judging.judged import Crops, load_judged, read_crops
from lossnets.judging.plans import PLANS, Plan, plan_of
from lossnets.losses import load_loss

from .handmade import RATIOS, cost_of
from .small import images, pgn_of, true_loss

LOSS = "squeezenet1_1/features.1,features.3:l1:weights=random-0"
TINY: dict[str, Any] = {
    "profile": "smoke", "generators": ("deep-decoder",), "steps": 2, "fidelity_steps": 1,
    "stability_steps": 2, "check": 1, "decoder_steps": 2, "fit_steps": 1, "refine_steps": 1,
    "cost_side": 32, "cost_rounds": 1, "resamples": 20,
}  # fmt: skip


def checkpoint(folder: Path, loss: str = LOSS) -> Path:
    network = PerceptualGradientNetwork("shuffled", width=4, blocks=1).eval()
    signature = load_loss(loss).signature()
    return save_pgn(folder / "mine.safetensors", network, Card("mine", loss, signature, network.architecture))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("judging")
    (place / "photos" / "deep").mkdir(parents=True)
    for k in range(6):
        write_image(place / "photos" / "deep" / f"{k}.png", images(1, 40, seed=k)[0])
    write_image(place / "photos" / "small.png", images(1, 16)[0])
    (place / "photos" / "broken.png").write_bytes(b"no picture")
    checkpoint(place)
    return place


@pytest.fixture(scope="module")
def made(folder: Path) -> Evaluation:
    return evaluate_pgn(folder / "mine.safetensors", folder / "photos", out=folder / "out", **TINY)


def test_everything_is_made_and_written(made: Evaluation, folder: Path) -> None:
    out = folder / "out"
    names = {path.name for path in out.iterdir()}
    parts_kept = {f"{part}.jsonl" for part in ("cost", "effect", "fidelity", "stability", "inversion")}
    assert names == parts_kept | {"evaluation.json", "evaluation.html", "verdict.png"}
    assert made.problems == {}
    assert {r.key for r in made.effect.rivals} == {
        "true", "pgn", "pgn+mse", "mse", "l1", "cut-1", "half", "crop", "every-2",
    }  # fmt: skip
    assert {c.key for c in made.cost.costs} >= {"pgn-bf16", "true-bf16"}
    assert not any(c.error for c in made.cost.costs)
    assert made.fidelity is not None
    assert {row.driver for row in made.fidelity.rows} == {"true", "pgn", "mse"}
    assert made.stability is not None
    assert [row.rival for row in made.stability.rows()] == ["pgn", "pgn+mse"]
    assert made.inversion is not None
    assert {r.key for r in made.inversion.rivals} == {"true", "pgn", "mse", "cut-1"}
    record = json.loads((out / "evaluation.json").read_text())
    assert record["verdict"]["sentence"] == made.verdict().sentence
    assert read_evaluation(out / "evaluation.json").as_dict() == record
    assert "Is mine worth using?" in (out / "evaluation.html").read_text()


def test_it_says_what_was_judged_on_what(made: Evaluation) -> None:
    about = made.about
    assert about["true"] == str(load_loss(LOSS))
    assert about["names"] == [name for name in about["names"] if name.startswith("deep/")]
    assert len(about["names"]) == 2
    assert {name for name, _ in about["skipped"]} <= {"small.png", "broken.png"}
    assert about["training_images"] == len(about["training_names"]) == 4
    assert not set(about["training_names"]) & set(about["names"])
    assert made.card["name"] == "mine"
    assert about["parameters"] > 0
    assert about["trained_on"] is False


def test_images_of_the_training_are_told(folder: Path) -> None:
    network = PerceptualGradientNetwork("shuffled", width=4, blocks=1)
    data = {"folder": "photos", "images": 5, "held_out": 1, "skipped": 2}
    card = Card("mine", LOSS, "", network.architecture, data=data)
    assert _seen(card, folder / "photos")
    assert not _seen(card, folder / "photos" / "deep")
    assert not _seen(replace(card, data={**data, "images": 6}), folder / "photos")
    assert not _seen(card, images(1, 32))
    assert not _seen(None, folder / "photos")


def test_it_goes_on_where_it_was_stopped(
    made: Evaluation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: Any, **__: Any) -> Any:
        raise AssertionError("made again")

    monkeypatch.setattr(campaign, "fit_images", again)
    monkeypatch.setattr(parts, "measure_cost", again)
    monkeypatch.setattr("lossnets.judging.evaluate.write_results", lambda *_: [])
    found = evaluate_pgn(folder / "mine.safetensors", folder / "photos", out=folder / "out", **TINY)
    assert found.effect == made.effect
    assert found.cost == made.cost
    assert found.stability == made.stability
    assert found.inversion == made.inversion


def test_a_part_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    true = true_loss(reduction="none")

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("lossnets.judging.evaluate.judge_fidelity", fail)
    monkeypatch.setattr("lossnets.judging.evaluate.judge_cost", lambda _case: cost_of(RATIOS))
    found = evaluate_pgn(_knowing(true), images(5, 32), loss=true, **{**TINY, "cuts": 0, "every": ()})
    assert found.problems == {"fidelity": "RuntimeError: out of memory"}
    assert found.inversion is None  # 3 images are too few to train a decoder on
    assert any("were too few images to train them on" in text for text in found.verdict().reasons)
    assert found.stability is not None
    ours, theirs = ([f for f in found.effect.fits if f.rival == key] for key in ("pgn", "true"))
    for one, other in zip(ours, theirs, strict=True):  # this network knows the true gradient
        assert one.end.true == pytest.approx(other.end.true, rel=1e-3)


def test_few_images_leave_the_autoencoder_out(caplog: pytest.LogCaptureFixture) -> None:
    true = true_loss(reduction="none")
    judged = load_judged(_knowing(true), true)
    plan = plan_of("small", side=32)
    case = make_case(judged, true, plan, find_crops(images(6, 32), plan), None, "cpu", None)
    assert case.plan.generators == ("deep-decoder", "image-prior")
    assert case.training is None
    assert "no autoencoder is judged" in caplog.text
    assert len(case.images) == 3
    enough = make_case(judged, true, plan, find_crops(images(9, 32), plan), None, "cpu", None)
    assert (len(enough.images), enough.plan.generators[-1]) == (4, "autoencoder")
    assert enough.training is not None
    assert len(enough.training) == 5
    only = plan.with_options(generators=("autoencoder",))
    with pytest.raises(ConfigError, match="an autoencoder needs 4 images to train on"):
        make_case(judged, true, only, find_crops(images(3, 32), only), None, "cpu", None)


def _knowing(true: Any) -> PGNLoss:
    pgn = pgn_of(true)
    pgn.reduction = "none"
    return pgn


def test_crops(folder: Path) -> None:
    crops = read_crops(folder / "photos", side=32)
    assert crops.images.shape == (6, 3, 32, 32)
    assert {name for name, _ in crops.skipped} == {"small.png", "broken.png"}
    whole = dict(zip(crops.names, crops.images, strict=True))
    few = read_crops(folder / "photos", side=32, count=3)
    assert few.names == crops.names[:3]
    assert sorted(crops.names) != list(crops.names)  # not the order of the folder
    one = folder / "photos" / "deep" / "0.png"
    assert torch.equal(whole["deep/0.png"], read_crops(one, side=32).images[0])
    full = read_crops(one, side=40).images[0]
    assert torch.equal(whole["deep/0.png"], full[:, 4:36, 4:36])
    with pytest.raises(ImageError, match=r"no image of folder .* can be used; the first"):
        read_crops(folder / "photos", side=64)
    (folder / "empty").mkdir()
    with pytest.raises(ImageError, match="holds no image"):
        read_crops(folder / "empty", side=32)


def test_masks_and_edge_maps_are_no_photographs(tmp_path: Path) -> None:
    for part in ("images", "boundaries", "more"):
        (tmp_path / part).mkdir()
    for k in range(3):
        write_image(tmp_path / "images" / f"{k}.png", images(1, 32, seed=k)[0])
        edges = torch.randint(0, 6, (1, 32, 32), generator=torch.Generator().manual_seed(k)) / 5
        write_image(tmp_path / "boundaries" / f"{k}.png", edges.expand(3, -1, -1))
    write_image(tmp_path / "more" / "edges.png", edges.expand(3, -1, -1))
    crops = read_crops(tmp_path, side=32)
    assert sorted(crops.names) == ["images/0.png", "images/1.png", "images/2.png"]
    told = dict(crops.skipped)
    assert told.keys() == {"boundaries/", "more/edges.png"}
    assert told["boundaries/"] == "is a folder of masks or edge maps, by its name"
    assert "is a mask or edge map, no photograph" in told["more/edges.png"]
    with pytest.raises(ImageError, match=r"no image of folder .* can be used.*grey, of at most 16 levels"):
        read_crops(tmp_path / "boundaries", side=32)
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    (tmp_path / "more" / "edges.png").unlink()
    with pytest.raises(ImageError, match="holds no image: boundaries/ is a folder of masks"):
        read_crops(tmp_path, side=32)


def test_long_fits_have_images_and_a_side_of_their_own() -> None:
    true = true_loss(reduction="none")
    judged = load_judged(_knowing(true), true)
    pixels = images(7, 32)
    plan = plan_of("smoke", count=2, training=0, stability_images=6, stability_side=16)
    case = make_case(judged, true, plan, Crops(pixels, tuple("abcdefg")), None, "cpu", None)
    found, names = case.long_fits
    assert (len(case.images), names) == (2, tuple("abcdef"))
    assert torch.equal(found, pixels[:6, :, 8:24, 8:24])
    whole = plan.with_options(stability_side=0, stability_images=1)
    case = make_case(judged, true, whole, Crops(pixels, tuple("abcdefg")), None, "cpu", None)
    assert torch.equal(case.long_fits[0], pixels[:1])


def test_as_many_images_are_read_as_the_long_fits_want(folder: Path) -> None:
    few = plan_of("smoke", count=1, training=0, stability_images=2)
    assert len(find_crops(folder / "photos", few).images) == 2
    assert len(find_crops(folder / "photos", few.with_options(stability_images=5)).images) == 5


def test_fewer_long_fits_than_asked_for_are_told(made: Evaluation) -> None:
    asked = {**made.about["plan"], "stability_images": 24}
    found = replace(made, about={**made.about, "plan": asked})
    assert "Stability was tested on 2 images, not on 24: there are no more." in found.verdict().reasons
    assert not any("there are no more" in text for text in made.verdict().reasons)


@pytest.mark.parametrize("options", [{"side": 34}, {"stability_side": 10}])
def test_sides_that_do_not_fit_are_refused_first(options: dict[str, int], tmp_path: Path) -> None:
    true = true_loss(reduction="none")
    plan = {**TINY, "generators": ("image-prior",), **options}
    with pytest.raises(ConfigError, match="side must be a multiple of"):
        evaluate_pgn(_knowing(true), images(5, plan.get("side", 32)), loss=true, out=tmp_path, **plan)
    assert list(tmp_path.iterdir()) == []


def test_what_imitates_another_loss_is_refused(folder: Path) -> None:
    file = folder / "mine.safetensors"
    with pytest.raises(WeightsError, match="imitates another loss"):
        load_judged(file, "squeezenet1_1/features.3:l1:weights=random-0")
    assert load_judged(file, LOSS).true is not None
    assert load_judged(file).title == "mine"


def test_a_loss_that_cannot_be_had_is_asked_for(tmp_path: Path) -> None:
    network = PerceptualGradientNetwork("shuffled", width=4, blocks=1)
    card = Card("mine", "vgg16/relu1_1", "vgg16/relu1_1|x", network.architecture)
    save_pgn(tmp_path / "mine.safetensors", network, card)
    judged = load_judged(tmp_path / "mine.safetensors")
    assert judged.true is None
    with pytest.raises(WeightsError, match=r"(?s)'mine' imitates cannot be loaded: .*--loss NAME:weights="):
        judged.needed()
    with pytest.raises(ConfigError, match="loss must be given"):
        load_judged(PGNLoss(network))
    with pytest.raises(ConfigError, match="must have reduction='none'"):
        load_judged(PGNLoss(network), LOSS)


def test_plans() -> None:
    assert plan_of("full").stability_steps == 10_000
    assert plan_of("full").stability_images == 24
    assert set(PLANS) == {"smoke", "small", "full"}
    assert plan_of("small", seeds=5, side=None) == replace(Plan(), seeds=5)
    with pytest.raises(UnknownNameError, match="profile 'big' is not known"):
        plan_of("big")
    with pytest.raises(UnknownNameError, match="option of a judgement 'step' is not known"):
        plan_of("small", step=3)
    with pytest.raises(ConfigError, match="seeds must be a whole number, 1 or more; got 0"):
        plan_of("small", seeds=0)
    with pytest.raises(UnknownNameError, match="generator 'gan' is not known"):
        plan_of("small", generators=("gan",))
    listed = plan_of("small", generators=["image-prior"], every=[3], stability_side=32, learning_rate=1)
    assert (listed.generators, listed.every) == (("image-prior",), (3,))
    with pytest.raises(ConfigError, match=r"stability_side must be at most side, 64: .* got 65"):
        plan_of("small", stability_side=65)
    for bad in ((1,), (2, 2), 2, (2.5,)):
        with pytest.raises(ConfigError, match="every must be a list of periods"):
            plan_of("small", every=bad)
    for kinds in ((), ("image-prior", "image-prior"), "image-prior"):
        with pytest.raises(ConfigError, match="generators must be a list of at least one of deep-decoder"):
            plan_of("small", generators=kinds)
    for rate in (0.0, float("nan"), "fast"):
        with pytest.raises(ConfigError, match="learning_rate must be a positive number"):
            plan_of("small", learning_rate=rate)


@pytest.mark.parametrize(("taps", "most"), [(0, 6), (1, 6), (5, 6), (16, 6), (30, 1), (16, 0), (9, 3)])
def test_cuts(taps: int, most: int) -> None:
    found = cut_points(taps, most)
    assert len(found) == min(max(taps - 1, 0), most)
    assert list(found) == sorted(set(found))
    assert all(1 <= cut < taps for cut in found)
    assert not found or found[0] == 1


def test_logging_is_quiet(made: Evaluation) -> None:
    assert logging.getLogger("lossnets").level == logging.NOTSET
    assert made.about["device"] == "cpu"
