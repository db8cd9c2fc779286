"""Sweeps of the training benchmarks when something breaks: that run is reported, the others are unharmed."""

from __future__ import annotations

import contextlib
import csv
import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lossnets.benchmarks import tensors
from lossnets.cli import main
from lossnets.home import atomic_write
from lossnets.images import write_image
from lossnets.runs.records import RunRecord
from lossnets.runs.store import Store

PLAN = """\
name: test
losses: [{losses}]
benchmarks:
  - benchmark: {benchmark}
    data: {data}
profile: smoke
store: results.sqlite
"""


def planned(folder: Path, losses: str, benchmark: str = "delineation", data: str = "sample") -> Path:
    path = folder / "plan.yaml"
    path.write_text(PLAN.format(losses=losses, benchmark=benchmark, data=data))
    return path


def records(folder: Path) -> dict[str, RunRecord]:
    with Store(str(folder / "results.sqlite"), create=False, read_only=True) as store:
        return {record.config.loss: record for record in store.records()}


def test_a_killed_sweep_goes_on_within_the_training(tmp_path: Path) -> None:
    """Killed after two epochs of six: the second sweep trains the other four, to the same numbers."""
    (tmp_path / "whole").mkdir()
    assert main(["sweep", str(planned(tmp_path / "whole", "pixel:bce"))]) == 0
    (tmp_path / "killed").mkdir()
    plan = planned(tmp_path / "killed", "pixel:bce")
    code = (
        "import os, signal\n"
        "import lossnets.benchmarks.engine.checkpoints as c\n"
        "from lossnets.cli import main\n"
        "save, count = c.SafetensorsIO.save_checkpoint, []\n"
        "def dies(self, checkpoint, path, storage_options=None):\n"
        "    save(self, checkpoint, path)\n"
        "    count.append('last' in str(path))\n"
        "    if sum(count) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "c.SafetensorsIO.save_checkpoint = dies\n"
        f"main(['sweep', {str(plan)!r}])\n"
    )
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert died.returncode == -9, died.stderr.decode()
    (log,) = (tmp_path / "killed").rglob("log.csv")
    assert len(rows(log)) == 2
    kept = rows(log)
    assert main(["sweep", str(plan)]) == 0
    assert rows(log)[:2] == kept  # these epochs were not trained again: their times are the old ones
    whole, killed = (records(tmp_path / name)["pixel:bce"] for name in ("whole", "killed"))
    assert [s.value for s in killed.scores] == [pytest.approx(s.value, abs=1e-9) for s in whole.scores]
    assert killed.facts["epochs"] == 6


def rows(log: Path) -> list[dict[str, str]]:
    with log.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_loss_that_overflows_fails_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = load_all_weights()
    save_file({key: value * 1e30 for key, value in weights.items()}, tmp_path / "huge.safetensors")
    plan = planned(tmp_path, '"squeezenet1_1/features.1:weights=huge.safetensors", pixel:bce')
    assert main(["sweep", str(plan)]) == 1
    found = records(tmp_path)
    broken = found["squeezenet1_1/features.1:weights=huge.safetensors"]
    assert broken.status == "failed"
    assert broken.failure is not None
    assert "the training loss became" in broken.failure.message
    assert "epoch 1, step 1" in broken.failure.message
    assert found["pixel:bce"].status == "done"


def load_all_weights() -> dict[str, torch.Tensor]:
    from lossnets.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torchvision

    return dict(torchvision.models.squeezenet1_1().state_dict())


