"""One exam for every benchmark that can run on what the package brings along."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lossnets.analysis import TASKS
from lossnets.benchmarks import (
    OVERALL,
    PROFILES,
    Evaluation,
    ScoreKind,
    Workload,
    benchmark_class,
    benchmark_names,
    load_benchmark,
)
from lossnets.benchmarks.engine.randomness import derived_seed
from lossnets.datasets import read_sample
from lossnets.datasets.sample_photographs import all_photographs, held_out_photographs
from lossnets.datasets.sample_roads import read_sample_roads
from lossnets.errors import ConfigError, DataError, LossnetsError
from lossnets.generators import make_population
from lossnets.gradients import PerceptualGradientNetwork, PGNLoss
from lossnets.images import read_image
from lossnets.losses import LossBank, load_loss

PACKAGED = [name for name in benchmark_names() if name.endswith("-sample")]
TRAINING = [name for name in PACKAGED if getattr(benchmark_class(name), "trains", False)]
NETWORK = "squeezenet1_1/features.1:weights=random-0"
RANGES = {
    "fraction": (0.0, 1.0),
    "correlation": (-1.0, 1.0),
    "dB": (0.0, 200.0),
}


def evaluated(name: str, loss: Any = "pixel:mse", *, seed: int = 0, folder: Path | None = None) -> Evaluation:
    """A smoke run of any benchmark."""
    more = {"folder": folder} if name in TRAINING and folder is not None else {}
    (found,) = load_benchmark(name).evaluate_many([loss], seed=seed, profile="smoke", **more).values()
    if isinstance(found, LossnetsError):
        raise found
    return found


every = pytest.mark.parametrize("name", PACKAGED)
trained = pytest.mark.parametrize("name", TRAINING)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Evaluation, Path]]:
    """One finished smoke run of every benchmark, with its folder."""
    torch.set_num_threads(1)
    folders = {name: tmp_path_factory.mktemp(name) for name in PACKAGED}
    return {name: (evaluated(name, folder=folder), folder) for name, folder in folders.items()}


def test_all_six_questions_are_asked() -> None:
    assert sorted(name.removesuffix("-sample") for name in PACKAGED) == sorted(TASKS)
    assert set(TASKS) == {
        "similarity", "super-resolution", "delineation", "autoencoding", "image-prior", "inversion"
    }  # fmt: skip


@pytest.mark.parametrize("name", benchmark_names())
def test_facts_are_stated(name: str) -> None:
    cls = benchmark_class(name)
    assert set(cls.profiles) <= set(PROFILES)
    assert cls.scores
    assert all(isinstance(kind, ScoreKind) and kind.unit and kind.meaning for kind in cls.scores)
    assert len({kind.name for kind in cls.scores}) == len(cls.scores)
    assert cls.__doc__


@every
def test_workload_is_known_before_anything_runs(name: str) -> None:
    benchmark = load_benchmark(name)
    benchmark.prepare()
    smoke, small = benchmark.workload("smoke"), benchmark.workload("small")
    assert isinstance(small, Workload)
    assert small.side > 0
    assert smoke.steps * smoke.step_images + smoke.pairs < small.steps * small.step_images + small.pairs


@every
def test_unknown_profiles_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"profile of .* must be one of .*; got 'huge'"):
        load_benchmark(name).evaluate_many(["pixel:mse"], profile="huge")


@every
def test_fingerprints_are_stable(name: str) -> None:
    benchmarks = [load_benchmark(name) for _ in range(2)]
    for benchmark in benchmarks:
        benchmark.prepare()
    one, other = (benchmark.data_fingerprint() for benchmark in benchmarks)
    assert one == other
    assert len(one) == 64


@every
def test_scores_are_in_range_and_as_stated(name: str, first: dict[str, tuple[Evaluation, Path]]) -> None:
    found, _ = first[name]
    stated = {kind.name: kind for kind in benchmark_class(name).scores}
    assert found.scores[0].name == next(iter(stated))
    assert found.scores[0].split == OVERALL
    assert {score.name.partition("@")[0] for score in found.scores} == set(stated)
    for score in found.scores:
        kind = stated[score.name.partition("@")[0]]
        assert (score.unit, score.higher_is_better) == (kind.unit, kind.higher_is_better)
        low, high = RANGES.get(score.unit, (0.0, np.inf))
        if np.isnan(score.value):
            assert score.note
            continue
        assert low <= score.value <= high
        assert score.n > 0
        if not np.isnan(score.low):
            assert score.low - 1e-9 <= score.value <= score.high + 1e-9


@every
def test_items_are_there_for_every_score(name: str, first: dict[str, tuple[Evaluation, Path]]) -> None:
    found, _ = first[name]
    lengths = {len(column) for column in found.items.values()}
    assert len(lengths) == 1
    assert lengths.pop() > 0
    for column in found.items.values():
        assert column.dtype.kind != "f" or np.isfinite(column).all()
    assert all(value is None or isinstance(value, (str, int, float)) for value in found.facts.values())


@trained
def test_the_run_leaves_model_log_and_pictures(name: str, first: dict[str, tuple[Evaluation, Path]]) -> None:
    found, folder = first[name]
    assert found.facts["epochs"] >= found.facts["best_epoch"] >= 1
    log = (folder / "log.csv").read_text(encoding="utf-8").splitlines()
    assert log[0].startswith("epoch,")
    assert len(log) == 1 + found.facts["epochs"]
    assert (folder / "model.safetensors").is_file()
    assert list((folder / "tensorboard").glob("events*"))
    assert not list(folder.glob("last*"))
    assert not list(folder.glob("best*"))
    rows = list((folder / "pictures").glob("*"))
    before, after = benchmark_class(name).sheet_columns
    assert 1 <= len(rows) <= 6
    for row in rows:
        assert {path.stem for path in row.glob("*.png")} >= {"output", *before, *after}


@every
def test_the_same_seed_gives_the_same_scores(name: str, first: dict[str, tuple[Evaluation, Path]]) -> None:
    found, _ = first[name]
    torch.manual_seed(12345)  # whatever was drawn before must not matter
    again = evaluated(name)
    assert [(s.name, s.split, s.value) for s in again.scores] == [
        (s.name, s.split, pytest.approx(s.value, abs=1e-12, nan_ok=True)) for s in found.scores
    ]


@trained
def test_another_seed_gives_another_model(
    name: str, first: dict[str, tuple[Evaluation, Path]], tmp_path
) -> None:
    _, folder = first[name]
    load_benchmark(name).evaluate("pixel:mse", profile="smoke", seed=1, folder=tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()


@trained
def test_a_killed_training_goes_on(
    name: str, first: dict[str, tuple[Evaluation, Path]], tmp_path: Path
) -> None:
    """Killed after the first checkpoint, started again: the log and the scores are those of one run."""
    found, folder = first[name]
    code = (
        "import os, signal, torch\n"
        "torch.set_num_threads(1)\n"
        "import lossnets.benchmarks.engine.checkpoints as c\n"
        "from lossnets.benchmarks import load_benchmark\n"
        "save = c.SafetensorsIO.save_checkpoint\n"
        "def dies(self, checkpoint, path, storage_options=None):\n"
        "    save(self, checkpoint, path)\n"
        "    if 'last' in str(path): os.kill(os.getpid(), signal.SIGKILL)\n"
        "c.SafetensorsIO.save_checkpoint = dies\n"
        f"load_benchmark({name!r}).evaluate('pixel:mse', profile='smoke', folder={str(tmp_path)!r})\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert died.returncode == -9
    assert (tmp_path / "last.safetensors").is_file()
    again = load_benchmark(name).evaluate("pixel:mse", profile="smoke", folder=tmp_path)
    assert [s.value for s in again.scores] == [
        pytest.approx(s.value, abs=1e-9, nan_ok=True) for s in found.scores
    ]
    assert _without_times(tmp_path / "log.csv") == _without_times(folder / "log.csv")


def _without_times(path: Path) -> list[dict[str, str]]:
    import csv

    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


@every
def test_the_loss_comes_out_as_it_went_in(name: str) -> None:
    loss = load_loss(NETWORK, reduction="none")
    before = {key: value.clone() for key, value in loss.network.state_dict().items()}
    modes = [module.training for module in loss.network.modules()]
    signature = loss.signature()
    evaluated(name, loss)
    assert loss.reduction == "none"
    assert loss.signature() == signature
    assert [module.training for module in loss.network.modules()] == modes
    now = loss.network.state_dict()
    assert len(now) == len(before) > 0
    assert all(torch.equal(value, before[key]) for key, value in now.items())
    assert not any(value.requires_grad or value.grad is not None for value in loss.network.parameters())


@trained
def test_a_loss_that_breaks_takes_no_other_with_it(name: str) -> None:
    broken = load_loss(NETWORK)
    with torch.no_grad():
        for value in broken.network.parameters():
            value.fill_(torch.nan)
    found = load_benchmark(name).evaluate_many([broken, "pixel:l1"], profile="smoke")
    error = found[broken.name]
    assert isinstance(error, LossnetsError)
    first = 1 if name != "inversion-sample" else 3  # which begins with squared differences
    assert f"nan in epoch {first}, step 1." in str(error)
    assert isinstance(found["pixel:l1"], Evaluation)


@trained
def test_losses_of_a_bank_are_trained_with(name: str) -> None:
    bank = LossBank(["pixel:mse"])
    assert isinstance(load_benchmark(name).evaluate_many(bank, profile="smoke")["pixel:mse"], Evaluation)
    with pytest.raises(ConfigError, match="losses must be a list of loss names or losses, or a LossBank"):
        load_benchmark(name).evaluate_many("pixel:mse", profile="smoke")


@every
def test_a_gradient_network_goes_through_like_a_loss(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PerceptualGradientNetwork("shuffled", width=8, blocks=1)
    found = evaluated(name, PGNLoss(network, name="tiny", imitates=f"{NETWORK};numerics:1"))
    assert np.isfinite(found.scores[0].value)
    assert all(value.grad is None for value in network.parameters())


@every
def test_known_answers(name: str, first: dict[str, tuple[Evaluation, Path]]) -> None:
    """What a score must be, found by a few lines that share no code with the benchmark."""
    found = {(score.name, score.split): score.value for score in first[name][0].scores}
    for key, value in KNOWN[name](first[name][0]).items():
        assert found[key] == pytest.approx(value, abs=2e-4), key


def known_similarity(_: Evaluation) -> dict[tuple[str, str], float]:
    """How often the weaker distortion has the smaller mean squared difference, by the definition."""
    data = read_sample("smoke")
    right: dict[str, list[float]] = {}
    for item in data.items:
        ref, p0, p1 = (data.images.load(key).double() for key in (item.ref, item.p0, item.p1))
        d0, d1 = float(((p0 - ref) ** 2).mean()), float(((p1 - ref) ** 2).mean())
        right.setdefault(item.split, []).append(float((d1 < d0) == (item.judge == 1)))
    return {("severity_agreement", OVERALL): float(np.mean([np.mean(r) for r in right.values()]))}


def known_super_resolution(_: Evaluation) -> dict[tuple[str, str], float]:
    """PSNR of bicubic enlargement on luma, with SciPy's blur and the formulas of ITU-R BT.601."""
    from scipy.ndimage import gaussian_filter

    values = []
    for path in held_out_photographs():
        if path.stem not in ("chelsea", "coffee"):  # those that the profile takes
            continue
        image = read_image(path).double().numpy()
        top, left = ((side - 96) // 2 for side in image.shape[1:])
        high = image[:, top : top + 96, left : left + 96]
        blurred = np.stack([gaussian_filter(c, 1.0, mode="mirror", radius=3) for c in high])
        low = interpolate(torch.from_numpy(blurred)[None], scale_factor=1 / 4, mode="bicubic").clamp(0, 1)
        back = interpolate(low, scale_factor=4, mode="bicubic", antialias=True).clamp(0, 1)[0].numpy()
        luma = np.array([65.481, 128.553, 24.966]) / 255
        difference = np.einsum("c,chw->hw", luma, back - high)[4:-4, 4:-4]
        values.append(-10 * np.log10((difference**2).mean()))
    assert len(values) == 2
    return {("psnr_y@bicubic", OVERALL): float(np.mean(values))}


def known_delineation(_: Evaluation) -> dict[tuple[str, str], float]:
    """Predicting road everywhere: correctness and quality are the share of road pixels."""
    scenes = read_sample_roads("smoke")
    labels = [scenes.read(k)[1] for k, split in enumerate(scenes.splits) if split == "test"]
    share = float(torch.stack(labels).mean())
    return {
        ("quality@everything", OVERALL): share,
        ("correctness@everything", OVERALL): share,
        ("f1@everything", OVERALL): 2 * share / (1 + share),
    }


def known_autoencoding(found: Evaluation) -> dict[tuple[str, str], float]:
    """Accuracy and PSNR by their definitions, from what is recorded of each image."""
    items = found.items
    errors = np.asarray(items["pixel_mse"])
    return {
        ("accuracy", OVERALL): float((items["label"] == items["predicted"]).mean()),
        ("pixel_mse", OVERALL): float(errors.mean()),
        ("psnr", OVERALL): float((-10 * np.log10(errors)).mean()),
    }


def plainly_fitted(
    make: Callable[[int, int], tuple[Callable[[], Tensor], Any]],
    targets: Tensor,
    objectives: list[Callable[[Tensor, Tensor], Tensor]],
    lr: float,
) -> Tensor:
    """Two images at a time, steps of Adam on one objective after the other: a plain loop."""
    out = []
    for start in range(0, len(targets), 2):
        wanted = targets[start : start + 2]
        images, parameters = make(start // 2, len(wanted))
        for k, objective in enumerate(objectives):
            if k == 0 or objective is not objectives[k - 1]:
                adam = torch.optim.Adam(parameters, lr=lr)
            adam.zero_grad()
            objective(images()[: len(wanted)], wanted).sum().backward()
            adam.step()
        out.append(images()[: len(wanted)].detach())
    return torch.cat(out)


def central(names: Any, side: int) -> Tensor:
    """The middle of the packaged photographs of these names."""
    found = {path.stem: read_image(path) for path in all_photographs()}
    corners = {name: [(size - side) // 2 for size in found[name].shape[1:]] for name in names}
    return torch.stack([found[n][:, y : y + side, x : x + side] for n, (y, x) in corners.items()])


def pixel_scores(outputs: Tensor, targets: Tensor, suffix: str = "") -> dict[tuple[str, str], float]:
    mse = (outputs - targets).double().square().mean((1, 2, 3))
    return {
        (f"psnr{suffix}", OVERALL): float((-10 * mse.log10()).mean()),
        (f"l1{suffix}", OVERALL): float((outputs - targets).abs().mean()),
    }


def known_image_prior(found: Evaluation) -> dict[tuple[str, str], float]:
    """Fifteen steps of Adam, written out."""
    targets = central(found.items["image"], 32)

    def make(group: int, count: int) -> tuple[Callable[[], Tensor], Any]:
        settings = {"width": 8, "scales": 2, "inputs": 8}
        prior = make_population("image-prior", 2, 32, seed=derived_seed(0, "start", group), **settings)
        return prior, prior.parameters()

    mse = [lambda x, y: (x - y).square().mean((1, 2, 3))] * 15
    return pixel_scores(plainly_fitted(make, targets, mse, 0.01), targets)


def known_inversion(found: Evaluation) -> dict[tuple[str, str], float]:
    """Ten steps on squared differences over ImageNet's variances, ten with the loss beside them."""
    targets, std = central(found.items["image"], 32), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    benchmark: Any = load_benchmark("inversion-sample")
    generator = benchmark.generator("smoke")
    generator.make_ready()

    def make(group: int, count: int) -> tuple[Callable[[], Tensor], Any]:
        latents = generator.start(2, derived_seed(0, "start", group)).requires_grad_()
        return lambda: generator.module(latents), [latents]

    first = [lambda x, y: ((x - y) / std).square().mean((1, 2, 3))] * 10
    then = [lambda x, y: ((x - y) / std).square().mean((1, 2, 3)) + (x - y).square().mean((1, 2, 3))] * 10
    before = pixel_scores(plainly_fitted(make, targets, first, 0.05), targets, "@mse phase")
    return pixel_scores(plainly_fitted(make, targets, first + then, 0.05), targets) | before


KNOWN = {
    "similarity-sample": known_similarity,
    "super-resolution-sample": known_super_resolution,
    "delineation-sample": known_delineation,
    "autoencoding-sample": known_autoencoding,
    "image-prior-sample": known_image_prior,
    "inversion-sample": known_inversion,
}


@pytest.mark.slow
@trained
def test_two_processes_train_one_model(name: str, tmp_path: Path) -> None:
    found = load_benchmark(name).evaluate(NETWORK, profile="smoke", folder=tmp_path, device="cpu*2")
    assert found.facts["epochs"] >= 1
    broken = load_loss(NETWORK)
    with torch.no_grad():
        for value in broken.network.parameters():
            value.fill_(torch.nan)
    with pytest.raises(DataError, match="training on 2 devices failed: the training loss became nan"):
        load_benchmark(name).evaluate(broken, profile="smoke", device="cpu*2")


@pytest.mark.slow
@trained
def test_mixed_precision(name: str) -> None:
    found = load_benchmark(name, precision="bf16-mixed").evaluate(NETWORK, profile="smoke")
    assert found.facts["precision"] == "bf16-mixed"
    with pytest.raises(ConfigError, match=r"precision .* bf16-mixed"):
        load_benchmark(name, precision="half").evaluate(NETWORK, profile="smoke")
