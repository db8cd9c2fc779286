"""What image prior and inversion share: which images, in which order, what is minimised, what is measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lossnets.benchmarks.engine import fit
from lossnets.benchmarks.engine.randomness import derived_seed
from lossnets.benchmarks.fitting import FittedModel, FittingTask, Phase, read_targets
from lossnets.benchmarks.fitting.images import Targets
from lossnets.benchmarks.fitting.scores import SCORES, measure, score_rows
from lossnets.benchmarks.super_resolution.data import ImageSet
from lossnets.benchmarks.super_resolution.judge import shared_network
from lossnets.errors import ImageError
from lossnets.images import write_image
from lossnets.losses import load_loss, parse_loss

TWO = (Phase(2),)
LAYER = "squeezenet1_1/features.1:weights=random-0"


class Pixels(FittedModel):
    """Free pixels."""

    def __init__(self, count: int, group: int, phases: int = 1) -> None:
        super().__init__(count, group, (16, 16), phases)
        self.pixels = nn.Parameter(torch.zeros(group, 3, 16, 16))
        self.seeds: list[int] = []

    def restart(self, seed: int) -> None:
        self.seeds.append(seed)
        drawn = torch.randn(self.pixels.shape, generator=torch.Generator().manual_seed(seed))
        self.pixels.data.copy_(drawn)

    def images(self) -> Tensor:
        return self.pixels.sigmoid()


def made(loss: Any, count: int = 5, group: int = 2, phases: Any = TWO, **options: Any) -> FittingTask:
    targets = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    options = {"stretch": 3, "lr": 0.05, "seed": 0, "precision": "32"} | options
    return FittingTask(loss, Pixels(count, group, len(phases)), targets, phases=phases, **options)


# --- images -----------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> ImageSet:
    paths = []
    for name, size in (("a", (40, 50)), ("b", (32, 32)), ("c", (64, 100))):
        write_image(tmp_path / f"{name}.png", torch.rand(3, *size))
        paths.append(tmp_path / f"{name}.png")
    return ImageSet(tuple(paths), tmp_path)


def test_the_middle_first_then_further_parts_in_turns(three: ImageSet) -> None:
    from lossnets.images import read_image

    found = read_targets(three, (32, 32), limit=5, parts=2)
    assert found.names == ("a", "b", "c", "a (2)", "b (2)")
    assert found.sources == ("a", "b", "c", "a", "b")
    assert torch.equal(found.images[0], read_image(three.paths[0])[:, 4:36, 9:41])
    assert torch.equal(found.images[4], found.images[1])  # there is one place only
    assert not torch.equal(found.images[3], found.images[0])
    assert torch.equal(read_targets(three, (32, 32), limit=5, parts=2).images, found.images)
    assert len(read_targets(three, (32, 32), limit=9, parts=2)) == 6
    few = read_targets(three, (32, 32), limit=2)
    assert len(few) == 2
    assert set(few.names) < {"a", "b", "c"}


def test_whole_pictures_are_made_smaller_and_never_larger(three: ImageSet) -> None:
    from lossnets.images import read_image

    found = read_targets(three, (32, 32), limit=3, shrunk=True)
    large = functional.interpolate(  # 64×100 until its shorter side is 32 · 256/224
        read_image(three.paths[2])[None], (37, 57), mode="bicubic", antialias=True
    ).clamp(0, 1)
    torch.testing.assert_close(found.images[2], large[0, :, 2:34, 12:44])
    assert torch.equal(found.images[1], read_image(three.paths[1]))


def test_too_small_pictures_are_named(three: ImageSet) -> None:
    with pytest.raises(
        ImageError, match=r"b\.png' is too small: parts of 33×32 pixels are fitted; got 32×32"
    ):
        read_targets(three, (33, 32), limit=3)


# --- the task ---------------------------------------------------------------------------------------


def test_the_objective_is_the_sum_over_the_images() -> None:
    """So that an image is fitted as if it were alone, whatever the loss's reduction is."""
    phases = (Phase(1, loss=2.0, mse=3.0),)
    task = made(load_loss("pixel:l1"), phases=phases)
    batch = task.training_batch(0, [0, 1])
    terms = task.training_loss(batch)
    x, y = task.model().detach(), batch[0]
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    each = 2 * (x - y).abs().mean((1, 2, 3)) + 3 * ((x - y) / std).square().mean((1, 2, 3))
    torch.testing.assert_close(terms["loss"].detach(), each.sum())
    torch.testing.assert_close(terms["per_image"].detach(), each.mean())
    assert int(task.model.steps) == 1


