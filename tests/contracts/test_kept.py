"""One exam for everything that is kept: its source changes, but for its content; nothing old may be used.

Path, name, size and time of modification of a file stay as they were. What was made of it before is then made
anew, or refused. Something new that is kept joins by an entry of `BENCHMARKS` or `KEPT`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from lossnets.benchmarks import load_benchmark
from lossnets.benchmarks.engine import lightning
from lossnets.benchmarks.similarity.training import trainee
from lossnets.benchmarks.similarity.training_data import cache_channel_distances
from lossnets.benchmarks.super_resolution.judge import Judge
from lossnets.datasets import fingerprint, image_folder, read_triplets_csv
from lossnets.datasets.sources import FolderImages
from lossnets.errors import ConfigError, DataChangedError
from lossnets.gradients.training.data import find_pictures
from lossnets.gradients.training.profiles import profile
from lossnets.gradients.training.train import train_pgn
from lossnets.losses import load_loss
from lossnets.networks import catalogue
from lossnets.networks.weights import verify_file
from lossnets.runs import Store, read_plan, run_sweep

OLD = 1_600_000_000  # seconds: long ago, so that hashes of files are kept


def draw(folder: Path, seed: int, *, count: int = 6, side: int = 96) -> Path:
    """Pictures and masks of the same names, sizes in bytes and times for every seed."""
    random = np.random.default_rng(seed)
    for number in range(count):
        wave = np.add.outer(np.arange(side) * (number + 1 + seed), np.arange(side)) % 256
        pixels = wave[..., None] + random.integers(-40, 40, (side, side, 3)) // (1 + seed)
        picture = pixels.clip(0, 255).astype(np.uint8)
        _save(folder / "images" / f"{number}.bmp", picture)
        road = np.zeros((side, side), np.uint8)
        road[:, 20 + seed : 40 + seed + number] = 255
        _save(folder / "masks" / f"{number}.bmp", road)
        _save(folder / "classes" / "ab"[number % 2] / f"{number}.bmp", picture[:64, :64])
    return folder


def _save(path: Path, pixels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    os.utime(path, (OLD, OLD))


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute has gone by between two looks at a file: what it held is remembered."""
    now = time.time_ns
    monkeypatch.setattr("lossnets.file_hash.time.time_ns", lambda: now() + 60 * 10**9)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = draw(tmp_path / "data", 0)
    rows = ["ref,a,b,votes_a,votes_b", *(f"{k}.bmp,{k + 1}.bmp,{k + 2}.bmp,0,1" for k in range(4))]
    (folder / "triplets.csv").write_text("\n".join(rows))
    rows = ["ref,dist,mos", *(f"{k}.bmp,{k + 1}.bmp,{k}" for k in range(4))]
    (folder / "opinions.csv").write_text("\n".join(rows))
    return folder


def _pairs(benchmark: Any) -> Tensor:
    return torch.stack([benchmark.load("smoke").images.load(f"{k}.bmp") for k in range(4)])


# benchmark -> its options below the folder of data, what it holds of them
BENCHMARKS: dict[str, tuple[dict[str, Any], Callable[[Any], Tensor]]] = {
    "similarity-triplets": ({"csv": "triplets.csv", "images": "images"}, _pairs),
    "similarity-opinions": ({"csv": "opinions.csv", "images": "images", "higher_is_better": True}, _pairs),
    "super-resolution-folders": (
        {"train": "images", "test": "images"},
        lambda b: b.task(load_loss("pixel:mse", reduction="mean"), seed=0, profile="smoke").validation_batch(
            [0]
        )[1],
    ),
    "image-prior-folders": ({"images": "images"}, lambda b: b.targets("smoke").images),
    "inversion-folders": ({"images": "images", "train": "images"}, lambda b: b.targets("smoke").images),
    "delineation-folders": (
        {"images": "images", "masks": "masks"},
        lambda b: torch.cat([part for k in range(6) for part in b.scenes("smoke").read(k)]),
    ),
    "autoencoding-folders": ({"root": "classes"}, lambda b: b.corpus.train.images.batch([0, 1])),
}


