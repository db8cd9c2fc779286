"""The benchmark: what is trained, what is tested, and that the defects of the released code are gone."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lossnets.benchmarks import load_benchmark
from lossnets.benchmarks.base import Evaluation
from lossnets.benchmarks.delineation.benchmark import COLOURS, Delineation, measure, overlay
from lossnets.benchmarks.delineation.data import Scenes
from lossnets.benchmarks.delineation.metrics import COUNTS, NAMES, count, delineation_scores
from lossnets.benchmarks.delineation.profiles import SIZES
from lossnets.benchmarks.delineation.results import KINDS
from lossnets.benchmarks.delineation.task import DelineationTask, crop_side
from lossnets.benchmarks.engine import benchmark as engine
from lossnets.errors import ConfigError, DataError, ImageError
from lossnets.images.files import read_image, write_image
from lossnets.losses import load_loss
from lossnets.runs.benchmarks import choose_benchmark

from .scenes import memory_scenes, scene, write_scenes

STATED = dict(SIZES)
TINY = replace(SIZES["smoke"], epochs=2, crop=32, widths=(4, 4, 4, 4), train=None, validation=None, test=None)


class InMemory(Delineation):
    name = "delineation-in-memory"
    data = "sample-roads"
    profiles = ("smoke",)

    def find(self, profile: str) -> Scenes:
        return memory_scenes()


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "smoke", TINY)


class Drawn(nn.Module):
    """Stands for a trained network: answers from its last refinement are right, all before are wrong."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        road = (images.amin(1, keepdim=True) > 0.5).float()
        return tuple(50 * sign * (2 * road - 1) for sign in (-1.0, -1.0, 1.0))


def _task(scenes: Scenes, model: nn.Module | None = None, **options: Any) -> DelineationTask:
    settings: dict[str, Any] = {"seed": 0, "mu": 0.01, "refinements": 3, "precision": "32"}
    task = DelineationTask(scenes, load_loss("pixel:mse"), TINY, **(settings | options))
    if model is not None:
        task.model = model  # type: ignore[assignment]
    return task


def _scores(evaluation: Evaluation) -> dict[str, float]:
    return {score.name: score.value for score in evaluation.scores}


def _test(task: DelineationTask, folder: Path) -> Evaluation:
    return InMemory().test(task, seed=0, profile="smoke", device="cpu", folder=folder)


def test_a_perfect_last_refinement_scores_1_whatever_the_steps_before_said(tmp_path: Path) -> None:
    """The released code adds up the scores of all steps, and sums over every earlier prediction."""
    made = _scores(_test(_task(memory_scenes(), Drawn()), tmp_path))
    for kind in KINDS[:-1]:
        assert made[kind.name] == 1, kind.name
    assert made["bce"] == pytest.approx(0, abs=1e-6)


def test_scores_are_those_of_the_test_split(tmp_path: Path) -> None:
    """The released code evaluates the validation split. Here only the test images' labels are moved."""

    def moved(index: int) -> tuple[Tensor, Tensor]:
        image, mask = scene(index)
        return (image, mask.roll(1, -1)) if index >= 6 else (image, mask)

    scenes = memory_scenes()
    scenes.reader = moved
    evaluation = _test(_task(scenes, Drawn()), tmp_path)
    made = _scores(evaluation)
    assert made["quality"] == pytest.approx(2 / 4)  # roads 3 wide, moved by 1: TP 2, FP 1, FN 1
    assert made["completeness"] == made["correctness"] == pytest.approx(2 / 3)
    assert made["quality_relaxed"] == 1
    assert list(evaluation.items["image"]) == ["test-6", "test-7", "test-8"]
    assert all(score.n == 3 for score in evaluation.scores)


