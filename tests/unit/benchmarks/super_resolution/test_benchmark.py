"""The benchmark: known answers, determinism, fingerprints, errors, pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lossnets.benchmarks import Evaluation, benchmark_names, load_benchmark
from lossnets.benchmarks.super_resolution import (
    SuperResolutionFolders,
    SuperResolutionSample,
    SuperResolutionStudy,
    bicubic,
    low_resolution,
)
from lossnets.benchmarks.super_resolution.examine import WholeImage, shown
from lossnets.benchmarks.super_resolution.profiles import SIZES
from lossnets.benchmarks.super_resolution.quality import SCORES
from lossnets.datasets.sample_photographs import held_out_photographs
from lossnets.errors import ConfigError, DataError, ImageError, UnknownNameError, WeightsError
from lossnets.images import read_image, write_image
from lossnets.images.quality import PSNR_CAP
from lossnets.losses import DEFAULT_LOSS, load_loss

JUDGE = "efficientnet_lite0/bn1:lpips"


def smooth(height: int, width: int) -> Tensor:
    """An image with structure: (3, height, width)."""
    rows, columns = torch.arange(height).view(1, -1, 1) / 7, torch.arange(width).view(1, 1, -1) / 5
    phases = torch.rand(3, 1, 1) * 6
    return (torch.sin(rows + phases) * torch.cos(columns - phases) * 0.4 + 0.5).clamp(0, 1)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Five training images, and two test sets of two and one image of odd sizes."""
    sizes = {"train": [(56, 60)] * 5, "a": [(50, 61), (67, 53)], "b": [(64, 64)]}
    for name, each in sizes.items():
        (tmp_path / name).mkdir()
        for number, size in enumerate(each):
            write_image(tmp_path / name / f"{name}{number}.png", smooth(*size))
    return {name: tmp_path / name for name in sizes}


def made(folders: dict[str, Path], **options: Any) -> SuperResolutionFolders:
    tests = {"first": folders["a"], "second": folders["b"]}
    return SuperResolutionFolders(folders["train"], tests, **({"judge": JUDGE} | options))


