"""Trained variants through a plan: a head is trained, stored, kept, resumed after a kill, and usable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lossnets.benchmarks import TrainingSettings, load_benchmark, train_head
from lossnets.cli import main
from lossnets.datasets import read_triplets_csv
from lossnets.errors import ConfigError
from lossnets.losses import load_loss
from lossnets.runs.plan import parse_plan, read_plan
from lossnets.runs.records import RunRecord
from lossnets.runs.store import Store
from lossnets.runs.sweep import run_sweep

LOSS = "squeezenet1_1/features.1,features.4:unit-spatial-sum:weights=random-3"
PLAN = f"""\
name: heads
losses: '{LOSS}'
benchmarks:
  - benchmark: similarity
    data: {{kind: triplets, csv: test.csv, train: train.csv, images: images}}
    options: {{resize: 32}}
variants: VARIANTS
profile: smoke
store: results.sqlite
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Plain-coloured images, and votes of people who look at red only."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (20, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    for k, colour in enumerate(colours):
        pixels = np.clip(colour + rng.normal(0, 8, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{k}.png")
    for name, count in (("train", 60), ("test", 30)):
        rows = []
        for _ in range(count):
            r, a, b = rng.choice(20, 3, replace=False)
            near_a = abs(int(colours[a, 0]) - int(colours[r, 0])) < abs(
                int(colours[b, 0]) - int(colours[r, 0])
            )
            rows.append(f"{r}.png,{a}.png,{b}.png,{4 if near_a else 1},{1 if near_a else 4}\n")
        (tmp_path / f"{name}.csv").write_text("ref,a,b,votes_a,votes_b\n" + "".join(rows))
    return tmp_path


def write_plan(folder: Path, variants: str) -> Path:
    (folder / "plan.yaml").write_text(PLAN.replace("VARIANTS", variants))
    return folder / "plan.yaml"


def by_variant(store: Path) -> dict[str, RunRecord]:
    with Store(store, read_only=True) as opened:
        return {record.config.variant: record for record in opened.records()}


def test_a_plan_trains_keeps_and_scores_every_variant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(write_plan(folder, "[baseline, lin, tune, scratch]"))]) == 0
    assert "(smoke, lin)" in capsys.readouterr().out
    records = by_variant(folder / "results.sqlite")
    assert list(records) == ["baseline", "lin", "tune", "scratch"]
    assert {r.status for r in records.values()} == {"done"}
    assert len({r.config.fingerprint for r in records.values()}) == 2  # a trained run saw more data
    for variant in ("lin", "tune", "scratch"):
        facts = records[variant].facts
        head = Path(str(facts["head"]))
        weights, card = load_file(head), json.loads(head.with_name("head.json").read_text())
        assert {tap: tuple(w.shape) for tap, w in weights.items()} == {
            "features.1": (64,), "features.4": (128,),
        }  # fmt: skip
        assert min(float(w.min()) for w in weights.values()) >= 0
        assert (card["loss"], card["variant"]) == (LOSS, variant)
        assert card["scores"][0]["value"] == records[variant].scores[0].value
        assert head.with_name("trunk.safetensors").exists() == (variant != "lin")


def test_a_trained_head_is_a_loss_with_the_same_scores(folder: Path) -> None:
    main(["sweep", str(write_plan(folder, "lin"))])
    (lin,) = by_variant(folder / "results.sqlite").values()
    name = str(lin.facts["loss_with_head"])
    assert name == f"{LOSS}:head={lin.facts['head']}"
    (folder / "heads.yaml").write_text(PLAN.replace("VARIANTS", "baseline").replace(f"'{LOSS}'", f"'{name}'"))
    with Store("sqlite://") as store:
        run_sweep(read_plan(folder / "heads.yaml"), store)
        (record,) = store.records()
        again = store.items(record.config)
    assert record.scores == lin.scores
    with Store(folder / "results.sqlite", read_only=True) as store:
        np.testing.assert_allclose(again["d0"], store.items(lin.config)["d0"], rtol=1e-4)
    loss = load_loss(name, reduction="none")
    assert loss(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)).shape == (2,)


