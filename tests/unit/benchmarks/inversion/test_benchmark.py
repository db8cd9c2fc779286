"""The inversion benchmark: generators, phases, weights, what makes a run another one, errors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lossnets.benchmarks import benchmark_names, load_benchmark
from lossnets.benchmarks.fitting import Phase
from lossnets.benchmarks.inversion import InversionFolders
from lossnets.benchmarks.inversion import benchmark as module
from lossnets.benchmarks.inversion.generator import Generator, load_generator
from lossnets.benchmarks.inversion.profiles import SIZES
from lossnets.errors import ConfigError, DataError, ImageError
from lossnets.images import write_image
from lossnets.losses import load_loss

JUDGE = "pixel:l1"
CODE = """\
import torch
from torch import nn

class Stripes(nn.Module):
    latent_shape = (4,)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 3 * 12 * 20)

    def forward(self, latents):
        return self.layer(latents).view(-1, 3, 12, 20).sigmoid()

def build():
    return Stripes()

def nothing():
    return 3
"""


class Plain(nn.Module):
    """Latents (N, 2, 2, 2) -> 16×16 images."""

    latent_shape = (2, 2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 2, 1, 1))
        self.mean_latent = torch.full((2, 2, 2), 0.5)

    def forward(self, latents: Tensor) -> Tensor:
        mixed = nn.functional.conv2d(latents, self.scale)
        return nn.functional.interpolate(mixed, scale_factor=8).sigmoid()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("pictures", "train"):
        (tmp_path / name).mkdir()
        for k in range(3):
            write_image(tmp_path / name / f"{k}.png", torch.rand(3, 36, 40))
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path


def made(folder: Path, generator: Any = None, **options: Any) -> InversionFolders:
    train = folder / "train" if generator is None else None
    return InversionFolders(folder / "pictures", train, generator, **({"judge": JUDGE} | options))


def test_all_kinds_are_registered() -> None:
    kinds = [name for name in benchmark_names() if name.startswith("inversion")]
    assert kinds == ["inversion-folders", "inversion-sample"]


def test_the_paper_profile_has_the_published_steps_and_weights(folder: Path) -> None:
    size = SIZES["paper"]
    assert (size.first * size.stretch, size.epochs * size.stretch) == (5000, 1000)
    benchmark = made(folder)
    pgn: Any = SimpleNamespace(spec=SimpleNamespace(family="pgn"))
    assert benchmark.phases(pgn, "paper") == (Phase(10, 0.0, 1.0), Phase(2, 1.0, 20.0))
    assert benchmark.phases(load_loss("pixel:l1"), "paper")[1] == Phase(2, 1.0, 1.0)
    assert made(folder, mse_weight=0).phases(pgn, "paper")[1] == Phase(2, 1.0, 0)


def test_nothing_is_trained_to_know_what_a_run_takes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "train_decoder", pytest.fail)
    benchmark = made(folder)
    benchmark.prepare()
    work = benchmark.workload("smoke")
    assert (work.step_images, work.steps, work.side, work.comparisons) == (2, 2 * 20, 32, 0.5)
    assert benchmark.bare_step("smoke", "cpu")() == 2
    assert len(benchmark.data_fingerprint()) == 64
    paper = benchmark.workload("paper")
    assert paper.comparisons == pytest.approx(1 / 6)


def test_the_decoder_is_trained_once_for_all_losses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, train = [], module.train_decoder
    monkeypatch.setattr(
        module, "train_decoder", lambda *a, **k: (calls.append(k["steps"]), train(*a, **k))[1]
    )
    benchmark = made(folder)
    found: Any = benchmark.evaluate_many(["pixel:mse", "pixel:l1"], profile="smoke")
    assert calls == [20]
    first, second = found["pixel:mse"], found["pixel:l1"]
    for name in ("psnr@mse phase", "l1@mse phase"):  # which is the same for all losses
        np.testing.assert_array_equal(first.items[name], second.items[name])
    assert (first.items["psnr"] != second.items["psnr"]).any()
    assert (first.items["psnr"] > first.items["psnr@mse phase"]).all()
    assert first.facts["steps_of_phases"] == "10, 10"
    assert first.facts["parameters_per_image"] == 4 * 4 * 4


def test_a_module_of_ones_own_is_inverted_and_stays_as_it_was(folder: Path, tmp_path: Path) -> None:
    plain = Plain().train()
    before = plain.scale.detach().clone()
    benchmark = made(folder, plain)
    benchmark.prepare()
    assert benchmark.frame("smoke") == (16, 16)
    found = benchmark.evaluate("pixel:l1", profile="smoke", folder=tmp_path / "run")
    assert found.facts["image_part"] == "16x16"
    assert found.facts["parameters_per_image"] == 8
    assert torch.equal(plain.scale, before)
    assert plain.scale.grad is None
    task = benchmark.task(load_loss("pixel:l1"), seed=0, profile="smoke")
    assert set(task.model.state_dict()) == {"found", "steps", "latents"}
    start = Generator(plain).start(400, 3)
    assert torch.equal(start, Generator(plain).start(400, 3))
    assert float(start.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(start.std()) == pytest.approx(0.1, abs=0.01)


def test_a_function_of_a_file_makes_the_generator(folder: Path) -> None:
    benchmark = made(folder, f"{folder / 'mine.py'}:build")
    benchmark.prepare()
    assert benchmark.frame("small") == (12, 20)
    assert benchmark.data_name == "pictures by mine.py:build"
    work = benchmark.workload("smoke")
    assert work.side == round((12 * 20) ** 0.5)
    task = benchmark.task(load_loss("pixel:l1"), seed=0, profile="smoke")
    assert task.model().shape == (2, 3, 12, 20)
    first = benchmark.data_fingerprint()
    (folder / "mine.py").write_text(CODE.replace("manual_seed(0)", "manual_seed(1)"))
    assert made(folder, f"{folder / 'mine.py'}:build").data_fingerprint() != first


def test_the_weights_of_a_generator_are_part_of_what_a_run_is(folder: Path) -> None:
    plain, other = Plain(), Plain()
    with torch.no_grad():
        other.scale.mul_(2)
    assert made(folder, plain).data_fingerprint() == made(folder, Plain()).data_fingerprint()
    assert made(folder, plain).data_fingerprint() != made(folder, other).data_fingerprint()
    assert made(folder).data_fingerprint() != made(folder, plain).data_fingerprint()


class Wrong(Plain):
    def __init__(self, **facts: Any) -> None:
        super().__init__()
        for name, value in facts.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Identity(), "latent_shape must be a tuple of whole numbers; got None"),
        (lambda: Wrong(latent_shape=(0, 2)), r"latent_shape must be .* got \(0, 2\)"),
        (
            lambda: Wrong(mean_latent=torch.zeros(2)),
            r"mean_latent must have the shape \(2, 2, 2\); got \(2,\)",
        ),
        (
            lambda: Wrong(forward=lambda z: z),
            r"made \(2, 2, 2, 2\) of 2 latents; it must be images \(2, 3, H, W\)",
        ),
        (lambda: Wrong(forward=lambda z: torch.full((2, 3, 8, 8), 2.0)), r"must lie in \[0, 1\]; got 2 to 2"),
        (
            lambda: Wrong(forward=lambda z: torch.full((2, 3, 8, 8), torch.nan)),
            r"must lie in \[0, 1\]; got nan",
        ),
    ],
)
def test_generators_that_do_not_fit(build: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Generator(build())


def test_files_without_a_generator(folder: Path) -> None:
    file = folder / "mine.py"
    for text in ("mine", "mine.py", "mine.py:", "mine.txt:build"):
        with pytest.raises(ConfigError, match=r"generator must be FILE\.py:FUNCTION"):
            load_generator(text)
    with pytest.raises(DataError, match=r"mine\.py' has no function 'missing'"):
        load_generator(f"{file}:missing")
    with pytest.raises(ConfigError, match=r"must return a torch\.nn\.Module; got int"):
        load_generator(f"{file}:nothing")
    with pytest.raises(DataError, match="cannot be had: FileNotFoundError"):
        load_generator(f"{folder / 'none.py'}:build")
    file.write_text("1 / 0")
    with pytest.raises(DataError, match="cannot be had: ZeroDivisionError"):
        load_generator(f"{file}:build")


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"give train .* or generator .*; got neither"):
        InversionFolders(folder / "pictures")
    with pytest.raises(ConfigError, match=r"got both"):
        InversionFolders(folder / "pictures", folder / "train", Plain())
    for weight in (-1, float("nan"), float("inf"), True):
        with pytest.raises(ConfigError, match="mse_weight must be 0 or more, or None"):
            made(folder, mse_weight=weight)
    with pytest.raises(DataError, match="nowhere"):
        InversionFolders(folder / "pictures", tmp_path / "nowhere").prepare()
    with pytest.raises(ConfigError, match="precision must be one of"):
        load_benchmark("inversion-sample", precision="half")


def test_small_images_to_learn_from_are_named_before_the_first_step(folder: Path) -> None:
    write_image(folder / "train" / "tiny.png", torch.rand(3, 20, 40))
    steps: list[tuple[int, int]] = []
    with pytest.raises(ImageError, match=r"tiny\.png' is too small: parts of 32×32"):
        made(folder).evaluate("pixel:mse", profile="smoke", progress=lambda *step: steps.append(step))
    assert steps == []
