"""Training as a whole: what it writes, that it resumes to the same network, what it refuses, how it fails."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lossnets.errors import ConfigError, DataError
from lossnets.gradients import check_imitates, load_pgn
from lossnets.gradients.training import PGNConfig, TrainingProgress, train_pgn
from lossnets.gradients.training.objective import Objective
from lossnets.gradients.training.progress import DivergedError
from lossnets.gradients.training.state import read_state
from lossnets.losses import load_loss

LOSS = "squeezenet1_1/features.1:lpips:weights=random-0"
Tiny = Callable[..., PGNConfig]


class Stopped(Exception):  # noqa: N818
    """What a test stops a training with."""


def stop_at(step: int) -> Callable[[TrainingProgress], None]:
    def tell(progress: TrainingProgress) -> None:
        if progress.step >= step:
            raise Stopped

    return tell


def weights(path: Path) -> dict[str, Tensor]:
    return load_pgn(path)[0].state_dict()


def assert_same(a: Path, b: Path, tolerance: float = 1e-6) -> None:
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.allclose(value.float(), second[name].float(), rtol=0, atol=tolerance), name


def test_a_checkpoint_with_its_card_log_and_panels(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    told: list[TrainingProgress] = []
    config = tiny(backbone="distilled", first_taps=1, panel_every=2, fidelity_crops=2, fidelity_steps=3)
    out = train_pgn(LOSS, pictures, tmp_path / "mine.safetensors", config, progress=told.append)
    network, card = load_pgn(out)
    assert (card.name, card.loss) == ("mine", str(load_loss(LOSS)))
    check_imitates(card, LOSS)
    assert network.architecture.family == "distilled"
    assert card.data["images"] == 3
    assert card.data["held_out"] == 1
    assert card.data["folder"] == pictures.name
    assert card.training["config"] == config.as_dict()
    assert (card.training["steps"], card.training["samples"]) == (4, 4 + 8 + 8 + 8)
    assert card.training["seconds"] > 0
    for kind in ("deep-decoder", "image-prior"):
        figures = card.fidelity[kind]
        assert set(figures["cosine"]) == set(figures["cosine_mse"]) == {"1", "2", "4", "8"}
        assert figures["norm_ratio"] > 0
        assert math.isfinite(figures["relative_error"])
    assert [p.step for p in told] == [2, 4]
    assert all(-1 <= p.cosine <= 1 and p.norm_ratio > 0 and p.true_loss > 0 for p in told)
    assert told[0].terms.keys() == {"matching_cosine", "matching_norm"}
    run = tmp_path / "mine.safetensors.run"
    assert (run / "log.csv").read_text().count("\n") == 3
    assert sorted(p.name for p in (run / "panels").iterdir()) == ["step-0000002.png", "step-0000004.png"]
    assert list((run / "tensorboard").iterdir())
    # again: nothing is left to train, without the log neither
    told.clear()
    (run / "log.csv").unlink()
    assert train_pgn(LOSS, pictures, out, config, progress=told.append) == out
    assert told == []


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "distilled", "driven_by": (1, 1, 1), "clip_factor": 2.0},
        {
            "priors": 0.5, "batch": 6, "autoencoders": (0, 1), "autoencoder_width": 4, "proxy_l1": 0.5,
            "reset_after": 1, "reset_probability": 0.5, "schedule": "cosine", "clip_factor": 1.0,
        },
    ],
)  # fmt: skip
def test_resumed_equals_uninterrupted(
    pictures: Path, tmp_path: Path, tiny: Tiny, changes: dict[str, Any]
) -> None:
    config = tiny(**{"steps": 8, **changes})
    whole = train_pgn(LOSS, pictures, tmp_path / "whole.safetensors", config)
    parts = tmp_path / "parts.safetensors"
    with pytest.raises(Stopped):
        train_pgn(LOSS, pictures, parts, config, progress=stop_at(6))  # the checkpoint is of step 4
    assert not parts.exists()
    told: list[TrainingProgress] = []
    train_pgn(LOSS, pictures, parts, config.changed(log_every=2), progress=told.append)
    assert [p.step for p in told] == [6, 8]
    assert_same(whole, parts)
    logs = [(tmp_path / f"{name}.safetensors.run" / "log.csv").read_text() for name in ("whole", "parts")]
    columns = logs[0].split("\n")[0].split(",").index("cosine")
    rows = [[line.split(",")[columns] for line in log.split("\n")[1:-1]] for log in logs]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 4


def test_the_seed_matters(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    a, b = (
        weights(train_pgn("pixel:l1", pictures, tmp_path / f"{s}.safetensors", tiny(steps=2, seed=s)))
        for s in (0, 1)
    )
    assert not torch.equal(a["backbone.stem.weight"], b["backbone.stem.weight"])


def test_other_settings_in_an_existing_run_are_refused(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    out = tmp_path / "a.safetensors"
    with pytest.raises(Stopped):
        train_pgn("pixel:l1", pictures, out, tiny(), progress=stop_at(4))
    with pytest.raises(ConfigError, match=r"lr is 0.002 there, 0.01 here.*resume=False"):
        train_pgn("pixel:l1", pictures, out, tiny(lr=0.01))
    with pytest.raises(ConfigError, match=r"loss is 'pixel:l1.*there, 'pixel:mse.*here"):
        train_pgn("pixel:mse", pictures, out, tiny())
    with pytest.raises(ConfigError, match="data is"):
        train_pgn("pixel:l1", pictures / "more", out, tiny())
    train_pgn(
        "pixel:l1", pictures, out, tiny(checkpoint_seconds=9, panel_every=0)
    )  # no part of the trajectory
    last = tmp_path / "a.safetensors.run" / "last.safetensors"
    assert set(read_state(last)["lossnets"]) == {"finished"}  # nothing but what a finished one needs
    anew = train_pgn("pixel:l1", pictures, out, tiny(lr=0.01), resume=False)
    assert load_pgn(anew)[1].training["config"]["lr"] == 0.01


def test_a_run_from_before_a_setting_was_known_goes_on(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    out = tmp_path / "a.safetensors"
    with pytest.raises(Stopped):
        train_pgn("pixel:l1", pictures, out, tiny(), progress=stop_at(4))
    known = tmp_path / "a.safetensors.run" / "run.json"
    record = json.loads(known.read_text())
    del record["config"]["channel_lr"]
    known.write_text(json.dumps(record))
    assert train_pgn("pixel:l1", pictures, out, tiny()) == out


def test_starting_from_another_checkpoint(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    first = train_pgn("pixel:l1", pictures, tmp_path / "a.safetensors", tiny(steps=1))
    still = tiny(steps=1, lr=1e-30, start_from=str(first), seed=9)
    second = train_pgn("pixel:l1", pictures, tmp_path / "b.safetensors", still)
    a, b = weights(first), weights(second)
    assert torch.equal(a["backbone.stem.weight"], b["backbone.stem.weight"])
    with pytest.raises(ConfigError, match="start_from must be a checkpoint of the same architecture"):
        train_pgn("pixel:l1", pictures, tmp_path / "c.safetensors", tiny(proxy="raw", start_from=str(first)))


def test_channel_weights_with_a_rate_of_their_own(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    first = train_pgn(LOSS, pictures, tmp_path / "a.safetensors", tiny("distilled", steps=1))
    config = tiny("distilled", steps=3, start_from=str(first), lr=1e-6, channel_lr=1e4, checkpoint_seconds=9)
    a, b = weights(first), weights(train_pgn(LOSS, pictures, tmp_path / "b.safetensors", config))
    moved = {name: float((a[name] - b[name]).abs().max()) for name in a}
    assert moved["later.0.weight"] < 1e-5
    assert moved["log_weights.0"] > 1e-3


def test_a_file_of_unknown_origin_is_not_overwritten(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    out = tmp_path / "a.safetensors"
    out.write_bytes(b"precious")
    with pytest.raises(ConfigError, match=r"is there already, and how it was trained is not known"):
        train_pgn("pixel:l1", pictures, out, tiny())
    assert out.read_bytes() == b"precious"
    (tmp_path / "b.safetensors.run").mkdir()
    (tmp_path / "b.safetensors.run" / "diary.txt").write_text("mine")
    for resume in (True, False):
        with pytest.raises(ConfigError, match=r"b.safetensors.run is there already and holds no training"):
            train_pgn("pixel:l1", pictures, tmp_path / "b.safetensors", tiny(), resume=resume)
    assert (tmp_path / "b.safetensors.run" / "diary.txt").exists()
    (tmp_path / "c.safetensors").mkdir()
    for name in ("a.pth", "c.safetensors"):  # a folder is told before the training, not after it
        with pytest.raises(ConfigError, match=r"out must be a file that ends in .safetensors; got"):
            train_pgn("pixel:l1", pictures, tmp_path / name, tiny(), resume=False)


def test_arguments_of_the_wrong_kind(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    out = tmp_path / "a.safetensors"
    with pytest.raises(ConfigError, match=r"config must be a PGNConfig.*; got dict"):
        train_pgn("pixel:l1", pictures, out, {"lr": 1})  # type: ignore[arg-type]
    for loaders in (-1, "2"):
        with pytest.raises(ConfigError, match=f"loaders must be a whole number .*; got {loaders!r}"):
            train_pgn("pixel:l1", pictures, out, tiny(), loaders=loaders)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_damaged_state_is_named(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    out = tmp_path / "a.safetensors"
    with pytest.raises(Stopped):
        train_pgn("pixel:l1", pictures, out, tiny(steps=6), progress=stop_at(4))
    last = tmp_path / "a.safetensors.run" / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"last.safetensors' is missing or damaged"):
        train_pgn("pixel:l1", pictures, out, tiny(steps=6))
    assert not out.exists()
    (last.parent / "run.json").write_text("{")
    with pytest.raises(ConfigError, match=r"run.json is damaged"):
        train_pgn("pixel:l1", pictures, out, tiny(steps=6))


def test_a_training_that_diverges_stops_and_keeps_its_last_good_state(
    pictures: Path, tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, real = [0], Objective.__call__

    def broken(self: Objective, p: Any) -> Any:
        calls[0] += 1
        total, terms = real(self, p)
        return (total * math.nan if calls[0] == 4 else total), terms

    monkeypatch.setattr(Objective, "__call__", broken)
    out = tmp_path / "a.safetensors"
    with pytest.raises(
        DivergedError, match=r"not finite at step 4. Its state after 2 steps is kept as .*last-good"
    ):
        train_pgn("pixel:l1", pictures, out, tiny())
    assert not out.exists()
    _, card = load_pgn(tmp_path / "a.safetensors.run" / "last-good.safetensors")
    assert card.training["steps"] == 2
    assert "diverged" in card.training["diverged"]
    calls[0] = 3
    with pytest.raises(DivergedError, match=r"at step 1\. There is no checkpoint yet. Use a lower lr"):
        train_pgn("pixel:l1", pictures, tmp_path / "b.safetensors", tiny())


def test_the_published_scheme_at_a_tiny_size(pictures: Path, tmp_path: Path) -> None:
    from lossnets.gradients.training import profile

    config = profile(
        "paper", backbone="resnet-1", settings={"blocks": 1, "width": 4}, batch=3, crop=32, steps=2,
        log_every=2, autoencoder_width=4, fidelity_crops=0, panel_every=0,
    )  # fmt: skip
    told: list[TrainingProgress] = []
    out = train_pgn(LOSS, pictures, tmp_path / "a.safetensors", config, progress=told.append)
    assert told[0].terms.keys() == {"matching", "proxy_loss", "proxy_l1"}
    network, card = load_pgn(out)
    assert (network.architecture.backbone, network.architecture.proxy) == ("resnet", "sigmoid")
    assert card.training["samples"] == 6
    assert int(network.state_dict()["backbone.model.1.num_batches_tracked"]) == 2


def test_every_term_and_option_at_once(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    config = tiny(
        steps=2, proxy="warped-additive", distance="logcosh", matching=1.0, proxy_loss=0.2, proxy_l1=0.5,
        proxy_mse_target=1.0, proxy_mse_input=1.0, predicted_value=0.1, jacobian_symmetry=0.1,
        gradient_loss=0.1, step_loss=0.1, warp_tv=1.0, warp_l2=1.0, additive_l2=1.0, plus_mse=0.01,
        warmup=1, precision="bf16",
        optimiser="sgd", lr=1e-4, priors=0.5, autoencoders=(0,), autoencoder_width=4,
    )  # fmt: skip
    told: list[TrainingProgress] = []
    out = train_pgn(LOSS, pictures, tmp_path / "a.safetensors", config, progress=told.append)
    assert told[0].terms.keys() == {name for name, weight in config.weights().items() if weight}
    assert all(bool(torch.isfinite(v).all()) for v in weights(out).values())


def test_a_run_without_a_checkpoint_may_begin_with_other_settings(
    pictures: Path, tmp_path: Path, tiny: Tiny
) -> None:
    """Also: panels of the training are no images to train on, where the file lies among them."""
    folder = tmp_path / "images"
    shutil.copytree(pictures, folder)
    out = folder / "a.safetensors"

    def stop(progress: TrainingProgress) -> None:
        raise Stopped

    with pytest.raises(Stopped):  # at the first row, before the first checkpoint
        train_pgn("pixel:l1", folder, out, tiny(panel_every=2), progress=stop)
    assert list((folder / "a.safetensors.run" / "panels").glob("*.png"))
    train_pgn("pixel:l1", folder, out, tiny(lr=0.01))
    assert load_pgn(out)[1].data["images"] == 3
    rows = (folder / "a.safetensors.run" / "log.csv").read_text().count("\n")
    assert rows == 3


def test_the_direct_ablation(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    out = train_pgn(
        load_loss("pixel:l1"), pictures, tmp_path / "a.safetensors", tiny(family="direct", steps=2)
    )
    assert load_pgn(out)[0].architecture.family == "direct"


def test_learning_shows(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    """The gradient of MSE is easy: a few dozen steps bring the cosine far up."""
    told: list[TrainingProgress] = []
    config = tiny(steps=40, log_every=20, lr=5e-3, replay=64, replayed=4, checkpoint_seconds=99)
    train_pgn("pixel:mse", pictures, tmp_path / "a.safetensors", config, progress=told.append)
    assert told[-1].cosine > told[0].cosine + 0.1
    assert told[-1].meta_loss < told[0].meta_loss


SCRIPT = """
import sys
from lossnets.gradients.training import PGNConfig, train_pgn
import json
config = PGNConfig.from_dict(json.loads(sys.argv[3]))
train_pgn(sys.argv[4], sys.argv[1], sys.argv[2], config, progress=lambda p: print(p.step, flush=True))
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_network(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    config = tiny(steps=60, backbone="distilled")
    whole = train_pgn(LOSS, pictures, tmp_path / "whole.safetensors", config)
    out = tmp_path / "killed.safetensors"
    command = [sys.executable, "-c", SCRIPT, pictures, out, json.dumps(config.as_dict()), LOSS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while int(process.stdout.readline()) < 20:
        pass
    time.sleep(0.05)  # somewhere between two rows
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not out.exists()
    told: list[TrainingProgress] = []
    train_pgn(LOSS, pictures, out, config, progress=told.append)
    assert told[0].step >= 20
    assert_same(whole, out, 1e-5)


@pytest.mark.slow
def test_two_processes_train_one_network_and_resume(pictures: Path, tmp_path: Path, tiny: Tiny) -> None:
    config = tiny(steps=14, priors=0.5, autoencoders=(0,), autoencoder_width=4, backbone="distilled")
    told: list[TrainingProgress] = []
    whole = train_pgn(LOSS, pictures, tmp_path / "whole.safetensors", config, devices=2, progress=told.append)
    assert [p.step for p in told] == [2, 4, 6, 8, 10, 12, 14]
    assert load_pgn(whole)[1].training["samples"] == 2 * (4 + 13 * 8)
    out = tmp_path / "parts.safetensors"
    with pytest.raises(Stopped):
        train_pgn(LOSS, pictures, out, config, devices=2, progress=stop_at(2))
    train_pgn(LOSS, pictures, out, config, devices=2)
    assert_same(whole, out, 1e-5)
