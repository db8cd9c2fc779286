"""Channel weights: the published files, files of one's own, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lossnets.errors import ConfigError, MissingExtraError, UnknownNameError, WeightsError
from lossnets.losses import LPIPS, LossBank, PerceptualLoss, load_loss, parse_loss
from lossnets.losses.heads import check_head, head_hash, load_head, load_lpips_head, lpips_head_file
from lossnets.networks import blueprint, load_network

TAPS = ("features.1", "features.4")


@pytest.fixture
def head() -> dict[str, Tensor]:
    return {"features.1": torch.rand(64), "features.4": torch.rand(128)}


@pytest.fixture
def records() -> object:
    return load_network("squeezenet1_1", list(TAPS), weights="random-0").taps


@pytest.mark.parametrize("version", ["0.0", "0.1"])
@pytest.mark.parametrize("network", ["alexnet", "vgg16", "squeezenet1_1"])
def test_head_of_the_loss_is_the_published_file(network: str, version: str) -> None:
    published = torch.load(lpips_head_file(network, version), weights_only=True, map_location="cpu")
    plan = blueprint(network)
    head = load_lpips_head(network, [plan.resolve(tap) for tap in plan.spec.lpips_points], version)
    assert len(published) == len(head)
    for k, weights in enumerate(head.values()):
        assert torch.equal(weights, published[f"lin{k}.model.1.weight"].flatten())
        assert float(weights.min()) >= 0
    if network == "squeezenet1_1":
        loss = LPIPS(network, version, weights="random-0")
        assert all(torch.equal(loss.channel_weights[tap], w) for tap, w in head.items())


def test_heads_come_from_either_package_or_an_error_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.util.find_spec
    assert "lpips" in str(lpips_head_file("alexnet"))

    def without(*packages: str) -> object:
        return lambda name, *rest: None if name in packages else original(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without("lpips"))
    assert "torchmetrics" in str(lpips_head_file("alexnet"))
    with pytest.raises(MissingExtraError, match=r"head v0.0 of alexnet.*pip install 'lossnets\[lpips\]'"):
        lpips_head_file("alexnet", "0.0")
    monkeypatch.setattr(importlib.util, "find_spec", without("lpips", "torchmetrics"))
    with pytest.raises(MissingExtraError, match="lossnets"):
        LPIPS("squeeze", weights="random-0")


def test_both_packages_carry_the_same_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = blueprint("alexnet")
    taps = [plan.resolve(tap) for tap in plan.spec.lpips_points]
    first = load_lpips_head("alexnet", taps)
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *r: None if n == "lpips" else original(n, *r))
    second = load_lpips_head("alexnet", taps)
    assert head_hash(first) == head_hash(second)


def test_a_head_file_of_another_network_is_refused(records: object, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="is not the LPIPS head of alexnet: lin1 does not fit"):
        load_lpips_head("alexnet", records)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="LPIPS network 'resnet18'"):
        lpips_head_file("resnet18")


def test_unknown_lpips_settings() -> None:
    with pytest.raises(
        UnknownNameError, match=r"LPIPS network 'alexnett' is not known. Did you mean 'alexnet'"
    ):
        LPIPS("alexnett")
    with pytest.raises(UnknownNameError, match="LPIPS version '1' is not known"):
        LPIPS("alex", "1")
    assert str(LPIPS("squeeze", 0.1, weights="random-0")) == "lpips:squeezenet1_1:weights=random-0"  # type: ignore[arg-type]


def test_a_loss_with_a_head_file_is_named_and_signed_by_it(tmp_path: Path, head: dict[str, Tensor]) -> None:
    name = "squeezenet1_1/features.1,features.4:lpips:weights=random-0"
    file = tmp_path / "my head.safetensors"
    save_file(head, file)
    spec = parse_loss(f"{name}:head={str(file).replace(' ', '%20')}")
    loss = load_loss(spec)
    assert parse_loss(str(loss)) == loss
    assert loss.spec.head == str(file)
    x, y = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    built = PerceptualLoss(
        "squeezenet1_1", list(TAPS), weights="random-0", distance="lpips", channel_weights=head
    )
    assert torch.equal(loss(x, y), built(x, y))
    before = loss.signature()
    assert before != load_loss(name).signature()
    save_file({tap: w / 2 for tap, w in head.items()}, file)
    halved = load_loss(spec)
    torch.testing.assert_close(halved(x, y), loss(x, y) / 2)
    assert halved.signature() != before


def test_a_head_given_as_tensors_has_a_name_of_its_own(head: dict[str, Tensor]) -> None:
    built = PerceptualLoss("squeezenet1_1", list(TAPS), weights="random-0", channel_weights=head)
    assert str(built) == "squeezenet1_1/features.1,features.4:weights=random-0:head=custom"
    plain = PerceptualLoss("squeezenet1_1", list(TAPS), weights="random-0")
    assert LossBank([built, plain]).names == [built.name, plain.name]
    with pytest.raises(ConfigError, match="built of tensors in Python"):
        load_loss(built.name)


def test_missing_and_damaged_head_files(tmp_path: Path, records: object) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        load_head(tmp_path / "no.safetensors", records)  # type: ignore[arg-type]
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a head")
    with pytest.raises(WeightsError, match=r"cannot be read.*must be a safetensors file"):
        load_head(bad, records)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.1": None}, "must have shape \\(64,\\); got NoneType"),
        (
            {"features.1": torch.rand(63)},
            r"channel_weights\['features.1'\] must have shape \(64,\); got \(63,\)",
        ),
        ({"features.1": torch.rand(1, 64)}, r"got \(1, 64\)"),
        ({"features.1": -torch.rand(64)}, "finite and non-negative; got min -"),
        ({"features.1": torch.full((64,), float("nan"))}, "finite and non-negative"),
        ({"features.5": torch.rand(64)}, "tap of channel_weights 'features.5' is not known"),
    ],
)
def test_bad_heads(change: dict[str, Tensor], message: str, head: dict[str, Tensor], records: object) -> None:
    with pytest.raises(ConfigError, match=message):
        check_head({**head, **change}, records)  # type: ignore[arg-type]


def test_heads_must_have_every_tap_and_know_aliases(head: dict[str, Tensor], records: object) -> None:
    with pytest.raises(ConfigError, match=r"must have every tap; missing: features.4"):
        check_head({"features.1": head["features.1"]}, records)  # type: ignore[arg-type]
    checked = check_head({"1": head["features.1"].double(), "4": head["features.4"]}, records)  # type: ignore[arg-type]
    assert list(checked) == list(TAPS)
    assert checked["features.1"].dtype == torch.float32
    head["features.4"].zero_()
    assert float(checked["features.4"].sum()) > 0  # a copy


def test_no_head_has_no_hash() -> None:
    assert head_hash({}) == ""
