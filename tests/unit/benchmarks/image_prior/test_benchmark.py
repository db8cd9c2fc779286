"""The image prior benchmark: kinds, profiles, equal starts, what makes a run another one, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lossnets.benchmarks import benchmark_names, load_benchmark
from lossnets.benchmarks.image_prior import ImagePriorFolders, ImagePriorSample
from lossnets.benchmarks.image_prior.profiles import SIZES
from lossnets.datasets.sample_photographs import all_photographs
from lossnets.errors import ConfigError, DataError, ImageError, UnknownNameError
from lossnets.images import write_image
from lossnets.losses import load_loss

JUDGE = "pixel:l1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for k in range(4):
        write_image(tmp_path / "pictures" / f"{k}.png", torch.rand(3, 36, 40))
    return tmp_path / "pictures"


def made(folder: Path, **options: Any) -> ImagePriorFolders:
    return ImagePriorFolders(folder, **({"judge": JUDGE} | options))


def test_all_kinds_are_registered() -> None:
    kinds = [name for name in benchmark_names() if name.startswith("image-prior")]
    assert kinds == ["image-prior-folders", "image-prior-sample"]
    assert len(ImagePriorSample().image_set()) == len(all_photographs()) == 8


def test_the_paper_profile_is_the_published_one(folder: Path) -> None:
    """Nikulin et al. 2021: Adam 0.01, 3,000 steps, 400 images, 224 pixels; Ulyanov et al. 2018: network."""
    size = SIZES["paper"]
    assert (size.side, size.images, size.lr, size.epochs * size.stretch) == (224, 400, 0.01, 3000)
    assert size.settings("image-prior") == {"width": 128, "scales": 5, "inputs": 32}
    work = made(folder).workload("paper")
    noise, parameters, outputs = 32 * 224 * 224, 2_217_831 - 5 * 2 * 132, 3 * 224 * 224
    assert work.model_bytes == 4 * (8 * (noise + parameters) + 4 * outputs) + 8  # 8 at once, 4 images in all
    assert (work.step_images, work.steps, work.side, work.comparisons) == (8, 3000, 224, 1)


def test_workload_by_hand(folder: Path, tmp_path: Path) -> None:
    work = made(folder).workload("smoke")
    assert (work.step_images, work.steps, work.side) == (2, 2 * 15, 32)  # 3 of the 4 images, in groups of 2
    missing = made(tmp_path / "nowhere").workload("small")
    assert missing.steps == 2 * 300
    sample = load_benchmark("image-prior-sample").workload("small")
    assert (sample.steps, sample.side) == (2 * 300, 64)
    step = load_benchmark("image-prior-sample").bare_step("smoke", "cpu")  # type: ignore[attr-defined]
    assert step() == 2


def test_all_losses_start_from_the_same_images(folder: Path) -> None:
    starts = []
    for loss, seed in (("pixel:mse", 0), ("pixel:l1", 0), ("pixel:mse", 1)):
        task = made(folder).task(load_loss(loss), seed=seed, profile="smoke")
        adam = torch.optim.Adam(task.model.parameters())
        task.begin_epoch(0, adam)
        first = task.model().detach()
        task.begin_epoch(3, adam)
        starts.append((first, task.model().detach()))
    assert torch.equal(starts[0][0], starts[1][0])
    assert torch.equal(starts[0][1], starts[1][1])
    assert not torch.equal(starts[0][0], starts[0][1])
    assert not torch.equal(starts[0][0], starts[2][0])


def test_the_deep_decoder_is_fitted_where_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    benchmark = made(folder, generator="deep-decoder")
    found = benchmark.evaluate("pixel:mse", profile="smoke", folder=tmp_path / "run")
    assert found.facts["parameters_per_image"] == 2 * (64 + 16) + 64 + 16 + 8 * 3 + 3
    assert found.facts["training_images"] == found.facts["pictures"] == 3
    assert found.facts["steps_per_image"] == 15
    assert found.facts["best_epoch"] == found.facts["epochs"] == 6
    assert found.scores[0].name == "lpips_judge"
    assert set(found.items["image"]) < {"0", "1", "2", "3"}
    np.testing.assert_allclose(found.items["lpips_judge"], found.items["l1"], rtol=1e-6)  # this judge is L1
    for score in found.scores:
        assert score.value == pytest.approx(found.items[score.name].mean())
    rows = {path.name for path in (tmp_path / "run" / "pictures").iterdir()}
    assert rows == set(found.items["image"])


def test_pictures_are_of_different_photographs_first(tmp_path: Path) -> None:
    from lossnets.benchmarks.fitting.benchmark import _save
    from lossnets.benchmarks.fitting.images import Targets

    names = ("a", "b", "c", "d", "a (2)", "b (2)", "c (2)")
    targets = Targets(torch.rand(7, 3, 8, 8), names, ("a", "b", "c", "d", "a", "b", "c"))
    _save(tmp_path, {"output": targets.images}, targets)
    rows = {path.name.partition("~")[0] for path in (tmp_path / "pictures").iterdir()}
    assert rows == {"a", "b", "c", "d", "a _2_", "b _2_"}  # changed names have a hash at their end


def test_the_fingerprint_is_that_of_the_files_and_of_a_judge_of_ones_own(folder: Path) -> None:
    first = made(folder).data_fingerprint()
    assert made(folder).data_fingerprint() == first
    assert made(folder, judge="pixel:mse").data_fingerprint() != first
    names = folder.with_name("names.txt")
    names.write_text("0\n2\n")
    assert made(folder, names=names).data_fingerprint() != first
    assert len(made(folder, names=names).image_set()) == 2
    write_image(folder / "4.png", torch.rand(3, 36, 40))
    assert made(folder).data_fingerprint() != first
    assert made(folder).data_name == "pictures"


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"generator 'deep-decode' is not known\. Did you mean 'deep-decoder'"
    ):
        made(folder, generator="deep-decode")
    with pytest.raises(ConfigError, match=r"precision must be one of .* got 'half'"):
        made(folder, precision="half")
    with pytest.raises(ConfigError, match=r"judge must give its files as absolute paths"):
        made(folder, judge="squeezenet1_1/features.1:weights=w.pth")
    with pytest.raises(
        ConfigError, match="profile of 'image-prior-sample' must be one of small, smoke; got 'paper'"
    ):
        load_benchmark("image-prior-sample").workload("paper")
    with pytest.raises(DataError, match="nowhere"):
        made(tmp_path / "nowhere").prepare()
    with pytest.raises(ImageError, match=r"\.png' is too small: parts of 64×64 pixels are fitted; got 36×40"):
        made(folder).task(load_loss("pixel:mse"), seed=0, profile="small")
    task: Any = object()
    with pytest.raises(ConfigError, match="task must be one that this benchmark made; got object"):
        made(folder).test(task, seed=0, profile="smoke", device="cpu", folder=tmp_path)