def benchmark_of(name: str, place: Path) -> Any:
    options = BENCHMARKS[name][0].items()
    return load_benchmark(name, **{k: str(place / v) if isinstance(v, str) else v for k, v in options})


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_reads_other_pictures(name: str, place: Path) -> None:
    benchmark, look = benchmark_of(name, place), BENCHMARKS[name][1]
    first, before = benchmark.refresh(), look(benchmark)
    kept = vars(benchmark).copy()
    assert benchmark.refresh() == first
    assert vars(benchmark) == kept  # nothing is read twice
    draw(place, 5)
    assert benchmark.refresh() != first
    assert not torch.equal(look(benchmark), before)
    assert torch.equal(look(benchmark), look(benchmark_of(name, place)))
    draw(place, 0)
    assert benchmark.refresh() == first
    assert torch.equal(look(benchmark), before)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_picture_that_comes_or_goes_makes_other_data(name: str, place: Path) -> None:
    if "csv" in BENCHMARKS[name][0]:
        pytest.skip("the table says which pictures there are")
    benchmark = benchmark_of(name, place)
    first = benchmark.refresh()
    for file in ("images/6.bmp", "masks/6.bmp", "classes/a/6.bmp"):
        shutil.copy(place / file.replace("6", "0" if "classes" in file else "1"), place / file)
    assert benchmark.refresh() != first


@pytest.mark.parametrize("name", ["similarity-triplets", "image-prior-folders"])
def test_data_that_change_during_a_run_are_refused(name: str, place: Path, tmp_path: Path) -> None:
    """One run that trains and one that does not; nothing is left that somebody could go on from."""
    benchmark = benchmark_of(name, place)
    options: dict[str, Any] = {"profile": "smoke", "progress": lambda *_: draw(place, 5)}
    if name == "similarity-triplets":
        with pytest.raises(DataChangedError, match="changed while a run was at work"):
            benchmark.evaluate_many(["pixel:mse"], **options)
        return
    (answer,) = benchmark.evaluate_many(["pixel:mse"], folder=tmp_path / "run", **options).values()
    assert isinstance(answer, DataChangedError)
    assert not list((tmp_path / "run").glob("*.safetensors"))


def _plan(folder: Path, benchmark: str, data: str) -> Path:
    lines = "name: p", "losses: [pixel:mse]", f"benchmarks: {{benchmark: {benchmark}, data: {data}}}"
    (folder / "plan.yaml").write_text("\n".join([*lines, "profile: smoke", "store: r.sqlite"]))
    return folder / "plan.yaml"


def _sweep(plan: Path, store: Path) -> tuple[int, int, list[float]]:
    """Runs that were done, runs that were skipped, and the scores of those done."""
    with Store(store) as results:
        found = run_sweep(read_plan(plan), results)
        return (
            len(found.done),
            len(found.skipped),
            [score.value or 0.0 for r in found.done for score in r.scores],
        )


def test_a_sweep_computes_with_the_pictures_that_are_there(place: Path, tmp_path: Path) -> None:
    """Twice in one process, with one store and with another."""
    plan = _plan(place, "similarity", "{kind: triplets, csv: triplets.csv, images: images}")
    first = _sweep(plan, tmp_path / "one.sqlite")
    assert _sweep(plan, tmp_path / "one.sqlite")[:2] == (0, 1)
    draw(place, 5)
    again = _sweep(plan, tmp_path / "one.sqlite")
    assert again[:2] == (1, 0)
    assert _sweep(plan, tmp_path / "two.sqlite") == again
    draw(place, 0)
    assert _sweep(plan, tmp_path / "three.sqlite") == first


class Stop(Exception):  # noqa: N818 - it is no error
    """In the place of a kill."""


