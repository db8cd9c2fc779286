"""Fits: the loop against plain PyTorch, equal starts, independence, divergence, autoencoders, the ledger."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lossnets.errors import ConfigError, DataError, ImageError, UnknownNameError
from lossnets.generators import make_population
from lossnets.images.quality import psnr, ssim
from lossnets.judging import Fit, FitSettings, Ledger, Point, Rival, RivalRecord, fit_images, make_rivals
from lossnets.judging.fits import Judge, Watch

from .small import SETTINGS, images, true_loss

TRUE = true_loss(reduction="sum")  # what the caller reduces by does not matter
Y = images(3, 16)
RIVALS = {r.key: r for r in make_rivals(TRUE, None, Y, only=["true", "mse", "crop"])}
SHORT = FitSettings(steps=6, points=3, generators=SETTINGS)


def own_rival(field: object) -> Rival:
    record = RivalRecord("own", "j", "own", "", "", plain=False, period=1, smallest=1, signature="own")
    return Rival(record, lambda targets, seed: field)  # type: ignore[arg-type, return-value]


def test_loop_is_plain_adam_on_the_generators() -> None:
    fits = fit_images("deep-decoder", RIVALS["mse"], TRUE, Y, seed=4, settings=SHORT, names="abc")
    population = make_population("deep-decoder", 3, 16, seed=4, **SETTINGS["deep-decoder"])
    optimiser = torch.optim.Adam(population.parameters(), 0.01)
    for _ in range(6):
        optimiser.zero_grad()
        (population() - Y).square().mean((1, 2, 3)).sum().backward()
        optimiser.step()
    with torch.no_grad():
        end = population()
        true = true_loss(reduction="none")(end, Y)
    assert [fit.image for fit in fits] == ["a", "b", "c"]
    for k, fit in enumerate(fits):
        assert fit.end.step == fit.steps == 6
        assert fit.end.true == pytest.approx(float(true[k]), rel=1e-3)
        assert fit.end.l1 == pytest.approx(float((end - Y)[k].abs().mean()), rel=1e-3)
        assert fit.end.psnr == pytest.approx(float(psnr(end, Y)[k]), rel=1e-3)
        assert fit.end.ssim == pytest.approx(float(ssim(end, Y)[k]), rel=1e-3, abs=1e-4)
    assert not fits[0].diverged
    assert fits[0].plateau_at is None


@pytest.mark.parametrize("kind", ["deep-decoder", "image-prior", "autoencoder"])
def test_rivals_start_equal_and_reduce_what_they_drive(kind: str) -> None:
    settings = FitSettings(steps=8, points=2, generators=SETTINGS, batch=2, learning_rate=0.03)
    true, mse = (
        fit_images(kind, RIVALS[key], TRUE, Y, settings=settings, training=images(5, 16, seed=9))
        for key in ("true", "mse")
    )
    assert [fit.start for fit in true] == [fit.start for fit in mse]
    assert true[0].end != mse[0].end
    assert sum(f.end.true for f in true) < sum(f.start.true for f in true)
    assert sum(f.end.psnr for f in mse) > sum(f.start.psnr for f in mse)
    assert [p.step for p in true[0].curve] == [0, 2, 8]
    again = fit_images(kind, RIVALS["true"], TRUE, Y, settings=settings, training=images(5, 16, seed=9))
    assert [f.curve for f in again] == [f.curve for f in true]
    other = fit_images(
        kind, RIVALS["true"], TRUE, Y, seed=1, settings=settings, training=images(5, 16, seed=9)
    )
    assert other[0].start != true[0].start


def test_an_image_does_not_depend_on_those_beside_it() -> None:
    """Changing the other images changes nothing, down to rounding."""
    changed = torch.cat([Y[:1], images(2, 16, seed=7)])
    for key in ("true", "crop"):
        first = fit_images("image-prior", RIVALS[key], TRUE, Y, settings=SHORT)[0]
        second = fit_images("image-prior", RIVALS[key], TRUE, changed, settings=SHORT)[0]
        assert second.end.true == pytest.approx(first.end.true, rel=1e-4)
        assert second.end.psnr == pytest.approx(first.end.psnr, rel=1e-4)


def test_an_image_that_is_lost_is_reported_and_takes_no_other_with_it() -> None:
    def poisoned(x: Tensor, step: int) -> Tensor:
        gradient = 2 * (x - Y) / Y[0].numel()
        if step == 2:
            gradient[1] = math.nan
        return gradient

    settings = FitSettings(steps=6, points=1, check=1, generators=SETTINGS)
    lost = fit_images("deep-decoder", own_rival(poisoned), TRUE, Y, settings=settings)
    fine = fit_images("deep-decoder", RIVALS["mse"], TRUE, Y, settings=settings)
    assert [fit.diverged_at for fit in lost] == [None, 3, None]
    assert math.isnan(lost[1].end.true)
    assert math.isnan(lost[1].end.psnr)
    assert math.isnan(lost[1].end.ssim)
    assert lost[0].end.true == pytest.approx(fine[0].end.true, rel=1e-4)
    text = json.dumps(lost[1].as_dict(), allow_nan=False)
    assert '"true": null' in text
    back = Fit.from_dict(json.loads(text))
    assert back.diverged
    assert math.isnan(back.end.true)
    assert Fit.from_dict(json.loads(json.dumps(lost[0].as_dict()))) == lost[0]


def test_watch_knows_divergence_and_plateaus() -> None:
    watch = Watch(3, patience=20)
    for step, values in enumerate(([1, 1, 1], [0.5, 1.9, 2], [0.6, 2.01, 1], [0.6, 1, 1], [0.4, 1, 0.9])):
        watch.look(10 * step, values)
    assert watch.diverged == [None, 20, None]  # twice the start itself is not more than twice
    assert watch.plateau == [30, 20, 20]
    assert watch.over


def test_a_fit_may_stop_when_nothing_is_left_to_see() -> None:
    settings = FitSettings(steps=50, points=1, check=2, patience=4, stop=True, generators=SETTINGS)
    still = fit_images(
        "deep-decoder", own_rival(lambda x, step: torch.zeros_like(x)), TRUE, Y, settings=settings
    )
    assert [fit.steps for fit in still] == [4, 4, 4]
    assert [fit.plateau_at for fit in still] == [4, 4, 4]
    assert still[0].end.step == 4
    assert still[0].end.true == still[0].start.true


def test_judge_measures_equal_images() -> None:
    points = Judge(TRUE, Y).points(0, Y.clone())
    assert [(p.true, p.l1, p.psnr) for p in points] == [(0.0, 0.0, 100.0)] * 3
    assert points[0].ssim == pytest.approx(1.0)


def test_autoencoder_is_judged_on_what_it_was_not_trained_on() -> None:
    """Training on white makes white, whatever is judged."""
    settings = FitSettings(steps=25, points=1, learning_rate=0.05, generators=SETTINGS)
    fits = fit_images(
        "autoencoder", RIVALS["mse"], TRUE, Y, settings=settings, training=torch.ones(4, 3, 16, 16)
    )
    assert all(fit.end.l1 > fit.start.l1 for fit in fits)


def test_errors() -> None:
    with pytest.raises(UnknownNameError, match=r"generator 'deepdecoder' is not known.*'deep-decoder'"):
        fit_images("deepdecoder", RIVALS["mse"], TRUE, Y)
    with pytest.raises(ConfigError, match="needs images to train on, others than it is judged on: training="):
        fit_images("autoencoder", RIVALS["mse"], TRUE, Y)
    with pytest.raises(ConfigError, match=r"multiples of 4 for an autoencoder of depth 1; got \(18, 16\)"):
        fit_images("autoencoder", RIVALS["mse"], TRUE, torch.rand(1, 3, 18, 16), training=Y)
    with pytest.raises(ConfigError, match="must be square for the generator 'image-prior'"):
        fit_images("image-prior", RIVALS["mse"], TRUE, torch.rand(1, 3, 32, 16))
    with pytest.raises(ConfigError, match="settings of the generator 'deep-decoder' do not fit"):
        fit_images(
            "deep-decoder",
            RIVALS["mse"],
            TRUE,
            Y,
            settings=FitSettings(generators={"deep-decoder": {"a": 1}}),
        )
    with pytest.raises(ConfigError, match="names must be 3 different names"):
        fit_images("deep-decoder", RIVALS["mse"], TRUE, Y, names=["a", "b", "a"], settings=SHORT)
    with pytest.raises(ImageError, match="must lie in"):
        fit_images("deep-decoder", RIVALS["mse"], TRUE, Y * math.nan)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"steps": 0}, "steps must be a whole number, 1 or more; got 0"), ({"batch": 1.5}, "batch must be"),
        ({"learning_rate": 0.0}, "learning_rate must be"), ({"check": -1}, "check must be"),
        ({"generators": {"gan": {}}}, "'gan' is not known"),
    ]  # fmt: skip
    for options, text in wrong:
        with pytest.raises(ConfigError, match=text):
            FitSettings(**options)
    with pytest.raises(DataError, match="a Fit has the entries generator, "):
        Fit.from_dict({"generator": "x"})


def test_points_lie_closer_at_the_beginning() -> None:
    points, looks = FitSettings(steps=100, points=5, check=30).looks()
    assert sorted(points) == [0, 4, 16, 36, 64, 100]
    assert sorted(looks) == [0, 4, 16, 30, 36, 60, 64, 90, 100]


def test_a_kind_may_have_steps_and_a_rate_of_its_own() -> None:
    settings = FitSettings(
        steps=4, points=1, generators={"autoencoder": {"steps": 3, "depth": 0, "width": 4}}
    )
    fits = fit_images("autoencoder", RIVALS["mse"], TRUE, Y, settings=settings, training=Y)
    assert [fit.steps for fit in fits] == [3, 3, 3]
    assert settings.of("autoencoder").generators == {"autoencoder": {"depth": 0, "width": 4}}
    assert settings.of("deep-decoder") == FitSettings(steps=4, points=1, generators={"deep-decoder": {}})
    with pytest.raises(ConfigError, match="learning_rate must be a positive number; got -1"):
        FitSettings(generators={"autoencoder": {"learning_rate": -1}})


def test_ledger_survives_a_kill_and_refuses_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "folder" / "results.jsonl"
    ledger = Ledger(path)
    ledger.put({"a": 1, "b": (2, 3)}, {"x": math.nan, "image": "naïve"})
    ledger.put({"a": 2}, [1.5])
    again = Ledger(path)
    assert len(again) == 2
    assert again.get({"b": [2, 3], "a": 1}) == {"x": None, "image": "naïve"}  # order does not matter
    assert again.get({"a": 3}) is None
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    cut = Ledger(path)
    assert "cut off" in caplog.text
    assert cut.get({"a": 2}) is None
    assert cut.get({"a": 1, "b": (2, 3)}) is not None
    cut.put({"a": 2}, [1.5])
    assert path.read_bytes() == whole
    path.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(DataError, match=r"line 1 of .*results.jsonl is not a result"):
        Ledger(path)


def test_ledger_says_when_it_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.mkdir()
    ledger = Ledger(None)
    ledger.path = path
    with pytest.raises(DataError, match=r"cannot be written.*Results before it are kept"):
        ledger.put({}, 1)


def test_points_are_records() -> None:
    assert Point(1, 2.0, 3.0, 4.0, 5.0) == Point(step=1, true=2.0, l1=3.0, psnr=4.0, ssim=5.0)
