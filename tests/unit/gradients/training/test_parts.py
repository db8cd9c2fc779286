"""Clipping, replayed samples, fits, autoencoders, checkpoints and log: each against what it says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from lossnets.errors import ConfigError, DataError
from lossnets.gradients.training import PGNConfig
from lossnets.gradients.training.autoencoders import Plateau, make_autoencoders, shares
from lossnets.gradients.training.clipping import RunningClip, total_norm
from lossnets.gradients.training.fits import Fit, drawn_driver
from lossnets.gradients.training.log import StepLog
from lossnets.gradients.training.replay import Replay, Samples
from lossnets.gradients.training.state import read_state, write_state
from lossnets.losses import load_loss

Tiny = Callable[..., PGNConfig]
CPU = torch.device("cpu")


def test_clipping_by_hand() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    clip = RunningClip(factor=2.0, start=10.0, momentum=0.5)
    parameter.grad = torch.tensor([3.0, 4.0])
    assert clip([parameter]) == 5
    assert parameter.grad.tolist() == [3, 4]  # 5 < 2 * 10
    assert clip.average == 7.5
    parameter.grad = torch.tensor([30.0, 40.0])
    assert clip([parameter]) == 50
    assert parameter.grad.tolist() == pytest.approx([9, 12])  # down to 2 * 7.5
    assert clip.average == 28.75
    parameter.grad = torch.tensor([math.nan, 1.0])
    assert math.isnan(clip([parameter]))
    assert clip.average == 28.75


def test_clipping_off_changes_nothing() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.tensor([1e9])
    RunningClip(0.0, 1.0, 0.01)([parameter])
    assert parameter.grad.item() == 1e9
    assert float(total_norm([])) == 0


def samples(count: int, offset: float = 0.0) -> Samples:
    random = torch.Generator().manual_seed(count)
    x, y, g = torch.rand(3, count, 3, 4, 4, generator=random)
    return Samples(x, (y * 255).round() / 255, g * 1e-9, torch.arange(count) + offset)


def test_replayed_samples_are_what_was_kept() -> None:
    replay = Replay(capacity=8, seed=0)
    assert replay.draw(2, 0) is None
    kept = samples(5)
    replay.add(kept, 0)
    drawn = replay.draw(3, 1)
    assert drawn is not None
    order = drawn.value.long()
    assert len(set(order.tolist())) == 3
    assert torch.equal(drawn.target, kept.target[order])
    assert torch.allclose(drawn.images, kept.images[order], atol=3e-4)
    error = (drawn.gradient - kept.gradient[order]).abs().max()
    assert error < 5e-4 * kept.gradient.abs().max()
    again = replay.draw(3, 1)
    assert again is not None
    assert torch.equal(again.value, drawn.value)
    assert not torch.equal(replay.draw(5, 2).value, replay.draw(5, 3).value)  # type: ignore[union-attr]


def test_a_full_replay_forgets_at_random_and_comes_back_from_a_checkpoint() -> None:
    replay = Replay(capacity=4, seed=0)
    for step in range(20):
        replay.add(samples(3, offset=10 * step), step)
    assert replay.filled == 4
    other = Replay(capacity=4, seed=0)
    other.load(replay.state(), CPU)
    for step in (20, 21):
        for one in (replay, other):
            one.add(samples(2, offset=1000 + step), step)
        a, b = replay.draw(4, step), other.draw(4, step)
        assert a is not None
        assert b is not None
        assert torch.equal(a.value, b.value)
    fresh = Replay(capacity=4, seed=0)
    fresh.load(Replay(4, 0).state(), CPU)
    assert fresh.filled == 0


def test_drivers_are_drawn_by_their_shares(tiny: Tiny) -> None:
    config = tiny(driven_by=(0.5, 0.25, 0.25))
    drawn = Counter(drawn_driver(config, "x", k) for k in range(4000))
    assert drawn["predicted"] == pytest.approx(2000, abs=130)
    assert drawn["true"] == pytest.approx(1000, abs=110)
    assert drawn["mse"] == pytest.approx(1000, abs=110)
    assert {drawn_driver(tiny(driven_by=(0, 1, 0)), "x", k) for k in range(20)} == {"true"}


def test_a_fit_lives_and_starts_anew(tiny: Tiny) -> None:
    loss = load_loss("pixel:mse", reduction="none")
    fit = Fit(tiny(fit_life=(3, 3)), 0, 0, CPU)
    first, second = torch.rand(2, 2, 3, 32, 32)
    seen = []
    for step in range(4):
        part = fit.part(first if step == 0 else second, loss)
        seen.append((part.target, part.images.detach()))
        fit.follow(part.images, 2 * (part.images.detach() - part.target))
    assert all(torch.equal(target, first) for target, _ in seen[:3])
    assert torch.equal(seen[3][0], second)
    errors = [float((images - target).square().mean()) for target, images in seen[:3]]
    assert errors[2] < errors[1] < errors[0]
    assert not torch.equal(seen[3][1], seen[0][1])  # another draw of the generator


def test_lives_are_within_bounds_and_differ(tiny: Tiny) -> None:
    lives = set()
    for slot in range(30):
        fit = Fit(tiny(fit_life=(2, 40), fit_kinds=("deep-decoder",)), slot, 0, CPU)
        fit.part(torch.rand(1, 3, 32, 32), load_loss("pixel:mse"))
        lives.add(fit.state()["life"])
    assert min(lives) >= 2
    assert max(lives) <= 40
    assert len(lives) > 8


def test_a_fit_comes_back_from_a_checkpoint(tiny: Tiny, tmp_path: Path) -> None:
    loss, config = load_loss("pixel:mse", reduction="none"), tiny(fit_life=(5, 9))
    fit, other = Fit(config, 1, 0, CPU), Fit(config, 1, 0, CPU)
    assert fit.state() == {}
    other.load({})
    target = torch.rand(2, 3, 32, 32)
    for step in range(12):
        if step == 3:
            write_state(tmp_path / "s.safetensors", fit.state())
            other.load(read_state(tmp_path / "s.safetensors"))
        if step >= 3:
            part = other.part(target * 0.5, loss)
            other.follow(part.images, part.images.detach() - part.target)
        part = fit.part(target * 0.5 if step else target, loss)
        fit.follow(part.images, part.images.detach() - part.target)
    a, b = (f.part(target, loss).images for f in (fit, other))
    assert torch.equal(a, b)


def test_settings_that_a_generator_does_not_have(tiny: Tiny) -> None:
    config = tiny(fit_settings={"deep-decoder": {"depth": 3}})
    with pytest.raises(ConfigError, match="fit_settings of 'deep-decoder' do not fit"):
        Fit(config, 0, 0, CPU).part(torch.rand(1, 3, 32, 32), load_loss("pixel:mse"))


def published(tiny: Tiny, **changes: object) -> PGNConfig:
    values = {"priors": 0.0, "autoencoders": (0, 1), "autoencoder_width": 4, **changes}
    return tiny(**values)


def test_autoencoders_share_a_batch_and_are_drawn_from_the_seed(tiny: Tiny) -> None:
    assert shares(48, 3) == [16, 16, 16]
    assert shares(5, 2) == [3, 2]
    a, b = make_autoencoders(published(tiny)), make_autoencoders(published(tiny))
    other = make_autoencoders(published(tiny, seed=1))
    assert len(a) == 2
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name])
    key = "0.encoder.0.weight"
    assert not torch.equal(a.state_dict()[key], other.state_dict()[key])
    assert len(make_autoencoders(tiny())) == 0  # priors=1: all images come from fits


def test_a_plateau_resets_by_chance_and_failure_at_once(tiny: Tiny) -> None:
    plateau = Plateau(published(tiny, reset_after=100, reset_probability=0.25, reset_above=2.0), 0)
    assert not plateau.due(1.0, 50, 0)
    assert not plateau.due(1.5, 50, 1)  # 50 samples without a better L1
    due = [plateau.due(1.5, 50, step) for step in range(2, 402)]
    assert sum(due) == pytest.approx(100, abs=30)
    assert not plateau.due(0.5, 50, 1000)  # better: the count starts again
    assert plateau.due(2.5, 1, 1001)
    assert plateau.due(math.nan, 1, 1002)
    never = Plateau(published(tiny, reset_after=0, reset_probability=1.0), 0)
    assert not any(never.due(1.0, 10**6, step) for step in range(20))


def test_a_reset_draws_other_weights(tiny: Tiny) -> None:
    config = published(tiny, driven_by=(1, 1, 1))
    (net, _), plateau = make_autoencoders(config), Plateau(config, 0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    plateau.due(0.1, 10, 0)
    plateau.start(net)
    assert not torch.equal(before["encoder.0.weight"], net.state_dict()["encoder.0.weight"])
    assert plateau.starts == 1
    again = Plateau(config, 0)
    again.load(plateau.state())
    assert again.state() == plateau.state()


def test_state_of_all_kinds_comes_back(tmp_path: Path) -> None:
    content = {
        "a": [1, 2.5, None, True, "text"], 3: (torch.arange(3), {"deep": torch.zeros(2, dtype=torch.half)}),
        "inf": math.inf,
    }  # fmt: skip
    path = tmp_path / "state.safetensors"
    write_state(path, content)
    back = read_state(path)
    assert back["a"] == content["a"]
    assert isinstance(back[3], tuple)
    assert torch.equal(back[3][0], torch.arange(3))
    assert back[3][1]["deep"].dtype == torch.half
    assert back["inf"] == math.inf


def test_damaged_and_foreign_states_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    with pytest.raises(DataError, match="missing or damaged"):
        read_state(path)
    write_state(path, {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="missing or damaged"):
        read_state(path)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(DataError, match="no checkpoint of a training of a gradient network"):
        read_state(path)
    with pytest.raises(DataError, match="holds object, which cannot be stored without pickle"):
        write_state(path, {"a": object()})


def test_the_log_forgets_what_comes_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = StepLog(path)
    for step in (2, 4, 6):
        log.add({"step": step, "cosine": step / 10})
    again = StepLog(path)
    again.read(4)
    assert again.rows == [{"step": 2, "cosine": 0.2}, {"step": 4, "cosine": 0.4}]
    again.add({"step": 6, "cosine": 0.9, "new": 1})
    again.read()
    assert again.rows[-1] == {"step": 6, "cosine": 0.9, "new": 1}
    assert math.isnan(again.rows[0]["new"])
    path.write_text("step,cosine\nx,y\n")
    with pytest.raises(DataError, match="damaged"):
        again.read()
