"""What goes in and comes out in each scheme, which losses it takes, and what a training step computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lossnets.benchmarks.autoencoding import task as task_module
from lossnets.benchmarks.autoencoding.data import parts
from lossnets.benchmarks.autoencoding.network import (
    FeatureDecoder,
    FeatureEncoder,
    ImageDecoder,
    ImageEncoder,
    kl_divergence,
)
from lossnets.benchmarks.autoencoding.profiles import SIZES
from lossnets.benchmarks.autoencoding.schemes import SCHEMES, LossFeatures, scheme_named
from lossnets.benchmarks.autoencoding.task import AutoencodingTask
from lossnets.benchmarks.engine import Recipe
from lossnets.errors import ConfigError, ImageError, UnknownNameError
from lossnets.losses import ImageLoss, PerceptualLoss, load_loss

from .standins import corpus

LOSS = "squeezenet1_1/features.7:weights=random-0"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loss() -> ImageLoss:
    return load_loss(LOSS)


def make(loss: ImageLoss, scheme: str, gamma: float = 0.0, **options: object) -> AutoencodingTask:
    made = parts(corpus(), SIZES["paper"], 0)
    return AutoencodingTask(
        loss, made, Recipe(1, 8), scheme=scheme_named(scheme), gamma=gamma, hidden_limit=16, **options
    )


def value(task: AutoencodingTask, indices: list[int]) -> Tensor:
    terms = task.training_loss(task.training_batch(0, indices))
    return terms["loss"] if isinstance(terms, dict) else terms


@pytest.mark.parametrize(
    ("scheme", "encoder", "decoder"),
    [
        ("I-I", ImageEncoder, ImageDecoder),
        ("I-F-FP", ImageEncoder, FeatureDecoder),
        ("F-I-PS", FeatureEncoder, ImageDecoder),
        ("F-I-PW", FeatureEncoder, ImageDecoder),
        ("F-F-FP", FeatureEncoder, FeatureDecoder),
    ],
)
def test_each_scheme_has_its_parts_and_its_difference(
    loss: PerceptualLoss, scheme: str, encoder: type, decoder: type
) -> None:
    """Each value is computed a second time from images, features and model alone."""
    task = make(loss, scheme)
    assert (type(task.model.encoder), type(task.model.decoder)) == (encoder, decoder)
    task.start(CPU)
    indices = [5, 0, 11]
    images = task.parts.autoencoder_train.batch(indices)
    rows = loss.network(images)["features.7"].flatten(1)  # 64 pixels: 7×7 positions, nothing is averaged
    task.model.eval()
    inputs = images if scheme.startswith("I") else rows
    output = task.model.decoder(task.model.mean(task.model.encoder(inputs)))
    if scheme.endswith("FP"):
        wanted = (output - rows).square().mean()
    elif scheme == "F-I-PW":
        wanted = (output - images).square().mean()
    else:
        wanted = (loss.network(output)["features.7"] - loss.network(images)["features.7"]).square().mean()
    torch.testing.assert_close(value(task, indices), wanted, rtol=1e-5, atol=1e-7)


def test_there_are_the_six_of_the_study_and_no_others() -> None:
    assert list(SCHEMES) == ["I-I", "I-F-FP", "F-I-PS", "F-I-PW", "F-F-FP"]
    with pytest.raises(
        UnknownNameError, match=r"training scheme 'I-F-PF' is not known\. Did you mean 'I-F-FP'"
    ):
        scheme_named("I-F-PF")


@pytest.mark.parametrize("scheme", ["I-F-FP", "F-I-PS", "F-I-PW", "F-F-FP"])
def test_a_loss_without_network_is_refused_with_the_way_out(scheme: str) -> None:
    with pytest.raises(ConfigError, match=f"scheme '{scheme}' takes features .* 'pixel:mse' has none.*'I-I'"):
        make(load_loss("pixel:mse"), scheme)


def test_a_distance_that_would_not_be_used_is_refused() -> None:
    lpips_like = load_loss("squeezenet1_1/features.7:lpips:weights=random-0")
    for scheme in ("I-F-FP", "F-F-FP", "F-I-PW"):
        with pytest.raises(ConfigError, match=r"would leave the distance of loss .* unused.*F-I-PS"):
            make(lpips_like, scheme)
    assert make(lpips_like, "F-I-PS").scheme.name == "F-I-PS"


def test_large_maps_are_averaged_to_8_by_8() -> None:
    loss = load_loss("squeezenet1_1/features.1,features.7=0.5:weights=random-0")
    assert isinstance(loss, PerceptualLoss)
    features = LossFeatures(loss, (64, 64))
    assert features.widths == [64 * 8 * 8, 256 * 7 * 7]
    images = torch.rand(2, 3, 64, 64)
    maps = loss.network(images)
    assert maps["features.1"].shape[2:] == (31, 31)
    rows = features(images)
    averaged = torch.nn.functional.adaptive_avg_pool2d(maps["features.1"], 8)
    torch.testing.assert_close(rows[:, : 64 * 64], averaged.flatten(1))
    other = torch.rand_like(rows)
    split = (other - rows).square().split(features.widths, dim=1)
    wanted = 1.0 * split[0].mean() + 0.5 * split[1].mean()
    torch.testing.assert_close(features.difference(other, rows), wanted)


def test_images_too_small_for_the_network_are_refused(loss: PerceptualLoss) -> None:
    with pytest.raises(ImageError, match="at least 9x9"):
        LossFeatures(loss, (8, 8))


@pytest.mark.parametrize("gamma", [-1.0, float("nan"), float("inf"), True, "1"])
def test_gamma_must_be_a_weight(loss: ImageLoss, gamma: float) -> None:
    with pytest.raises(ConfigError, match=r"gamma must be 0 .* or the positive weight"):
        make(loss, "I-I", gamma)


def test_a_variational_step_adds_gamma_times_the_divergence() -> None:
    task = make(load_loss("pixel:mse"), "I-I", gamma=0.5)
    task.start(CPU)
    torch.manual_seed(3)
    terms = task.training_loss(task.training_batch(0, [0, 1, 2]))
    assert isinstance(terms, dict)
    torch.testing.assert_close(terms["loss"], terms["difference"] + 0.5 * terms["kl"])
    torch.manual_seed(3)
    again = task.training_loss(task.training_batch(0, [0, 1, 2]))
    assert isinstance(again, dict)
    assert torch.equal(again["loss"], terms["loss"])

    task.model.eval()
    batch = task.validation_batch([0, 1])
    scores = task.validation_scores(batch)
    coded = task.model(batch[0])
    assert coded.log_variance is not None
    wanted = (coded.output - batch[0]).square().mean() + 0.5 * kl_divergence(
        coded.mean, coded.log_variance
    ).mean()
    torch.testing.assert_close(scores["val_loss"], wanted)


@pytest.mark.parametrize("scheme", ["I-I", "F-I-PS", "F-F-FP"])
def test_targets_kept_and_targets_computed_anew_give_the_same(
    loss: ImageLoss, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = make(loss, scheme)
    kept.start(CPU)
    assert kept._targets or kept._rows
    monkeypatch.setattr(task_module, "CACHE_BYTES", 1)
    anew = make(loss, scheme)
    anew.start(CPU)
    assert not anew._targets
    assert not anew._rows
    torch.testing.assert_close(value(kept, [3, 1, 2]), value(anew, [3, 1, 2]), rtol=1e-5, atol=1e-7)
    batch = kept.validation_batch([1, 0])
    for task in (kept, anew):
        task.model.eval()
    torch.testing.assert_close(
        kept.validation_scores(batch)["val_loss"],
        anew.validation_scores(batch)["val_loss"],
        rtol=1e-5,
        atol=1e-7,
    )


def test_the_loss_network_sees_each_target_once(
    loss: PerceptualLoss, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make(loss, "I-I")
    task.start(CPU)
    seen: list[int] = []
    original = type(loss.network).features

    def counted(self: object, images: Tensor) -> object:
        seen.append(len(images))
        return original(self, images)  # type: ignore[arg-type]

    monkeypatch.setattr(type(loss.network), "features", counted)
    value(task, [0, 1, 2])
    assert seen == [3]  # the reconstructions only


def test_initial_weights_depend_on_the_seed_alone() -> None:
    loss = load_loss("pixel:mse")

    def first_weights(seed: int) -> Tensor:
        torch.rand(5)
        return next(make(loss, "I-I", seed=seed).model.parameters())

    assert torch.equal(first_weights(0), first_weights(0))
    assert not torch.equal(first_weights(0), first_weights(1))


def test_gradients_reach_encoder_and_decoder_but_not_the_loss_network(loss: PerceptualLoss) -> None:
    for scheme in SCHEMES:
        task = make(loss, scheme)
        task.start(CPU)
        value(task, [0, 1, 2, 3]).backward()
        missing = [name for name, p in task.model.named_parameters() if p.grad is None]
        assert missing == [], scheme
    assert all(p.grad is None for p in loss.network.parameters())


def test_module_documentation_lists_every_scheme() -> None:
    text = Path(str(task_module.__file__)).with_name("schemes.py").read_text(encoding="utf-8")
    table = text.split('"""')[1]
    assert all(f"\n{name} " in table for name in SCHEMES)