def _stops_after_the_second() -> Callable[..., None]:
    """A way of writing checkpoints that ends the training after its second epoch."""
    save, left = lightning.SafetensorsIO.save_checkpoint, [2]

    def saved(self: Any, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        save(self, checkpoint, path, storage_options)
        left[0] -= "last" in str(path)
        if left[0] == 0:
            raise Stop

    return saved


@pytest.mark.parametrize("what", ["moved", "replaced", "moved and replaced"])
def test_a_training_goes_on_after_a_move_and_starts_anew_with_other_pictures(
    what: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, place = "super-resolution-folders", place.rename(tmp_path / "here")
    seed = 5 if "replaced" in what else 0
    draw(place, seed)
    (whole,) = benchmark_of(name, place).evaluate_many(["pixel:mse"], profile="smoke").values()
    draw(place, 0)
    with monkeypatch.context() as patch:
        patch.setattr(lightning.SafetensorsIO, "save_checkpoint", _stops_after_the_second())
        with pytest.raises(Stop):
            benchmark_of(name, place).evaluate("pixel:mse", profile="smoke", folder=place / "run")
    assert (place / "run" / "last.safetensors").is_file()
    if "moved" in what:
        place = place.rename(tmp_path / "there")
    draw(place, seed)
    (found,) = (
        benchmark_of(name, place).evaluate_many(["pixel:mse"], profile="smoke", folder=place / "run").values()
    )
    assert [score.value for score in found.scores] == [score.value for score in whole.scores]
    epochs = (place / "run" / "log.csv").read_text().count("\n") - 1
    assert found.facts["epochs"] == epochs == whole.facts["epochs"]


def test_a_gradient_network_goes_on_with_the_same_pictures_only(place: Path, tmp_path: Path) -> None:
    config = profile("smoke", backbone="shuffled", steps=3, log_every=1, checkpoint_seconds=0.0)
    images, out = place / "images", tmp_path / "net.safetensors"

    def stops(_: Any) -> None:
        raise Stop

    with pytest.raises(Stop):
        train_pgn("pixel:mse", images, out, config, progress=stops)
    (tmp_path / "net.safetensors.run" / "last.safetensors").touch()
    draw(place, 5)
    with pytest.raises(ConfigError, match="data is"):
        train_pgn("pixel:mse", images, out, config)
    draw(place, 0)
    (images / "0.bmp").rename(images / "x.bmp")  # other images are held out, others drawn
    with pytest.raises(ConfigError, match="images is"):
        train_pgn("pixel:mse", images, out, config)


# --- whatever else is kept: what -> (its file, write it with a number, look at what is made of it)


def _weights(path: Path, seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        save_file(catalogue.build("squeezenet1_1", meta=False).state_dict(), path)


def _picture(path: Path, seed: int) -> None:
    _save(path, np.random.default_rng(seed).integers(0, 255, (64, 64, 3)).astype(np.uint8))


def _judged(path: Path) -> Any:
    judge = Judge(f"squeezenet1_1/features.0:weights={path}")
    return judge.identity(), float(judge.load()(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)))


_JUDGE: list[Any] = []
_SOURCE: list[FolderImages] = []


def _one_judge(path: Path) -> Any:
    """The same object, which has loaded its loss before."""
    if not _JUDGE:
        _JUDGE.append(Judge(f"squeezenet1_1/features.0:weights={path}"))
    return float(_JUDGE[0].load()(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)))


def _one_source(path: Path) -> Any:
    if not _SOURCE:
        _SOURCE.append(FolderImages(path.parent))
    return _SOURCE[0].load(path.name).sum().item()


def _channels(path: Path) -> Any:
    """Distances that are kept in a folder between two trainings."""
    table = path.parent / "t.csv"
    table.write_text(f"ref,a,b,votes_a,votes_b\n{path.name},{path.name},b.bmp,0,1\n")
    _picture(path.parent / "b.bmp", 9)
    subject = trainee("squeezenet1_1/features.0:lpips:weights=random-0", "lin")
    data = read_triplets_csv(table, path.parent)
    found = cache_channel_distances(subject.channels, data, folder=path.parent, identity="x")
    return {tap: values.sum().item() for tap, values in found.shares.items()}


KEPT: dict[str, tuple[str, Callable[[Path, int], None], Callable[[Path], Any]]] = {
    "hash of a weights file": ("w.safetensors", _weights, verify_file),
    "judge of a benchmark": ("w.safetensors", _weights, _judged),
    "judge that is loaded": ("w.safetensors", _weights, _one_judge),
    "loss of a file": (
        "w.safetensors",
        _weights,
        lambda p: load_loss(f"squeezenet1_1/features.0:weights={p}").signature(),
    ),
    "fingerprint of a folder": ("a.bmp", _picture, lambda p: fingerprint(image_folder(p.parent), p.parent)),
    "decoded pictures": ("a.bmp", _picture, _one_source),
    "pictures of a gradient network": (
        "a.bmp",
        _picture,
        lambda p: find_pictures(p.parent, 32, 0.0).identity(),
    ),
    "channel distances": ("a.bmp", _picture, _channels),
}


@pytest.mark.parametrize("what", KEPT)
def test_nothing_old_is_used(what: str, tmp_path: Path) -> None:
    name, write, look = KEPT[what]
    _JUDGE.clear()
    _SOURCE.clear()
    path = tmp_path / name
    write(path, 0)
    os.utime(path, (OLD, OLD))
    size, first = path.stat().st_size, look(path)
    assert look(path) == first
    write(path, 1)
    os.utime(path, (OLD, OLD))
    assert path.stat().st_size == size
    other = look(path)
    assert other != first
    write(path, 0)
    os.utime(path, (OLD, OLD))
    assert look(path) == first
