"""Many losses in one pass: the numbers of the single losses, and one forward pass per network."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, EncodingError, ImageError
from lossnets.losses import LossBank, PerceptualLoss, load_loss, parse_loss
from lossnets.networks import LossNetwork, wrap_network

SQUEEZE, SEED = "squeezenet1_1", "weights=random-0"
MIX = [
    "pixel:mse",
    "pixel:ssim",
    f"{SQUEEZE}/features.1:{SEED}",
    f"{SQUEEZE}/features.4:{SEED}",
    f"{SQUEEZE}/features.1,features.4=0.5:lpips:{SEED}",
    f"{SQUEEZE}/features.3:unit-sort:{SEED}",
    f"{SQUEEZE}/features.4:gram:{SEED}",
    f"{SQUEEZE}/features.4:spatial+mean-l1:{SEED}",
    f"{SQUEEZE}/features.4:l2:{SEED}",
    f"lpips:{SQUEEZE}:{SEED}",
    f"lpips:{SQUEEZE}:{SEED}:version=0.0",
    f"{SQUEEZE}/features.4:weights=random-1",
    f"{SQUEEZE}/features.4:{SEED}:pooling=avg",
    f"{SQUEEZE}/features.4:{SEED}:input=raw",
    f"{SQUEEZE}/features.4:{SEED}:dtype=bfloat16",
]
MIX = [str(parse_loss(name)) for name in MIX]
# Passes over the images: random-0, lpips v0.0 (own normalisation), random-1, average pooling, raw, bf16.
PASSES = 6


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    x = torch.rand(3, 3, 32, 32)
    return x, (x + 0.1 * torch.randn_like(x)).clamp(0, 1)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts forward passes by network name."""
    counted: Counter[str] = Counter()
    original = LossNetwork.features

    def features(self: LossNetwork, images: Tensor) -> object:
        counted[self.name] += 1
        return original(self, images)

    monkeypatch.setattr(LossNetwork, "features", features)
    return counted


def test_numbers_are_those_of_the_single_losses(images: tuple[Tensor, Tensor]) -> None:
    x, y = images
    bank = LossBank(MIX)
    assert bank.names == MIX
    found = bank.distances(x, y)
    assert list(found) == MIX
    encoded = bank.distances(x, bank.encode(y))
    for name in MIX:
        loss = load_loss(name, reduction="none")
        tolerance = 1e-3 if "bfloat16" in name else 2e-5
        torch.testing.assert_close(found[name], loss(x, y), rtol=tolerance, atol=1e-9, msg=name)
        assert torch.equal(found[name], encoded[name]), name
        assert bank.signatures[name] == loss.signature()
        assert found[name].shape == (3,)
        assert found[name].dtype == torch.float32
        assert not found[name].requires_grad


def test_one_forward_pass_per_network(images: tuple[Tensor, Tensor], passes: Counter[str]) -> None:
    x, y = images
    bank = LossBank(MIX)
    encoded = bank.encode(y)
    assert passes == {SQUEEZE: PASSES}
    bank.distances(x, encoded)
    bank.distances(x, encoded)
    assert passes == {SQUEEZE: 3 * PASSES}  # the target was not computed again
    bank.distances(x, y)
    assert passes == {SQUEEZE: 5 * PASSES}


def test_layers_run_once_for_all_taps(images: tuple[Tensor, Tensor]) -> None:
    calls: Counter[str] = Counter()
    bank = LossBank(MIX[2:8])
    (network,) = (network for network, _ in bank._groups)
    for name, module in network.stages.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    bank.distances(images[0], bank.encode(images[1]))
    assert calls
    assert set(calls.values()) == {2}  # input and target


def test_functions_of_ones_own_and_colours(images: tuple[Tensor, Tensor]) -> None:
    x, y = images
    losses = [
        PerceptualLoss(
            SQUEEZE, "features.1", weights="random-0", distance=lambda a, b: (a - b).abs().amax((1, 2, 3))
        ),
        PerceptualLoss(SQUEEZE, "features.1", weights="random-0", channels="per-channel"),
        PerceptualLoss(SQUEEZE, "features.1", weights="random-0", distance="lpips", trainable="head"),
    ]
    found = LossBank(losses).distances(x, y)
    for loss in losses:
        loss.reduction = "none"
        torch.testing.assert_close(found[loss.name], loss(x, y).detach(), rtol=2e-5, atol=1e-9)


def test_own_modules_of_equal_names_and_tensors_are_told_apart(images: tuple[Tensor, Tensor]) -> None:
    x, y = images
    conv = nn.Conv2d(3, 4, 3)
    wrapped = [wrap_network(nn.Sequential(conv, act), ["1"]) for act in (nn.ReLU(), nn.Softplus())]
    losses = [
        PerceptualLoss(net, distance=d, reduction="none")
        for net, d in zip(wrapped, ["l1", "l2"], strict=True)
    ]
    found = LossBank(losses).distances(x, y)
    for loss in losses:
        torch.testing.assert_close(found[loss.name], loss(x, y))
    same = [PerceptualLoss(net, distance="l1") for net in wrapped]
    assert same[0].signature() != same[1].signature()


def test_autocast_changes_nothing(images: tuple[Tensor, Tensor]) -> None:
    x, y = images
    bank = LossBank(MIX[2:6])
    plain = bank.distances(x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = bank.distances(x, bank.encode(y))
    assert all(torch.equal(plain[name], mixed[name]) for name in plain)


@pytest.mark.parametrize("names", [["pixel:mse"], [f"{SQUEEZE}/features.4:mean:{SEED}"], MIX[:4]])
def test_images_that_do_not_fit(names: list[str], images: tuple[Tensor, Tensor]) -> None:
    x, y = images
    bank = LossBank(names)
    encoded = bank.encode(y)
    for bad in (x[:2], x[:, :, :16, :16]):
        with pytest.raises(ImageError, match="same shape"):
            bank.distances(bad, y)
        with pytest.raises(EncodingError, match="Encode the matching batch"):
            bank.distances(bad, encoded)
    with pytest.raises(ImageError, match="images must lie in"):
        bank.distances(x * 255, encoded)
    with pytest.raises(ImageError, match=r"must be a torch.Tensor"):
        bank.distances(x.numpy(), y)
    with pytest.raises(ImageError, match=r"must be a torch.Tensor"):
        bank.encode(None)
    with pytest.raises(EncodingError, match="another bank"):
        LossBank(["pixel:l1"]).distances(x, encoded)


def test_range_of_losses_by_name(images: tuple[Tensor, Tensor]) -> None:
    x, y = images
    names = ["pixel:mse", MIX[2]]
    wide = LossBank(names, data_range=(0, 255)).distances(x * 255, y * 255)
    plain = LossBank(names).distances(x, y)
    for name in names:
        torch.testing.assert_close(wide[name], plain[name], rtol=1e-4, atol=0)


def test_bad_lists() -> None:
    with pytest.raises(ConfigError, match="at least one loss"):
        LossBank([])
    with pytest.raises(ConfigError, match="must be a list of losses; got text"):
        LossBank("pixel:mse")
    with pytest.raises(ConfigError, match="has 'pixel:mse' twice"):
        LossBank(["pixel:mse", load_loss("pixel:mse")])
