"""Published losses: each is what its paper says."""

from __future__ import annotations

import pytest
import torch

from lossnets.errors import ConfigError, UnknownNameError
from lossnets.losses import list_presets, load_preset, parse_loss
from lossnets.networks import blueprint

# Taps, weights and distance, written down from the publications, independently of presets.py.
RELUS = [str(k) for k in (1, 3, 6, 8, 11, 13, 15, 17, 20, 22, 24, 26, 29)]
PUBLISHED = {
    "johnson2016-content": ("vgg16", {"8": 1.0}, "spatial"),
    "johnson2016-style": ("vgg16", {"3": 1.0, "8": 1.0, "15": 1.0, "22": 1.0}, "gram-sum"),
    "srgan": ("vgg19", {"35": 1.0}, "spatial"),
    "esrgan": ("vgg19", {"34": 1.0}, "spatial-l1"),
    "pix2pixhd": ("vgg19", {"1": 1 / 32, "6": 1 / 16, "11": 1 / 8, "20": 1 / 4, "29": 1.0}, "spatial-l1"),
    "study-super-resolution": ("squeezenet1_1", {"1": 1.0}, "spatial"),
    "study-autoencoding": ("vgg11", {"19": 1.0}, "spatial"),
    "pgn2021": ("vgg19", dict.fromkeys(RELUS, 1.0), "spatial-l1"),
}  # fmt: skip


@pytest.mark.parametrize("preset", list_presets(), ids=lambda preset: preset.name)
def test_presets_parse_and_are_canonical(preset: object) -> None:
    spec = parse_loss(preset.loss)  # type: ignore[attr-defined]
    assert parse_loss(str(spec)) == spec
    assert preset.citation  # type: ignore[attr-defined]
    assert preset.note  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PUBLISHED)
def test_definitions(name: str) -> None:
    network, taps, distance = PUBLISHED[name]
    spec = parse_loss(next(p.loss for p in list_presets() if p.name == name))
    assert spec.network == network
    plan = blueprint(network)
    assert {plan.resolve(tap).module: w for tap, w in spec.taps} == {
        f"features.{k}": w for k, w in taps.items()
    }
    assert str(spec.distance) == distance
    assert spec.pooling == ("avg" if name == "pgn2021" else "max")


def test_every_preset_is_examined() -> None:
    names = {preset.name for preset in list_presets()}
    assert names == {*PUBLISHED, "lpips-alex", "lpips-vgg", "lpips-squeeze"}


def test_load_with_other_weights() -> None:
    loss = load_preset("lpips-squeeze", weights="random-2", reduction="none")
    assert loss.name == "lpips:squeezenet1_1:weights=random-2"
    assert loss(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)).shape == (2,)
    with pytest.raises(UnknownNameError, match=r"preset 'esrgn' is not known. Did you mean 'esrgan'"):
        load_preset("esrgn")
    with pytest.raises(ConfigError, match=r"weights must be text .*got dict"):
        load_preset("srgan", weights={})  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"a:b, c.pth"):
        load_preset("johnson2016-content", weights="/nowhere/a:b, c.pth")


def test_johnson_content_is_the_mean_squared_difference_of_relu2_2() -> None:
    loss = load_preset("johnson2016-content", weights="random-0")
    x, y = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    a, b = (loss.network(t)["relu2_2"] for t in (x, y))  # type: ignore[union-attr, operator]
    torch.testing.assert_close(loss(x, y), (a - b).square().mean())