def test_the_tuned_threshold_comes_from_validation(tmp_path: Path) -> None:
    class Grey(nn.Module):
        """Probability 0.7 on roads; beside them 0.1 in test images, 0.6 in the others."""

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            road = images.amin(1, keepdim=True) > 0.5
            beside = 0.1 if float(images[0, 0, 0, -1]) == 0 else 0.6
            return (torch.logit(torch.where(road, 0.7, beside)),)

    def marked(index: int) -> tuple[Tensor, Tensor]:
        image, mask = scene(index)
        image[0, 0, -1] = 0.0 if index >= 6 else 0.25
        return image, mask

    scenes = memory_scenes()
    scenes.reader = marked
    evaluation = _test(_task(scenes, Grey()), tmp_path)
    assert evaluation.facts["threshold_tuned"] == pytest.approx(0.65)
    assert evaluation.facts["threshold"] == 0.3
    assert _scores(evaluation)["quality_tuned"] == 1


def test_one_model_after_another_gives_what_each_gives_alone(tmp_path: Path) -> None:
    """The released code carries one model's refinement into the next model."""
    losses = ["pixel:mse", "pixel:l1"]
    together = InMemory().evaluate_many(losses, profile="smoke", folder=tmp_path)
    alone = InMemory().evaluate("pixel:l1", profile="smoke")
    second = together["pixel:l1"]
    assert isinstance(second, Evaluation)
    assert _scores(second) == _scores(alone)


