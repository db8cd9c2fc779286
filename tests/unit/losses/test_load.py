"""From names to losses, and the functional form: loaded once, kept, let go."""

from __future__ import annotations

import pytest
import torch

from lossnets.errors import ConfigError, ImageError, WeightsError
from lossnets.losses import clear_cache, load_loss, parse_loss, perceptual_distance
from lossnets.losses import load as load_module

NAME = "squeezenet1_1/features.1:weights=random-0"


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    clear_cache()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of all losses that were loaded."""
    names: list[str] = []
    original = load_module.load_loss
    monkeypatch.setattr(load_module, "load_loss", lambda name, **o: names.append(name) or original(name, **o))
    return names


def test_functional_form_loads_once(loaded: list[str]) -> None:
    x, y = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    first = perceptual_distance(x, y, NAME)
    assert first.shape == (2,)
    assert torch.equal(perceptual_distance(x, y, "squeezenet1_1/1:weights=random"), first)  # another spelling
    assert loaded == [NAME]
    perceptual_distance(x * 255, y * 255, NAME, data_range=(0, 255))
    perceptual_distance(x, y, "pixel:mse")
    assert len(loaded) == 3
    clear_cache()
    assert torch.equal(perceptual_distance(x, y, NAME), first)
    assert len(loaded) == 4


def test_functional_form_is_the_loss() -> None:
    x, y = torch.rand(2, 3, 32, 32, requires_grad=True), torch.rand(2, 3, 32, 32)
    assert torch.equal(perceptual_distance(x, y, NAME), load_loss(NAME, reduction="none")(x, y))
    perceptual_distance(x, y, NAME).sum().backward()
    assert x.grad is not None


def test_first_use_in_inference_mode_does_not_spoil_training() -> None:
    x, y = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        perceptual_distance(x, y, NAME)
    x.requires_grad_()
    perceptual_distance(x, y, NAME).sum().backward()
    assert x.grad is not None


def test_default_loss_works_offline() -> None:
    x = torch.rand(1, 3, 64, 64)
    assert float(perceptual_distance(x, x.clone())) == pytest.approx(0, abs=1e-9)
    assert float(perceptual_distance(x, x.roll(8, 3))) > 0.01


def test_functional_form_says_what_is_wrong() -> None:
    x = torch.rand(1, 3, 32, 32)
    with pytest.raises(ImageError, match=r"input must be a torch.Tensor"):
        perceptual_distance([1], x, NAME)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"target must be a torch.Tensor"):
        perceptual_distance(x, None, NAME)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="data_range must be a pair"):
        perceptual_distance(x, x, NAME, data_range=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="data_range must be"):
        perceptual_distance(x, x, NAME, data_range=(1, 0))


def test_options() -> None:
    loss = load_loss(NAME, reduction="sum", data_range=(-1, 1), validate="never", trainable="head")
    assert (loss.reduction, loss.data_range, loss.validate) == ("sum", (-1.0, 1.0), "never")
    assert len(list(loss.parameters())) == 1
    assert load_loss("pixel:mse", trainable="none").name == "pixel:mse"
    with pytest.raises(ConfigError, match="pixel:mse has nothing to train"):
        load_loss("pixel:mse", trainable="head")
    with pytest.raises(ConfigError, match=r"'reductoin' is not known\. Did you mean 'reduction'"):
        load_loss(NAME, reductoin="sum")


@pytest.mark.parametrize("name", [NAME, "lpips:squeeze:weights=random:version=0.0", "pixel:l2", "pixel:ssim",
                                  "squeezenet1_1/features.1=0.5,features.3:unit-sort-l1-sum:weights=random-1:pooling=avg"
                                  ":input=raw:channels=gray:dtype=float16"])  # fmt: skip
def test_loaded_losses_have_the_parsed_name(name: str) -> None:
    spec = parse_loss(name)
    loss = load_loss(name)
    assert str(loss) == str(spec) == loss.name
    assert parse_loss(str(loss)) == loss
    assert loss == parse_loss(str(loss))
    assert load_loss(spec).signature() == loss.signature() == load_loss(str(loss)).signature()


def test_weights_that_are_missing_are_one_clear_error() -> None:
    with pytest.raises(WeightsError, match=r"vgg16-397923af.pth"):
        load_loss("vgg16/relu1_1")
    with pytest.raises(WeightsError, match="nowhere"):
        load_loss("vgg16/relu1_1:weights=/nowhere/vgg.pth")


SIGNED = [
    "squeezenet1_1/features.1:weights=random-0",
    "squeezenet1_1/features.1:weights=random-1",
    "squeezenet1_1/features.3:weights=random-0",
    "squeezenet1_1/features.1=0.5:weights=random-0",
    "squeezenet1_1/features.1:l1:weights=random-0",
    "squeezenet1_1/features.1:unit-spatial:weights=random-0",
    "squeezenet1_1/features.1:spatial-sum:weights=random-0",
    "squeezenet1_1/features.1:dtype=bfloat16:weights=random-0",
    "squeezenet1_1/features.3:pooling=avg:weights=random-0",
    "squeezenet1_1/features.1:input=raw:weights=random-0",
    "squeezenet1_1/features.1:channels=gray:weights=random-0",
    "squeezenet1_0/features.1:weights=random-0",
    "lpips:squeeze:weights=random-0",
    "lpips:squeeze:weights=random-0:version=0.0",
    "pixel:mse", "pixel:l1", "pixel:l2", "pixel:ssim",
]  # fmt: skip


def test_signatures_differ_where_numbers_can() -> None:
    signatures = [load_loss(name).signature() for name in SIGNED]
    assert len(set(signatures)) == len(SIGNED)
    assert signatures == [
        load_loss(name, reduction="sum", data_range=(0, 255)).signature() for name in SIGNED
    ]
    assert all("\n" not in s for s in signatures)
    assert "RANDOM-0" in signatures[0]
