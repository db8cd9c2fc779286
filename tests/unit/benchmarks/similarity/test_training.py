"""Training variants: what is learnt, what is frozen, what is clamped; interruption, log, files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lossnets.benchmarks.base import DistanceBank
from lossnets.benchmarks.similarity import Triplets, training
from lossnets.benchmarks.similarity.trained import ChannelDistances, TrainedDistance, read_head
from lossnets.benchmarks.similarity.training import Trainee, TrainingSettings, train
from lossnets.benchmarks.similarity.training_data import EpochBatches, cache_channel_distances
from lossnets.datasets.similarity import Triplet, TwoAFCSet
from lossnets.datasets.sources import MemoryImages
from lossnets.errors import ConfigError, DataError, UnknownNameError

from .standins import SquaredPerChannel, calibrate_module

calibrate_module()
SHORT = TrainingSettings(epochs=2, decay_epochs=2, batch_size=16, lr=0.01)


class Toy(nn.Module):
    """A 1×1 convolution (as in SqueezeNet), BatchNorm, and two taps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.squeeze = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 6, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        stem = self.norm(self.squeeze(x))
        return {"stem": stem, "late": self.conv(stem.relu())}


def subject() -> Trainee:
    return Trainee("toy", ChannelDistances(Toy().eval(), SquaredPerChannel()), "0" * 64)


def triplets(n: int = 64, images: int = 12) -> TwoAFCSet:
    """People here look at red only."""
    g = torch.Generator().manual_seed(0)
    source = {str(i): torch.rand(3, 1, 1, generator=g).expand(3, 6, 6).contiguous() for i in range(images)}
    items = []
    for _ in range(n):
        r, a, b = (str(k) for k in torch.randperm(images, generator=g)[:3].tolist())
        red = [abs(float(source[k][0, 0, 0] - source[r][0, 0, 0])) for k in (a, b)]
        items.append(Triplet(r, a, b, float(red[1] < red[0]), "s"))
    return TwoAFCSet("red", tuple(items), MemoryImages(source))


def score(trained: TrainedDistance, data: TwoAFCSet) -> float:
    right = 0.0
    for t in data.items:
        ref, p0, p1 = (data.images.load(k)[None] for k in (t.ref, t.p0, t.p1))
        with torch.no_grad():
            encoded = trained.encode(ref)
            d0, d1 = (float(trained.distances(p, encoded)[trained.names[0]]) for p in (p0, p1))
        right += 0.5 if d0 == d1 else float((d1 < d0) == (t.judge > 0.5))
    return right / len(data)


class Identity(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"rgb": x}


def test_lin_learns_which_channel_counts():
    data = triplets(300)
    found = train(
        Trainee("rgb", ChannelDistances(Identity(), SquaredPerChannel()), "0"), data, "lin",
        TrainingSettings(epochs=20, decay_epochs=20, batch_size=32, lr=0.02),
    )  # fmt: skip
    red, green, blue = found.weights["rgb"].tolist()
    assert red > 5 * max(green, blue)
    assert min(green, blue) >= 0
    assert score(found, data) > 0.93


def test_lin_leaves_every_tensor_of_the_network_alone():
    given = subject()
    before = {k: v.clone() for k, v in given.channels.network.state_dict().items()}
    train(given, triplets(), "lin", SHORT)
    after = given.channels.network.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("variant", ["tune", "scratch"])