def test_totals_and_scores_of_images_follow_from_the_counts(tmp_path: Path) -> None:
    evaluation = _test(_task(memory_scenes()), tmp_path)
    items, made = evaluation.items, _scores(evaluation)
    tp, fp, fn = (float(items[name].sum()) for name in ("tp", "fp", "fn"))
    assert made["quality"] == pytest.approx(tp / (tp + fp + fn))
    assert made["completeness"] == pytest.approx(tp / (tp + fn))
    assert made["correctness"] == pytest.approx(tp / (tp + fp))
    assert made["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert made["bce"] == pytest.approx(float(np.average(items["bce"], weights=items["pixels"])))
    assert {len(column) for column in items.values()} == {3}
    assert all(np.isfinite(items[kind.name]).all() for kind in KINDS)


def test_counts_are_those_of_whole_images_at_the_threshold(tmp_path: Path) -> None:
    task = _task(memory_scenes())
    task.model.eval()
    found = measure(task, 0.5, "cpu", tmp_path)
    for row, index in enumerate((6, 7, 8)):
        image, mask = scene(index)
        with torch.no_grad():
            probability = task.model(image[None])[-1].sigmoid()[0, 0].numpy()
        assert tuple(found.fixed[row]) == count(probability >= 0.3, mask[0].numpy() > 0)
        assert tuple(found.tuned[row]) == count(probability >= 0.5, mask[0].numpy() > 0)
    assert found.fixed.shape == (3, len(COUNTS))


def test_the_row_of_everything_is_the_share_of_road_pixels(tmp_path: Path) -> None:
    made = _scores(_test(_task(memory_scenes(), Drawn()), tmp_path))
    assert made["quality@everything"] == pytest.approx(3 / 32)
    assert made["f1@everything"] == pytest.approx(2 * 3 / (32 + 3))
    assert made["quality_relaxed@everything"] > made["quality@everything"]


def test_a_run_trains_tests_and_draws(tmp_path: Path) -> None:
    loss = load_loss("squeezenet1_1/features.1:weights=random-0")
    before = {name: tensor.clone() for name, tensor in loss.state_dict().items()}
    evaluation = InMemory(mu=0.5, refinements=2).evaluate(loss, seed=1, profile="smoke", folder=tmp_path)
    assert [score.name for score in evaluation.scores[: len(KINDS)]] == [kind.name for kind in KINDS]
    for score in evaluation.scores:
        assert score.low <= score.value <= score.high
        assert score.split == "overall"
    assert all(0 <= score.value <= 1 for score in evaluation.scores if score.name != "bce")
    assert all(torch.equal(tensor, before[name]) for name, tensor in loss.state_dict().items())
    facts = evaluation.facts
    assert (facts["mu"], facts["refinements"], facts["crop"], facts["epochs"]) == (0.5, 2, 32, 2)
    assert (facts["training_images"], facts["validation_images"], facts["test_images"]) == (4, 2, 3)
    assert sorted(p.parent.name for p in tmp_path.glob("pictures/*/output.png")) == [
        "test-6",
        "test-7",
        "test-8",
    ]
    assert torch.equal(read_image(tmp_path / "pictures" / "test-6" / "label.png")[0], scene(6)[1][0])


def test_cross_entropy_alone_is_the_same_as_a_term_without_weight() -> None:
    alone = InMemory().evaluate("pixel:bce", profile="smoke")
    unweighted = InMemory(mu=0).evaluate("pixel:mse", profile="smoke")
    assert _scores(alone) == _scores(unweighted)
    assert alone.facts["mu"] == 0


def test_equal_seeds_give_equal_runs_and_others_do_not() -> None:
    a, b, other = (_scores(InMemory().evaluate("pixel:mse", seed=s, profile="smoke")) for s in (0, 0, 1))
    assert a == b
    assert a["bce"] != other["bce"]


def test_the_best_epoch_is_that_of_the_last_refinements_cross_entropy() -> None:
    task = _task(memory_scenes())
    task.model.eval()
    assert task.recipe.monitor == "val_bce"
    assert not task.recipe.higher_is_better
    with torch.no_grad():
        score = task.validation_scores(task.validation_batch([0]))["val_bce"]
        logits = task.model(scene(4)[0][None])[-1]
    expected = nn.BCELoss()(logits.sigmoid(), scene(4)[1][None])
    assert score.item() == pytest.approx(expected.item(), rel=1e-5)


def test_batches_are_crops_that_depend_on_seed_epoch_and_index_alone() -> None:
    task, same, other = (_task(memory_scenes(), seed=seed) for seed in (0, 0, 1))

    def images(of: DelineationTask, epoch: int, indices: Sequence[int]) -> Tensor:
        return of.training_batch(epoch, indices)[0]

    assert torch.equal(images(task, 1, [2, 3])[1], images(same, 1, [3])[0])
    assert any(not torch.equal(images(task, e, [0]), images(other, e, [0])) for e in range(8))
    assert any(not torch.equal(images(task, 0, [0]), images(task, e, [0])) for e in range(1, 8))


def test_the_crop_shrinks_to_what_the_images_have() -> None:
    assert crop_side(SIZES["paper"], 1500) == 224
    assert crop_side(SIZES["paper"], 223) == 208
    with pytest.raises(DataError, match="sides of at least 32 pixels; the smallest has 31"):
        crop_side(TINY, 31)


def test_work_is_known_before_the_data_are_there(tmp_path: Path) -> None:
    work = load_benchmark("delineation-roads", root=tmp_path / "nowhere").workload("paper")
    assert (work.steps, work.step_images, work.side, work.comparisons) == (100 * 139, 8, 224, 3)
    assert load_benchmark("delineation-sample").workload("small").steps == SIZES["small"].epochs * 16


def test_a_task_can_be_sent_to_another_process() -> None:
    task = _task(memory_scenes())
    copy = pickle.loads(pickle.dumps(task))
    assert torch.equal(copy.training_batch(0, [1])[0], task.training_batch(0, [1])[0])


def test_the_overlay_shows_what_was_found_wrong_and_missed() -> None:
    image = torch.full((3, 1, 4), 0.5)
    true, predicted = np.array([[1, 1, 0, 0]], bool), np.array([[1, 0, 1, 0]], bool)
    picture = overlay(image, true, predicted)
    for column, name in enumerate(("found", "missed", "wrong")):
        assert picture[:, 0, column].tolist() == pytest.approx(COLOURS[name])
    assert picture[:, 0, 3].tolist() == pytest.approx([0.3] * 3)


def test_a_prediction_that_is_not_finite_is_reported_with_its_image(tmp_path: Path) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            return (torch.full_like(images[:, :1], torch.nan),)

    with pytest.raises(DataError, match="prediction for image 'val-4' is not finite"):
        _test(_task(memory_scenes(), Broken()), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mu": -1}, "mu must be a number, 0 or more; got -1"),
        ({"mu": "much"}, "mu must be a number, 0 or more; got 'much'"),
        ({"refinements": 0}, "refinements must be a whole number, 1 or more; got 0"),
        ({"precision": "8"}, "precision must be one of 32, bf16-mixed, 16-mixed; got '8'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InMemory(**options)


def test_a_folder_of_images_and_masks(tmp_path: Path) -> None:
    write_scenes(tmp_path, 7, images="photos", masks="lines")
    benchmark = load_benchmark(
        "delineation-folders", images=str(tmp_path / "photos"), masks=str(tmp_path / "lines")
    )
    benchmark.prepare()
    evaluation = benchmark.evaluate("pixel:mse", profile="smoke")  # type: ignore[attr-defined]
    assert evaluation.scores[0].name == "quality"
    work = benchmark.workload("smoke")
    assert (work.side, work.comparisons, work.step_images) == (32, 3, TINY.batch_size)
    assert work.steps == TINY.epochs * -(-int(evaluation.facts["training_images"]) // TINY.batch_size)


def _grey_mask(folder: Path, name: str) -> None:
    write_image(folder / "masks" / name, torch.rand(1, 32, 32))


def _small_pair(folder: Path, name: str) -> None:
    for kind, channels in (("images", 3), ("masks", 1)):
        write_image(folder / kind / name, torch.zeros(channels, 10, 10))


def _cut_off(folder: Path, name: str) -> None:
    path = folder / "images" / name
    write_image(path, torch.rand(3, 32, 32))
    path.write_bytes(path.read_bytes()[:-400])


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_grey_mask, r"masks.scene01\.png' must have two levels"),
        (_small_pair, r"images.scene01\.png' \(split '(val|test)'\) has 10×10 pixels; .* at least 16"),
        (_cut_off, r"images.scene01\.png' is corrupt or truncated"),
    ],
    ids=["grey mask", "small image", "cut off"],
)
def test_validation_and_test_images_are_checked_before_anything_is_trained(
    split: str,
    spoil: Callable[[Path, str], None],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("train", "valid", "test"):
        write_scenes(tmp_path / name, 3)
    spoil(tmp_path / split, "scene01.png")
    monkeypatch.setattr(engine, "fit", lambda *_, **__: pytest.fail("a training has begun"))
    benchmark: Any = load_benchmark("delineation-folders", images=tmp_path)
    with pytest.raises((DataError, ImageError), match=message):
        benchmark.evaluate("pixel:mse", profile="smoke")


def test_images_that_a_profile_leaves_out_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SIZES, "smoke", replace(TINY, test=1))
    for name in ("train", "valid", "test"):
        write_scenes(tmp_path / name, 3)
    _grey_mask(tmp_path / "test", "scene01.png")
    benchmark: Any = load_benchmark("delineation-folders", images=tmp_path)
    task = benchmark.task(load_loss("pixel:mse"), seed=0, profile="smoke")
    assert [task.scenes.names[i] for i in task.test] == ["test-scene00"]


def test_masks_of_jpegs_can_be_trained_with(tmp_path: Path) -> None:
    write_scenes(tmp_path, 7)
    for path in sorted((tmp_path / "masks").iterdir()):
        Image.open(path).save(path.with_name(f"{path.stem}_mask.jpg"), quality=10)
        path.unlink()
    refused: Any = load_benchmark("delineation-folders", images=tmp_path)
    with pytest.raises(DataError, match="mask_threshold of the data kind 'folders'"):
        refused.task(load_loss("pixel:mse"), seed=0, profile="smoke")
    benchmark: Any = load_benchmark("delineation-folders", images=tmp_path, mask_threshold=0.5)
    evaluation = benchmark.evaluate("pixel:mse", profile="smoke")
    assert evaluation.facts["mask_threshold"] == 0.5
    for index in range(7):
        assert torch.equal(benchmark.scenes("smoke").read(index)[1], scene(index)[1])


def test_the_masks_threshold_is_a_setting_of_the_run(tmp_path: Path) -> None:
    """Part of the run's identity, and of what a checkpoint must agree on."""
    choices = [
        choose_benchmark("delineation", {"kind": "folders", "images": "x"}, options, tmp_path)
        for options in ({}, {"mask_threshold": 0.5})
    ]
    assert [choice.settings for choice in choices] == [{}, {"mask_threshold": 0.5}]
    write_scenes(tmp_path, 7)
    loss = load_loss("pixel:mse")
    made: list[Any] = [
        load_benchmark("delineation-folders", images=tmp_path, mask_threshold=value)
        for value in (None, 0.5, 1)
    ]
    assert len({benchmark._identity(loss, "smoke") for benchmark in made}) == 3


@pytest.mark.parametrize("value", [0, 1.5, -1, True, "0.5", float("nan")])
def test_a_masks_threshold_out_of_range_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mask_threshold must be a number above 0 and at most 1, or None"):
        load_benchmark("delineation-folders", images=tmp_path, mask_threshold=value)


def test_groups_of_a_table_stay_together(tmp_path: Path) -> None:
    write_scenes(tmp_path, 8)
    table = tmp_path / "tiles.csv"
    rows = "".join(f"scene{i:02d},source{i // 2}\n" for i in range(8))
    table.write_text("tile,source\n" + rows)
    benchmark: Any = load_benchmark("delineation-folders", images=tmp_path, csv=table, group="source")
    scenes = benchmark.scenes("smoke")
    assert scenes.groups == tuple(f"source{i // 2}" for i in range(8))
    assert all(scenes.splits[i] == scenes.splits[i + 1] for i in range(0, 8, 2))
    with pytest.raises(DataError, match=r"group='photo' is not a column of tiles\.csv"):
        load_benchmark("delineation-folders", images=tmp_path, csv=table, group="photo").prepare()
    with pytest.raises(ConfigError, match="group='source' names a column of a table"):
        load_benchmark("delineation-folders", images=tmp_path, group="source")


def test_massachusetts_roads_as_published(tmp_path: Path) -> None:
    for split, number in (("train", 4), ("valid", 2), ("test", 3)):
        write_scenes(tmp_path / split, number, images="sat", masks="map")
    benchmark: Any = load_benchmark("delineation-roads", root=tmp_path)
    evaluation = benchmark.evaluate("pixel:mse", profile="smoke")
    assert list(evaluation.items["image"]) == [f"test-scene0{i}" for i in range(3)]
    assert evaluation.facts["validation_images"] == 2
    write_scenes(tmp_path / "flat", 4)
    with pytest.raises(DataError, match="must hold train, valid and test"):
        load_benchmark("delineation-roads", root=tmp_path / "flat").prepare()


def test_published_settings_at_paper() -> None:
    size = SIZES["paper"]
    assert (size.epochs, size.batch_size, size.crop, size.widths) == (100, 8, 224, (64, 128, 256, 512))
    assert (size.train, size.validation, size.test, size.validation_side) == (None, None, None, None)
    task = _task(memory_scenes())
    assert (task.recipe.lr, task.recipe.patience) == (1e-3, None)
    benchmark = InMemory()
    assert (benchmark._mu, benchmark._refinements) == (0.01, 3)


def test_names_of_scores() -> None:
    expected = [
        *NAMES,
        *(f"{n}_relaxed" for n in NAMES),
        *(f"{n}_tuned" for n in NAMES),
        *(f"{n}_relaxed_tuned" for n in NAMES),
    ]
    assert [kind.name for kind in KINDS] == [*expected, "bce"]
    assert set(delineation_scores(np.ones(5))) == set(NAMES)


def test_the_documented_profiles_are_those_that_run() -> None:
    page = Path(__file__).parents[4] / "docs" / "delineation.md"
    rows = [line.split("|")[1:-1] for line in page.read_text("utf-8").splitlines() if line.startswith("| ")]
    table = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows if len(row) == 4}
    sizes = [STATED[name] for name in ("paper", "small", "smoke")]
    assert table["epochs"] == [str(size.epochs) for size in sizes]
    assert table["batch"] == [str(size.batch_size) for size in sizes]
    assert table["crop"] == [str(size.crop) for size in sizes]
    assert table["widths"] == [" ".join(map(str, size.widths)) for size in sizes]
    for row, field in (("training", "train"), ("validation", "validation"), ("test", "test")):
        assert table[f"{row} images at most"] == [str(getattr(size, field) or "all") for size in sizes]
    sides = [size.validation_side for size in sizes]
    assert table["validation while training"] == [f"middle, at most {s}×{s}" if s else "whole" for s in sides]
    assert table["bootstrap draws"] == [str(size.resamples) for size in sizes]