class Standing(nn.Module):
    """In the place of a network: any function of the low resolution."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def outcome(benchmark: Any, function: Callable[[Tensor], Tensor], folder: Path) -> Evaluation:
    task = benchmark.task(load_loss("pixel:mse"), seed=0, profile="smoke")
    task.model = Standing(function)
    found: Evaluation = benchmark.test(task, seed=0, profile="smoke", device="cpu", folder=folder)
    return found


def values(evaluation: Evaluation) -> dict[tuple[str, str], float]:
    return {(score.name, score.split): score.value for score in evaluation.scores}


def test_a_perfect_network_has_the_cap_one_and_zero(folders: dict[str, Path], tmp_path: Path) -> None:
    benchmark = made(folders)
    truth: dict[tuple[int, ...], Tensor] = {}
    for name in ("a", "b"):
        for path in sorted(folders[name].iterdir()):
            image = read_image(path)[None]
            image = image[..., : image.shape[2] // 4 * 4, : image.shape[3] // 4 * 4]
            truth[tuple(low_resolution(image, 4).shape)] = image
    found = values(outcome(benchmark, lambda low: truth[tuple(low.shape)], tmp_path))
    for split in ("overall", "first", "second"):
        assert found["psnr_y", split] == found["psnr_y_matched", split] == PSNR_CAP
        assert found["ssim_y", split] == pytest.approx(1)
        assert found["ssim_y_matched", split] == pytest.approx(1)
        assert found["lpips_judge", split] == 0


def test_bicubic_as_a_network_scores_what_the_reference_scores(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    found = outcome(made(folders), lambda low: bicubic(low, 4), tmp_path)
    for kind in SCORES:
        np.testing.assert_allclose(found.items[kind.name], found.items[f"{kind.name}@bicubic"], rtol=1e-5)


def test_rows_are_means_of_the_items(folders: dict[str, Path], tmp_path: Path) -> None:
    found = outcome(made(folders), lambda low: bicubic(low, 4) * 0.9, tmp_path)
    assert found.scores[0].name == "psnr_y_matched"
    assert found.scores[0].split == "overall"
    splits = found.items["split"]
    assert found.items["image"].tolist() == ["a0", "a1", "b0"]
    assert splits.tolist() == ["first", "first", "second"]
    for score in found.scores:
        column = found.items[score.name]
        assert np.isfinite(column).all()
        means = [column[splits == name].mean() for name in ("first", "second")]
        expected = {"overall": np.mean(means), "first": means[0], "second": means[1]}
        assert score.value == pytest.approx(expected[score.split])
        assert score.n == {"overall": 3, "first": 2, "second": 1}[score.split]
        if score.split == "first":
            assert score.low <= score.value <= score.high
    kinds = {kind.name: kind for kind in SCORES}
    for score in found.scores:
        kind = kinds[score.name.removesuffix("@bicubic")]
        assert (score.unit, score.higher_is_better) == (kind.unit, kind.higher_is_better)


def test_pictures_of_a_run(folders: dict[str, Path], tmp_path: Path) -> None:
    outcome(made(folders), lambda low: bicubic(low, 4), tmp_path / "run")
    rows = sorted(path.name for path in (tmp_path / "run" / "pictures").iterdir())
    assert rows == ["first-a0", "first-a1", "second-b0"]
    pictures = {p.stem: read_image(p) for p in (tmp_path / "run" / "pictures" / "first-a0").iterdir()}
    before, after = SuperResolutionSample.sheet_columns
    assert set(pictures) == {*before, "output", *after}
    assert {tuple(p.shape) for p in pictures.values()} == {(3, 48, 60)}
    low = pictures["low resolution"]
    assert torch.equal(low, low[:, ::4, ::4].repeat_interleave(4, 1).repeat_interleave(4, 2))
    torch.testing.assert_close(pictures["target"], read_image(folders["a"] / "a0.png")[:, :48, :60])


def test_a_run_is_reproducible_and_depends_on_the_seed(folders: dict[str, Path]) -> None:
    loss = load_loss("squeezenet1_1/features.1:weights=random-0")
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    runs = [made(folders).evaluate(loss, profile="smoke", seed=seed) for seed in (0, 0, 1)]
    for name in runs[0].items:
        assert (runs[0].items[name] == runs[1].items[name]).all(), name
    assert (runs[0].items["psnr_y"] != runs[2].items["psnr_y"]).all()
    assert (runs[0].items["psnr_y@bicubic"] == runs[2].items["psnr_y@bicubic"]).all()
    assert runs[0].facts["cached_target_bytes"] > 0  # type: ignore[operator]
    assert all(torch.equal(before[key], value) for key, value in loss.state_dict().items())


def test_cached_targets_give_the_loss_of_the_images(folders: dict[str, Path]) -> None:
    loss = load_loss("squeezenet1_1/features.1:weights=random-0")
    task = made(folders).task(loss, seed=0, profile="smoke")
    batch = task.training_batch(0, [3, 0, 5, 1])
    task.model.eval()
    direct = task.training_loss(batch)
    task.start(torch.device("cpu"))
    assert task.cached_bytes > 0
    torch.testing.assert_close(task.training_loss(batch), direct)
    torch.testing.assert_close(task.training_loss(batch), loss(task.model(batch[0]), batch[1]))


def test_the_fingerprint_is_that_of_the_files(folders: dict[str, Path]) -> None:
    first = made(folders).data_fingerprint()
    assert made(folders, scale=8).data_fingerprint() == first
    folder = folders["b"]
    other = SuperResolutionFolders(folders["train"], {"first": folders["a"], "other": folder})
    assert other.data_fingerprint() != first
    assert made(folders, validation=folder).data_fingerprint() != first
    seen = {first}
    for name in ("train", "a", "b"):
        write_image(folders[name] / "one_more.png", smooth(60, 60))
        seen.add(made(folders).data_fingerprint())
    assert len(seen) == 4
    folder.rename(folder.with_name("moved"))
    moved = made(folders | {"b": folder.with_name("moved")})
    assert moved.data_fingerprint() in seen


def test_the_fingerprint_with_the_default_judge_is_over_files_alone(folders: dict[str, Path]) -> None:
    benchmark = made(folders, judge=DEFAULT_LOSS)
    tests = {name: images.fingerprint() for name, images in benchmark.test_sets().items()}
    parts = ["train", benchmark.training_sets()[0].fingerprint(), "validation", ""]
    parts += ["first", tests["first"], "second", tests["second"]]
    expected = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    assert benchmark.data_fingerprint() == expected
    assert made(folders, judge=f"{DEFAULT_LOSS}:weights=default").data_fingerprint() == expected


def test_another_judge_is_another_run(folders: dict[str, Path], tmp_path: Path) -> None:
    """By its definition and the hash of its weights, not by the folder that its file lies in."""
    judges = (DEFAULT_LOSS, JUDGE, "pixel:l1", "pixel:mse", "lpips:alexnet")  # the last has no weights here
    assert len({made(folders, judge=judge).data_fingerprint() for judge in judges}) == len(judges)
    found = []
    for folder, weight in (("one", 1.0), ("two", 1.0), ("three", 2.0)):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "head.safetensors"
        save_file({"features.1": torch.full((64,), weight)}, file)
        judge = f"squeezenet1_1/features.1:lpips:weights=random-0:head={file}"
        found.append(made(folders, judge=judge).data_fingerprint())
    assert found[0] == found[1] != found[2]


def test_a_judge_that_cannot_be_had_fails_before_the_training(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    benchmark = made(folders, judge="lpips:alexnet")
    benchmark.prepare()
    assert len(benchmark.data_fingerprint()) == 64  # the other runs of a sweep go on
    steps: list[tuple[int, int]] = []
    with pytest.raises(WeightsError, match="alexnet"):
        benchmark.evaluate(
            "pixel:mse", profile="smoke", folder=tmp_path / "run", progress=lambda *step: steps.append(step)
        )
    assert steps == []


def test_files_of_a_judge_must_be_absolute(folders: dict[str, Path]) -> None:
    for option in ("weights=here/w.pth", "weights=w.safetensors", "weights=~/w.pth", "head=lin.safetensors"):
        name, _, path = option.partition("=")
        judge = f"squeezenet1_1/features.1:lpips:{option}"
        with pytest.raises(
            ConfigError, match=rf"judge must give .* absolute .*got {name}='{path}'.*{name}=/"
        ):
            made(folders, judge=judge)
    made(folders, judge="squeezenet1_1/features.1:weights=/nowhere/w.pth:head=/nowhere/lin.safetensors")


def test_the_task_of_another_benchmark_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    task: Any = object()
    with pytest.raises(ConfigError, match="task must be one that this benchmark made; got object"):
        made(folders).test(task, seed=0, profile="smoke", device="cpu", folder=tmp_path)


def test_scale_eight(folders: dict[str, Path]) -> None:
    found = made(folders, scale=8).evaluate("pixel:mse", profile="smoke")
    assert found.facts["scale"] == 8
    assert np.isfinite(found.items["psnr_y"]).all()
    assert values(found)["psnr_y@bicubic", "overall"] < 60


def test_the_judge_is_told_where_it_shares_the_network(folders: dict[str, Path], tmp_path: Path) -> None:
    benchmark = made(folders)
    task = benchmark.task(load_loss("efficientnet_lite0/bn1"), seed=0, profile="smoke")
    found = benchmark.test(task, seed=0, profile="smoke", device="cpu", folder=tmp_path)
    notes = {score.name: score.note for score in found.scores if score.split == "first"}
    assert notes["lpips_judge"] == "judged by efficientnet_lite0, the network that it was trained with"
    assert notes["psnr_y"] == notes["lpips_judge@bicubic"] == ""
    assert found.facts["judge_note"] == notes["lpips_judge"]
    assert "sha256" in str(found.facts["judge_signature"])


def test_test_images_may_be_grey_and_bad_ones_are_named(folders: dict[str, Path]) -> None:
    write_image(folders["b"] / "grey.png", smooth(60, 60)[:1])
    made(folders).task(load_loss("pixel:mse"), seed=0, profile="smoke")
    see_through = folders["b"] / "glass.png"
    from PIL import Image

    Image.new("RGBA", (60, 60), (10, 20, 30, 128)).save(see_through)
    (folders["b"] / "grey.png").unlink()
    with pytest.raises(ImageError, match=r"glass\.png.*see-through"):
        made(folders).task(load_loss("pixel:mse"), seed=0, profile="smoke")
    write_image(see_through, smooth(18, 60))
    with pytest.raises(ImageError, match=r"glass\.png' is too small: at scale 4, 20×20 .* got 16×60"):
        made(folders).task(load_loss("pixel:mse"), seed=0, profile="smoke")


def test_an_output_that_is_not_finite_is_an_error(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"output for test image .*a0\.png' is not finite"):
        outcome(made(folders), lambda low: bicubic(low, 4) * torch.nan, tmp_path)


def test_options_are_checked(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="scale must be one of 4, 8; got 2"):
        made(folders, scale=2)
    with pytest.raises(UnknownNameError, match="Did you mean 'blurred'"):
        made(folders, shrinking="blured")
    with pytest.raises(ConfigError, match="precision must be one of"):
        made(folders, precision="64")
    with pytest.raises(UnknownNameError, match="vgg16"):
        made(folders, judge="vgg-16/relu1_1")
    with pytest.raises(ConfigError, match="give it, too"):
        made(folders, validation_names="names.txt")
    with pytest.raises(ConfigError, match="at least one folder"):
        SuperResolutionFolders(folders["train"], {})
    with pytest.raises(ConfigError, match="'overall'"):
        SuperResolutionFolders(folders["train"], {"overall": folders["a"]})
    with pytest.raises(ConfigError, match="profile"):
        SuperResolutionSample().evaluate("pixel:mse", profile="paper")


def test_missing_folders_are_found_before_anything_runs(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        SuperResolutionFolders(tmp_path / "nowhere", folders["a"]).prepare()
    with pytest.raises(DataError, match="nowhere"):
        SuperResolutionFolders(folders["train"], {"x": tmp_path / "nowhere"}).prepare()


def test_one_folder_of_tests_gives_its_name_to_the_set(folders: dict[str, Path]) -> None:
    assert list(SuperResolutionFolders(folders["train"], folders["a"]).test_sets()) == ["a"]


def test_the_sample_needs_no_data_and_keeps_test_photographs_out_of_training() -> None:
    benchmark = SuperResolutionSample()
    benchmark.prepare()
    train, validation = benchmark.training_sets()
    assert validation is not None
    learned = set(train.paths + validation.paths)
    held_out = {path for images in benchmark.test_sets().values() for path in images.paths}
    assert held_out == set(held_out_photographs())
    assert len(held_out) == 3
    assert len(learned) == 5
    assert not learned & held_out


def test_the_sample_runs() -> None:
    found = SuperResolutionSample(judge=JUDGE).evaluate("pixel:mse", profile="smoke")
    assert found.items["image"].size == 2
    assert found.facts["test_part"] == "central 96 pixels"
    assert 0 < found.scores[0].value < PSNR_CAP


def test_the_study_reads_the_published_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts = {
        "coco2014/train2014": ("COCO_train2014_", ".jpg", 82_783),
        "coco2014/val2014": ("COCO_val2014_", ".jpg", 40_504),
        "set5/Set5_HR": ("i", ".png", 5),
        "set14": ("i", ".png", 14),
        "bsds300/BSDS300/images/test": ("i", ".jpg", 100),
        "bsds300/BSDS300/images/train": ("t", ".jpg", 200),
    }
    for folder, (prefix, ending, count) in layouts.items():
        (tmp_path / folder).mkdir(parents=True)
        if "coco" not in folder:
            for number in range(count):
                (tmp_path / folder / f"{prefix}{number:04d}{ending}").write_bytes(b"")
    benchmark = SuperResolutionStudy(**{n: tmp_path / n for n in ("coco2014", "set5", "set14", "bsds300")})
    found = {name: len(images) for name, images in benchmark.test_sets().items()}
    assert found == {"set5": 5, "set14": 14, "bsd100": 100}
    assert benchmark.test_sets()["bsd100"].names[0] == "i0000"
    with pytest.raises(DataError, match=r"train images of coco2014: train2014/\*\.jpg: 0 of 82783 files"):
        benchmark.prepare()
    monkeypatch.setenv("LOSSNETS_DATA", str(tmp_path))
    assert SuperResolutionStudy().test_sets()["set14"].paths == benchmark.test_sets()["set14"].paths


@pytest.mark.shared
def test_real_photographs(shared_data: Path) -> None:
    """BSDS500 to Set5 and BSD100: the bicubic rows are those of the files, whatever was trained."""
    bsds = shared_data / "bsds500"
    tests = {"set5": shared_data / "set5", "bsd100": bsds / "val" / "images"}
    benchmark = SuperResolutionFolders(bsds / "train" / "images", tests, judge=JUDGE)
    found = benchmark.evaluate("pixel:mse", profile="smoke")
    assert found.facts["test_images"] == "set5: 2 of 5, bsd100: 2 of 100"
    assert values(found)["psnr_y@bicubic", "overall"] > values(found)["psnr_y", "overall"]  # two steps


def test_pictures_are_shared_out_among_test_sets() -> None:
    images = [
        WholeImage(s, f"{s}{n}", Path(f"{s}{n}")) for s, count in (("a", 5), ("b", 9)) for n in range(count)
    ]
    assert list(shown(images).values()) == ["a-a0", "a-a1", "a-a2", "b-b0", "b-b1", "b-b2"]
    assert list(shown(images[:7]).values()) == ["a-a0", "a-a1", "a-a2", "a-a3", "b-b0", "b-b1"]


def test_an_example_for_timing_needs_no_data(folders: dict[str, Path]) -> None:
    network, low = made(folders, scale=8).example("smoke")
    assert network(low).shape == (4, 3, 48, 48)


def test_the_paper_profile_is_the_published_one(folders: dict[str, Path]) -> None:
    size = SIZES["paper"]
    assert (size.width, size.crop, size.images, size.crops, size.validation) == (64, 288, 10_000, 10_000, 100)
    assert (size.epochs, size.batch_size, size.lr) == (80, 4, 1e-3)
    assert not size.fixed
    assert size.test_images is size.test_side is None
    work = made(folders).workload("paper")
    assert (work.step_images, work.steps, work.side) == (4, 80 * 2500, 288)


def test_all_kinds_are_registered() -> None:
    kinds = [name for name in benchmark_names() if name.startswith("super-resolution-")]
    assert kinds == ["super-resolution-folders", "super-resolution-sample", "super-resolution-study"]
    assert load_benchmark("super-resolution-sample", scale=8).name == "super-resolution-sample"