@pytest.mark.slow
def test_a_sweep_that_is_killed_in_mid_training_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(folder, "tune")
    command = [sys.executable, "-m", "lossnets", "sweep", str(plan)]
    trained = Path(os.environ["LOSSNETS_HOME"]) / "trained"
    code = (  # dies when the first epoch is on disk
        "import os, signal, sys, lossnets.benchmarks.similarity.training_loop as t\n"
        "from lossnets.cli import main\n"
        "after = t._State.after_epoch\n"
        "def dies(self, *a): after(self, *a); os.kill(os.getpid(), signal.SIGKILL)\n"
        "t._State.after_epoch = dies; main(sys.argv[1:])"
    )
    killed = subprocess.run([sys.executable, "-c", code, *command[3:]], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    (log,) = trained.glob("*/log.jsonl")
    assert len(log.read_text().splitlines()) == 1
    first = log.read_text()
    assert by_variant(folder / "results.sqlite")["tune"].status == "running"

    start = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = log.read_text().splitlines(keepends=True)
    assert (lines[0], len(lines)) == (first, 2)  # went on, did not begin again
    record = by_variant(folder / "results.sqlite")["tune"]
    assert (record.status, Path(str(record.facts["head"])).parent) == ("done", log.parent)
    assert record.seconds < time.time() - start

    other = write_plan(folder, "tune")
    monkeypatch.setenv("LOSSNETS_HOME", str(folder / "another home"))
    with Store("sqlite://") as store:
        run_sweep(read_plan(other), store)
        (whole,) = store.records()
    assert whole.score("2afc_score").value == pytest.approx(record.score("2afc_score").value)


def test_other_training_data_are_another_run(folder: Path) -> None:
    plan = read_plan(write_plan(folder, "[baseline, lin]"))
    with Store("sqlite://") as store:
        run_sweep(plan, store)
        text = (folder / "train.csv").read_text()
        (folder / "train.csv").write_text("".join(text.splitlines(keepends=True)[:-5]))
        from lossnets.runs import benchmarks

        benchmarks._load.cache_clear()
        summary = run_sweep(plan, store)
    assert [c.variant for c in summary.skipped] == ["baseline"]
    assert [r.config.variant for r in summary.done] == ["lin"]


def test_without_training_data_the_plan_is_refused(folder: Path) -> None:
    text = PLAN.replace("VARIANTS", "lin").replace("train: train.csv, ", "")
    with pytest.raises(ConfigError, match=r"benchmarks\[0\]: variant 'lin' .* give its data the key 'train'"):
        parse_plan(text, folder=folder)


def test_train_head_is_one_call_from_data_to_a_loss_name(folder: Path) -> None:
    data = read_triplets_csv(folder / "train.csv", folder / "images", resize=32)
    settings = TrainingSettings(epochs=15, decay_epochs=15, batch_size=16, lr=0.01)
    name = train_head(LOSS, data, folder / "my head", settings=settings)
    assert name == f"{LOSS}:head={folder}/my%20head/head.safetensors".replace(" ", "%20")
    test = load_benchmark("similarity-triplets", csv=folder / "test.csv", images=folder / "images", resize=32)
    scores = {loss: found[0].value for loss, found in test.run_many([LOSS, name], profile="smoke").items()}
    assert scores[name] > scores[LOSS] + 0.02  # it learnt what people look at
    assert train_head(LOSS, data, folder / "my head", settings=settings) == name  # nothing to do


def test_train_head_says_what_it_takes(folder: Path) -> None:
    with pytest.raises(ConfigError, match="data must be a set of triplets"):
        train_head(LOSS, "train.csv", folder)  # type: ignore[arg-type]
    data = read_triplets_csv(folder / "train.csv", folder / "images", resize=32)
    with pytest.raises(ConfigError, match="sum over channels"):
        train_head("pixel:mse", data, folder)