def test_a_full_disk_fails_the_run_that_met_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    @contextmanager
    def full_once(path: Path, *args: Any, **options: Any) -> Iterator[Any]:
        calls.append(path)
        with atomic_write(path, *args, **options) as file:
            if len(calls) == 3:
                raise OSError(errno.ENOSPC, "No space left on device")
            yield file

    monkeypatch.setattr(tensors, "atomic_write", full_once)
    assert main(["sweep", str(planned(tmp_path, "pixel:bce, pixel:l1"))]) == 1
    found = records(tmp_path)
    assert found["pixel:bce"].status == "failed"
    assert found["pixel:bce"].failure is not None
    assert "No space left" in found["pixel:bce"].failure.message
    assert found["pixel:l1"].status == "done"
    monkeypatch.undo()
    assert main(["sweep", str(tmp_path / "plan.yaml")]) == 0  # there is room again: it goes on
    assert records(tmp_path)["pixel:bce"].status == "done"


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        for k in range(4):
            write_image(tmp_path / folder / f"{k}.png", torch.rand(3, 64, 64))
    data = (tmp_path / "train" / "2.png").read_bytes()
    (tmp_path / "train" / "2.png").write_bytes(data[: len(data) // 2])
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "name: a\nlosses: pixel:mse\nprofile: smoke\nstore: results.sqlite\nbenchmarks:\n"
        "  - {benchmark: super-resolution, data: {kind: folders, train: train, test: test}}\n"
        "  - {benchmark: delineation-sample, losses: pixel:bce}\n"
    )
    assert main(["sweep", str(plan)]) == 1
    found = records(tmp_path)
    broken = found["pixel:mse"]
    assert broken.failure is not None
    assert "2.png" in broken.failure.message
    assert found["pixel:bce"].status == "done"


def test_an_unreadable_image_that_is_met_at_once_fails_its_runs_only(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "roads" / folder).mkdir(parents=True)
        for k in range(4):
            write_image(tmp_path / "roads" / folder / f"{k}.png", torch.zeros(3, 32, 32))
    (tmp_path / "roads" / "images" / "2.png").write_bytes(b"no image")
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "name: a\nlosses: pixel:bce\nprofile: smoke\nstore: results.sqlite\nbenchmarks:\n"
        "  - {benchmark: delineation, data: {kind: folders, images: roads}}\n"
        "  - {benchmark: delineation, data: sample, losses: pixel:l1}\n"
    )
    assert main(["sweep", str(plan)]) == 1
    found = records(tmp_path)
    assert found["pixel:bce"].failure is not None
    assert "2.png" in found["pixel:bce"].failure.message
    assert found["pixel:l1"].status == "done"


SLOW_PLAN = PLAN.replace("profile: smoke", "profile: small")


def test_sigterm_ends_a_sweep_that_trains(tmp_path: Path) -> None:
    """As schedulers end jobs: not with status 0, and the next sweep goes on."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(SLOW_PLAN.format(losses="pixel:bce", benchmark="delineation", data="sample"))
    with subprocess.Popen([sys.executable, "-m", "lossnets", "sweep", str(plan)]) as sweep:
        wait_for(tmp_path, "last.safetensors", 1)
        sweep.terminate()
        assert sweep.wait(20) in (-15, 143)
    assert list(tmp_path.rglob("last.safetensors"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker in /proc")
def test_a_worker_that_is_terminated_takes_no_run_with_it(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.format(losses="pixel:bce, pixel:l1", benchmark="delineation", data="sample"))
    command = [sys.executable, "-m", "lossnets", "sweep", str(plan), "--workers", "2"]
    with subprocess.Popen(command) as sweep:
        wait_for(tmp_path, "log.csv", 2)
        os.kill(workers_of(sweep.pid)[0], 15)
        assert sweep.wait(120) == 0
    assert {record.status for record in records(tmp_path).values()} == {"done"}


def wait_for(folder: Path, name: str, count: int) -> None:
    for _ in range(600):
        if len(list(folder.rglob(name))) >= count:
            return
        time.sleep(0.1)
    raise AssertionError(f"no {name} after a minute")


def workers_of(parent: int) -> list[int]:
    """Processes that a pool of workers started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"PPid:\t{parent}\n" in status.read_text():
                command = status.with_name("cmdline").read_text()
                if "spawn_main" in command:
                    found.append(int(status.parent.name))
    return sorted(found)


@pytest.mark.slow
def test_workers_share_the_trainings(tmp_path: Path) -> None:
    assert main(["sweep", str(planned(tmp_path, "pixel:bce, pixel:l1")), "--workers", "2"]) == 0
    assert {record.status for record in records(tmp_path).values()} == {"done"}
    assert len(list(tmp_path.rglob("model.safetensors"))) == 2


def test_missing_data_stop_the_sweep_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(planned(tmp_path, "pixel:mse", "autoencoding", "stl10"))]) == 2
    told = capsys.readouterr().err
    assert "stl10" in told
    assert "lossnets data fetch stl10" in told
    assert not os.environ["LOSSNETS_HOME"] or not (tmp_path / "results.runs").exists()
