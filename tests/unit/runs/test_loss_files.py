"""Files inside loss names (weights, heads): found from the plan's folder, named as the plan says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lossnets.errors import ConfigError, WeightsError
from lossnets.networks import load_network
from lossnets.runs.executors import ProcessExecutor
from lossnets.runs.losses import located
from lossnets.runs.plan import read_plan
from lossnets.runs.store import Store
from lossnets.runs.sweep import run_sweep

LOSS = "squeezenet1_1/features.1:unit-spatial-sum:weights=files/w.safetensors:head=files/h.safetensors"
PLAN = f"""\
name: files
losses: [{LOSS}]
benchmarks: {{benchmark: similarity, data: sample}}
profile: smoke
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plan, weights and a head; the process runs elsewhere."""
    place = tmp_path / "study one"
    (place / "files").mkdir(parents=True)
    network = load_network("squeezenet1_1", weights="random-7")
    save_file(dict(network.blueprint.rebuild().state_dict()), place / "files" / "w.safetensors")
    save_file({"features.1": torch.linspace(0, 1, 64)}, place / "files" / "h.safetensors")
    (place / "plan.yaml").write_text(PLAN)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return place


def test_relative_files_start_at_the_plan_and_the_name_stays(folder: Path) -> None:
    plan = read_plan(folder / "plan.yaml")
    assert plan.losses == (LOSS,)
    with Store("sqlite://") as store:
        run_sweep(plan, store)
        (record,) = store.records()
    assert (record.status, record.config.loss) == ("done", LOSS)
    assert record.config.signature.startswith(LOSS)
    assert str(folder) not in json.dumps(record.config.to_dict())


def test_a_copied_folder_is_the_same_run_and_other_weights_are_another(folder: Path) -> None:
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    with Store("sqlite://") as store:
        run_sweep(read_plan(folder / "plan.yaml"), store)
        assert len(run_sweep(read_plan(copy / "plan.yaml"), store).skipped) == 1
        save_file({"features.1": torch.linspace(1, 0, 64)}, copy / "files" / "h.safetensors")
        assert len(run_sweep(read_plan(copy / "plan.yaml"), store).done) == 1


def test_worker_processes_find_them_too(folder: Path) -> None:
    with Store("sqlite://") as store, Store("sqlite://") as other:
        run_sweep(read_plan(folder / "plan.yaml"), store)
        run_sweep(read_plan(folder / "plan.yaml"), other, executor=ProcessExecutor(1))
        assert [r.scores for r in store.records()] == [r.scores for r in other.records()]


@pytest.mark.parametrize("file", ["w.safetensors", "h.safetensors"])
def test_a_missing_file_is_found_before_anything_runs(folder: Path, file: str) -> None:
    (folder / "files" / file).unlink()
    with pytest.raises(WeightsError) as caught:
        read_plan(folder / "plan.yaml")
    told = str(caught.value)
    assert "plan.yaml, line 2, losses[0]" in told
    assert f"there is no file {folder / 'files' / file}" in told


def test_one_file_under_two_names_is_one_loss(folder: Path) -> None:
    again = LOSS.replace("files/w", "./files/w")
    (folder / "plan.yaml").write_text(PLAN.replace(f"[{LOSS}]", f"[{LOSS}, {again}]"))
    with pytest.raises(ConfigError, match="again"):
        read_plan(folder / "plan.yaml")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pixel:mse", "pixel:mse"),
        ("vgg16/relu3_3:weights=random-3", "vgg16/relu3_3:weights=random-3"),
        ("vgg16/relu3_3:weights=IMAGENET1K_FEATURES", "vgg16/relu3_3:weights=IMAGENET1K_FEATURES"),
        ("vgg16/relu3_3:weights=a%20b.pth", "vgg16/relu3_3:weights=/p/a%20b.pth"),
        ("vgg16/relu3_3:weights=/abs/a.pth", "vgg16/relu3_3:weights=/abs/a.pth"),
        ("vgg16/relu3_3:head=h", "vgg16/relu3_3:head=/p/h"),
    ],
)
def test_only_files_are_located(name: str, found: str) -> None:
    assert located(name, "/p") == found


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    make: Callable[[str], str] = lambda path: located(f"vgg16/relu3_3:weights={path}", "/p")  # noqa: E731
    assert make("~/a.pth") == "vgg16/relu3_3:weights=/somebody/a.pth"