def test_groups_follow_each_other_and_every_phase_begins_with_a_fresh_adam() -> None:
    task = made(load_loss("pixel:mse"), phases=(Phase(1, 0.0, 1.0), Phase(2)))
    assert task.recipe.epochs == 3 * 3  # 5 images in groups of 2, 3 epochs each
    adam = torch.optim.Adam(task.model.parameters())
    cleared, targets = [], []
    for epoch in range(task.recipe.epochs):
        adam.state[task.model.pixels] = {"step": torch.ones(())}
        task.begin_epoch(epoch, adam)
        cleared.append(not adam.state)
        batch, where = task.training_batch(epoch, [3, 1])
        targets.append(batch)
        assert where.tolist() == [epoch // 3, int(epoch % 3 > 0)]
        assert torch.equal(task.validation_batch([0])[0], batch)
        assert task.validation_batch([0])[1].tolist() == where.tolist()
    assert cleared == [True, True, False] * 3
    assert task.model.seeds == [derived_seed(0, "start", group) for group in range(3)]
    whole = torch.cat(targets[::3])
    assert torch.equal(whole[:5], task._targets)
    assert torch.equal(whole[5], task._targets[4])  # the last group is filled up with its last image


def test_what_came_out_is_kept_for_every_image_and_phase() -> None:
    task = made(load_loss("pixel:mse"), phases=(Phase(1, 0.0, 1.0), Phase(1)))
    adam = torch.optim.Adam(task.model.parameters(), lr=0.1)
    seen = []
    for epoch in range(task.recipe.epochs):
        task.begin_epoch(epoch, adam)
        adam.zero_grad()
        task.training_loss(task.training_batch(epoch, [0, 1]))["loss"].backward()
        adam.step()
        with torch.inference_mode():  # as Lightning validates
            scores = task.validation_scores(task.validation_batch([0]))
        assert int(scores["val_steps"]) == epoch + 1
        seen.append(task.model().detach().clone())
    for phase in (0, 1):
        whole = torch.cat(seen[phase::2])[:5]
        assert torch.equal(task.model.found[phase], whole)


def test_targets_are_encoded_once_for_each_group(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = load_loss(LAYER)
    task = made(loss, count=3)
    before = task.training_loss(task.training_batch(0, [0]))["loss"].detach()
    calls = []
    encode = loss.encode
    monkeypatch.setattr(loss, "encode", lambda images: (calls.append(len(images)), encode(images))[1])
    task.start(torch.device("cpu"))
    assert calls == [2]
    for epoch in (0, 1, 2, 3):
        task.training_loss(task.training_batch(epoch, [0]))
    assert calls == [2, 2]
    torch.testing.assert_close(task.training_loss(task.training_batch(0, [0]))["loss"].detach(), before)


class Away:
    """A loss that drives images away from their targets."""

    def __call__(self, images: Tensor, target: Tensor) -> Tensor:
        return -(images - target).square().mean()

    def to(self, device: Any) -> Away:
        return self

    def encode(self, images: Tensor) -> Any:
        images.embeddings = ()  # type: ignore[attr-defined]
        return images


def test_the_last_step_counts_even_where_it_is_worse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossnets.benchmarks.fitting.task.cached_targets", lambda *a, **k: None)
    task = made(Away(), count=2, phases=(Phase(3),))
    fitted = fit(task, folder=tmp_path)
    assert (fitted.epochs, fitted.best_epoch) == (3, 3)
    values = [row["val_psnr"] for row in fitted.history]
    assert values == sorted(values, reverse=True)
    found = -10 * (task.model.found[0] - task._targets).square().mean((1, 2, 3)).log10()
    assert values[-1] == pytest.approx(float(found.mean()), abs=1e-3)


# --- scores -----------------------------------------------------------------------------------------


def some(count: int = 4) -> Targets:
    names = tuple(f"i{k}" for k in range(count))
    return Targets(torch.rand(count, 3, 32, 32), names, ("one", "one", "two", "three")[:count])


def test_perfect_images_and_known_ones() -> None:
    targets, judge = some(), load_loss("pixel:mse", reduction="none")
    found = measure(targets.images, targets, judge, "cpu")
    assert [kind.name for kind in SCORES] == list(found)
    for name, value in (("lpips_judge", 0), ("psnr", 100), ("ssim", 1), ("l1", 0)):
        np.testing.assert_allclose(found[name], value, atol=1e-5)
    grey = targets.images.clamp(0, 0.9) + 0.1
    found = measure(grey, targets, judge, "cpu")
    errors = (grey - targets.images).double()
    np.testing.assert_allclose(found["l1"], errors.abs().mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found["lpips_judge"], errors.square().mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found["psnr"], -10 * errors.square().mean((1, 2, 3)).log10(), rtol=1e-5)


def test_an_image_that_is_not_finite_is_named() -> None:
    targets = some()
    outputs = targets.images.clone()
    outputs[2, 1, 3, 3] = torch.nan
    with pytest.raises(ImageError, match="what was fitted to image 'i2' is not finite"):
        measure(outputs, targets, load_loss("pixel:mse", reduction="none"), "cpu")


def test_parts_of_one_picture_stand_and_fall_together() -> None:
    values = {"lpips_judge": np.repeat([0.0, 1.0], 4), "psnr@start": np.arange(8.0)}
    names, images = tuple("abcdefgh"), torch.rand(8, 3, 32, 32)
    two = Targets(images, names, ("one",) * 4 + ("two",) * 4)
    first, second = score_rows(values, two, resamples=500, seed=0, judge_note="partial")
    assert (first.value, first.n, first.note) == (0.5, 8, "partial")
    assert (second.name, second.value, second.unit, second.note) == ("psnr@start", 3.5, "dB", "")
    assert (first.low, first.high) == (0.0, 1.0)  # every fourth draw is of one picture only
    apart, _ = score_rows(values, Targets(images, names, names), resamples=500, seed=0, judge_note="")
    assert 0 < apart.low < apart.high < 1
    values = {"lpips_judge": np.arange(4.0)}
    alone = Targets(torch.rand(4, 3, 32, 32), ("a", "b", "c", "d"), ("a", "a", "a", "a"))
    (only,) = score_rows({"l1": values["lpips_judge"]}, alone, resamples=10, seed=0, judge_note="")
    assert np.isnan(only.low)
    assert "at least 2 references" in only.note


def test_a_judge_is_told_what_it_may_favour() -> None:
    judge = SimpleNamespace(spec=parse_loss("squeezenet1_1/features.1:lpips"))

    def said(name: str, imitates: str = "") -> str:
        spec = parse_loss(name) if not imitates else SimpleNamespace(family="pgn", network="mine")
        return shared_network(SimpleNamespace(spec=spec, imitates=imitates), judge)  # type: ignore[arg-type]

    assert said("pixel:mse") == said("vgg16/relu1_2") == ""
    assert said("squeezenet1_1/features.4") == "judged by squeezenet1_1, the network that it was trained with"
    by = "judged by squeezenet1_1, the network that the loss that it was trained with imitates"
    assert said("", "squeezenet1_1/features.4|weights:sha256:0") == by
    assert said("", "squeezenet1_1/features.4;weights:sha256:0") == by
    assert said("", "vgg16/relu1_2|weights") == said("", "a function of one's own") == ""