def test_networks_are_trained_and_only_the_channel_weights_are_clamped(variant):
    given = subject()
    before = {k: v.clone() for k, v in given.channels.network.state_dict().items()}
    found = train(given, triplets(), variant, SHORT)
    after = given.channels.network.state_dict()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert {"squeeze.weight", "conv.weight", "norm.weight"} <= changed
    assert (after["squeeze.weight"] < 0).any()  # a 1×1 convolution, as the channel weights are in LPIPS
    assert all((w >= 0).all() for w in found.weights.values())
    statistics = {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert statistics <= changed if variant == "scratch" else not statistics & changed
    assert not any(p.requires_grad for p in given.channels.parameters())


def test_the_channel_weights_are_clamped_after_every_step(monkeypatch):
    seen = []
    module = calibrate_module()
    clamp = module.ChannelWeights.clamp_

    def spy(self):
        clamp(self)
        seen.append(min(float(p.detach().min()) for p in self.parameters()))

    monkeypatch.setattr(module.ChannelWeights, "clamp_", spy)
    train(subject(), triplets(40), "lin", SHORT)
    assert len(seen) >= 4 * 3  # 3 batches in each of 4 epochs
    assert min(seen) >= 0


@pytest.mark.parametrize("variant", ["lin", "tune"])
def test_a_seed_fixes_the_result_and_global_randomness_does_not_matter(variant):
    results = []
    for state, seed in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(state)
        settings = TrainingSettings(epochs=1, decay_epochs=1, batch_size=16, seed=seed)
        results.append(train(subject(), triplets(), variant, settings).weights["late"])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("variant", ["lin", "tune", "scratch"])
@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_training_ends_with_the_same_numbers(tmp_path, monkeypatch, variant, stop):
    whole = train(subject(), triplets(), variant, SHORT, folder=tmp_path / "whole")
    fit = training.fit
    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", lambda *a, **k: fit(*a, **k, stop_after=stop))
        train(subject(), triplets(), variant, SHORT, folder=tmp_path / "cut")
    assert len((tmp_path / "cut" / "log.jsonl").read_text().splitlines()) == stop
    torch.manual_seed(99)
    resumed = train(subject(), triplets(), variant, SHORT, folder=tmp_path / "cut")
    for tap, w in whole.weights.items():
        assert torch.allclose(resumed.weights[tap], w, atol=1e-6)
    a, b = (m.channels.network.state_dict() for m in (whole, resumed))
    assert all(torch.allclose(a[k].float(), b[k].float(), atol=1e-6) for k in a)
    logs = []
    for name in ("whole", "cut"):
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        logs.append([{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines])
    assert [r["epoch"] for r in logs[1]] == [1, 2, 3, 4]
    for one, other in zip(*logs, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_a_killed_training_goes_on(tmp_path):
    script = tmp_path / "go.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parents[4])!r})
        from tests.unit.benchmarks.similarity.test_training import SHORT, subject, train, triplets
        def after(done, of):
            if done == 2 and len(sys.argv) > 1:
                os.kill(os.getpid(), signal.SIGKILL)
        train(subject(), triplets(), "lin", SHORT, folder={str(tmp_path / "run")!r}, progress=after)
        """)
    )
    killed = subprocess.run([sys.executable, script, "kill"], capture_output=True, timeout=200)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "head.safetensors").exists()
    done = subprocess.run([sys.executable, script], capture_output=True, timeout=200)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")  # and not a word from Lightning
    weights, _ = read_head(tmp_path / "run")
    whole = train(subject(), triplets(), "lin", SHORT)
    assert all(torch.allclose(weights[t], w, atol=1e-6) for t, w in whole.weights.items())


def test_nothing_is_written_or_said_without_a_folder(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    train(subject(), triplets(20), "tune", SHORT)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_files_log_and_card(tmp_path):
    seen = []
    found = train(subject(), triplets(), "lin", SHORT, folder=tmp_path, progress=lambda *p: seen.append(p))
    assert seen == [(i, 4) for i in (1, 2, 3, 4)]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "channel_distances.safetensors", "head.json", "head.safetensors", "log.jsonl", "state.safetensors",
    ]  # fmt: skip
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["lr"] for r in records] == pytest.approx([0.01, 0.01, 0.01, 0.005])
    assert records[-1]["loss"] < records[0]["loss"]
    weights, card = read_head(tmp_path)
    assert all(torch.equal(weights[t], w) for t, w in found.weights.items())
    assert (card.loss, card.variant, card.taps) == ("toy", "lin", {"stem": 4, "late": 6})
    assert card.data["fingerprint"] == triplets().fingerprint()
    assert card.settings["seed"] == 0


def test_a_folder_of_another_training_is_refused(tmp_path):
    train(subject(), triplets(), "lin", SHORT, folder=tmp_path)
    with pytest.raises(DataError, match="belongs to another training"):
        train(subject(), triplets(63), "lin", SHORT, folder=tmp_path)


@pytest.mark.parametrize("name", ["state.safetensors", "head.safetensors", "head.json"])
def test_damaged_files_are_clear_errors(tmp_path, name):
    train(subject(), triplets(), "lin", SHORT, folder=tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:20])
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        train(subject(), triplets(), "lin", SHORT, folder=tmp_path) if "state" in name else read_head(
            tmp_path
        )


def test_a_damaged_cache_is_made_again(tmp_path):
    whole = train(subject(), triplets(), "lin", SHORT, folder=tmp_path)
    (tmp_path / "channel_distances.safetensors").write_bytes(b"no")
    (tmp_path / "state.safetensors").unlink()
    again = train(subject(), triplets(), "lin", SHORT, folder=tmp_path)
    assert torch.equal(whole.weights["late"], again.weights["late"])


def test_the_cache_measures_unordered_pairs_once():
    images = MemoryImages({str(i): torch.rand(3, 4, 4) for i in range(4)})
    items = (
        Triplet("0", "1", "2", 0.5, "s"),
        Triplet("1", "0", "2", 0.5, "s"),
        Triplet("2", "1", "3", 0.5, "s"),
    )
    channels = ChannelDistances(Identity(), SquaredPerChannel(), {"rgb": 2.0})
    cache = cache_channel_distances(channels, TwoAFCSet("d", items, images))
    assert cache.shares["rgb"].shape == (4, 3)  # 01, 02, 12, 23
    assert (cache.row0.tolist(), cache.row1.tolist()) == ([0, 0, 2], [1, 2, 3])
    want = 2 * ((images.load("2") - images.load("3")) ** 2).mean((1, 2))
    assert torch.allclose(cache.shares["rgb"][3], want)


def test_order_of_triplets_depends_on_seed_and_epoch_only():
    def epochs(first, n, seed=0):
        batches = EpochBatches(10, 4, seed, first)
        out = []
        for e in range(n):
            batches.set_epoch(e)
            out.append(list(batches))
        return out

    assert epochs(0, 4)[2:] == epochs(2, 2)
    assert epochs(0, 1) != epochs(0, 1, seed=1)
    first, second = epochs(0, 2)
    assert first != second
    assert sorted(i for b in first for i in b) == list(range(10))
    assert [len(b) for b in first] == [4, 4, 2]
    assert len(EpochBatches(10, 4, 0)) == 3


def test_divergence_is_an_error():
    class Endless(SquaredPerChannel):
        def per_channel(self, a, b):
            return super().per_channel(a, b) * torch.inf

    given = Trainee("toy", ChannelDistances(Toy().eval(), Endless()), "0")
    with pytest.raises(DataError, match=r"training loss became (nan|inf)|not finite"):
        train(given, triplets(), "tune", SHORT)


def test_small_distances_are_scaled_for_the_judge():
    class Tiny(SquaredPerChannel):
        unit = False

        def per_channel(self, a, b):
            return super().per_channel(a, b) * 1e-6

    settings = TrainingSettings(epochs=20, decay_epochs=20, batch_size=32, lr=0.02)
    data = triplets(300)
    found = train(Trainee("rgb", ChannelDistances(Identity(), Tiny()), "0"), data, "lin", settings)
    assert score(found, data) > 0.93


def test_images_of_two_sizes_cannot_train_a_network():
    data = triplets(8)
    images = MemoryImages(
        {k: data.images.load(k) if k != "3" else torch.rand(3, 7, 6) for k in sorted(data.keys())}
    )
    with pytest.raises(DataError, match="images of one size"):
        train(subject(), TwoAFCSet("d", data.items, images), "tune", SHORT)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"epochs": 0, "decay_epochs": 0}, "together at least 1"),
        ({"epochs": -1}, "0 or more"),
        ({"lr": 0}, "lr must be above 0"),
        ({"batch_size": 0}, "batch_size at least 1"),
        ({"dropout": 1.0}, r"dropout in \[0, 1\)"),
    ],
)
def test_settings_are_checked(arguments, said):
    with pytest.raises(ConfigError, match=said):
        TrainingSettings(**arguments)


def test_defaults_are_the_protocols():
    s = TrainingSettings()
    assert (s.epochs, s.decay_epochs, s.lr, s.betas, s.batch_size, s.dropout) == (
        5,
        5,
        1e-3,
        (0.5, 0.999),
        256,
        0.5,
    )


def test_unknown_variants_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'lin'"):
        train(subject(), triplets(), "line")


def test_a_trained_distance_is_a_bank():
    found = train(subject(), triplets(), "lin", SHORT)
    assert isinstance(found, DistanceBank)
    assert list(found.names) == ["toy (lin)"]
    with pytest.raises(ConfigError, match="0 or more"):
        TrainedDistance("x", found.channels, {"late": torch.tensor([-1.0])}, found.card)


SQUEEZE = "squeezenet1_1/features.1,features.4:unit-spatial-sum:weights=random-3"


@pytest.fixture
def real(tmp_path: Path) -> Triplets:
    data = triplets(12)
    for key in sorted(data.keys()):
        pixels = (data.images.load(key) * 255).byte().permute(1, 2, 0).repeat(6, 6, 1).numpy()
        Image.fromarray(pixels).save(tmp_path / f"{key}.png")
    rows = [f"{t.ref}.png,{t.p0}.png,{t.p1}.png,{1 - t.judge},{t.judge}\n" for t in data.items]
    (tmp_path / "t.csv").write_text("ref,a,b,votes_a,votes_b\n" + "".join(rows))
    return Triplets(tmp_path / "t.csv", train=tmp_path / "t.csv", resize=36)


@pytest.mark.parametrize("variant", ["lin", "tune", "scratch"])
def test_variants_of_a_real_network(real, tmp_path, variant):
    start = time.perf_counter()
    arguments = {"variant": variant, "profile": "smoke", "folder": tmp_path / "trained"}
    results = real.evaluate_variant([SQUEEZE, "pixel:mse"], **arguments)
    assert list(results) == [SQUEEZE, "pixel:mse"]
    assert isinstance(results["pixel:mse"], ConfigError)
    made = results[SQUEEZE]
    assert [s.name for s in made.scores] == ["2afc_score", "2afc_accuracy"]
    place = Path(str(made.facts["head"])).parent
    assert json.loads((place / "head.json").read_text())["scores"][0]["value"] == made.scores[0].value
    loaded = training.load_trained(place)
    again = real.evaluate_many(loaded, profile="smoke")[f"{SQUEEZE} ({variant})"]
    assert again.items["d0"] == pytest.approx(made.items["d0"], rel=1e-5)
    first = time.perf_counter() - start
    cached = real.evaluate_variant([SQUEEZE], **arguments)[SQUEEZE]  # trained already
    assert cached.scores == made.scores
    assert first < 120


def test_lin_is_the_loss_with_that_head(real, tmp_path):
    from lossnets.losses import LossBank

    made = real.evaluate_variant([SQUEEZE], variant="lin", profile="smoke", folder=tmp_path / "t")[SQUEEZE]
    bank = LossBank([f"{SQUEEZE}:head={made.facts['head']}"])
    again = real.evaluate_many(bank, profile="smoke")[bank.names[0]]
    assert again.items["d1"] == pytest.approx(made.items["d1"], rel=1e-4)
    assert again.scores == made.scores


def test_a_head_of_an_earlier_definition_is_refused(real, tmp_path):
    loss = "squeezenet1_1/features.1:unit-mean-sum:weights=random-3"
    made = real.evaluate_variant([loss], variant="lin", profile="smoke", folder=tmp_path / "t")[loss]
    card = Path(str(made.facts["head"])).parent / "head.json"
    content = json.loads(card.read_text())
    assert content.pop("numerics") == 2
    card.write_text(json.dumps(content))  # as it was written before
    with pytest.raises(DataError, match=r"version 1 of the distance 'unit-mean-sum'.*train again"):
        training.load_trained(card.parent)
    subjects = [
        training.trainee(f"squeezenet1_1/features.1:{d}:weights=random-3", "lin")
        for d in ("lpips", "unit-mean")
    ]
    assert [len(s.parts) for s in subjects] == [2, 3]  # identities of others stay as they are


def test_without_training_data_only_the_baseline_runs(real):
    plain = Triplets(real._reader.args[0])
    with pytest.raises(ConfigError, match="has no training data"):
        plain.evaluate_variant([SQUEEZE], variant="lin", profile="smoke")
    assert "2afc_score" in str(plain.evaluate_variant(["pixel:mse"], variant="baseline", profile="smoke"))


@pytest.mark.parametrize("loss", ["pixel:mse", "squeezenet1_1/features.1:gram:weights=random-0"])
def test_losses_without_channel_weights_are_refused(loss):
    with pytest.raises(ConfigError, match="sum over channels"):
        training.trainee(loss, "lin")
