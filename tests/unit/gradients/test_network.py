"""Gradient networks: equation 3 in float64, the families' units, the architecture's record."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from lossnets.errors import ConfigError, UnknownNameError
from lossnets.gradients import (
    Architecture,
    DirectGradientNetwork,
    GradientNetwork,
    PerceptualGradientNetwork,
    build_network,
    proxy_of_gradient,
)
from lossnets.gradients.network import GradientNetwork as Base
from lossnets.gradients.proxies import PROXIES
from lossnets.gradients.pulls import PULLS

SMALL = {"width": 8, "blocks": 1}


def images() -> tuple[Tensor, Tensor]:
    x, y = torch.randn(2, 2, 3, 12, 16, dtype=torch.float64)
    return x, y


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_gradient_is_that_of_the_distance_to_the_proxy_held_constant(proxy: str) -> None:
    pgn = PerceptualGradientNetwork("shuffled", proxy=proxy, grad_scale=0.3, **SMALL).double().eval()
    x, y = images()
    t = pgn.proxy(x, y).detach()
    x.requires_grad_()
    (expected,) = torch.autograd.grad(sum(((a - b) ** 2).mean() for a, b in zip(x, t, strict=True)) / 0.3, x)
    torch.testing.assert_close(pgn.gradient(x, y).detach(), expected, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(2 * (x - t).detach() / (3 * 12 * 16 * 0.3), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("distance", PULLS)
def test_every_distance_is_divided_by_the_scale(distance: str) -> None:
    pgn = PerceptualGradientNetwork("shuffled", distance=distance, grad_scale=0.5, **SMALL).double().eval()
    x, y = images()
    value, gradient = pgn.predict(x, pgn.encode(y))
    plain, slope = pgn.pull(x, pgn.proxy(x, y), pgn.mean, pgn.std)
    torch.testing.assert_close(value, 2 * plain)
    torch.testing.assert_close(gradient, 2 * slope)
    torch.testing.assert_close(pgn.value(x, pgn.encode(y)), value)


def test_the_proxy_of_a_gradient_gives_the_gradient_back() -> None:
    x, g = images()
    t = proxy_of_gradient(x, g, 0.025)
    torch.testing.assert_close(2 * (x - t) / (3 * 12 * 16 * 0.025), g, rtol=1e-9, atol=1e-12)
    pgn = DirectGradientNetwork("shuffled", **SMALL).double().eval()
    s = pgn.architecture.grad_scale
    torch.testing.assert_close(pgn.proxy(x, g), proxy_of_gradient(x, pgn.gradient(x, g), s))
    value, gradient = pgn.predict(x, pgn.encode(g))
    torch.testing.assert_close(value, ((x - pgn.proxy(x, g)) ** 2).mean((1, 2, 3)) / s)
    torch.testing.assert_close(pgn(x, g), gradient)


def test_gradients_do_not_depend_on_the_batch(thin: Mapping[str, GradientNetwork]) -> None:
    x, y = torch.rand(2, 3, 3, 20, 24)
    for pgn in thin.values():
        torch.testing.assert_close(
            pgn.gradient(x, y)[1:2], pgn.gradient(x[1:2], y[1:2]), rtol=1e-4, atol=1e-8
        )


def test_normalised_space_is_that_of_the_architecture(thin: Mapping[str, GradientNetwork]) -> None:
    pgn = thin["proxy"]
    p = torch.tensor([0.485, 0.456 + 0.224, 0.406]).view(1, 3, 1, 1)
    torch.testing.assert_close(pgn.normalise(p).flatten(), torch.tensor([0.0, 1.0, 0.0]), rtol=0, atol=1e-6)
    torch.testing.assert_close(pgn.denormalise(pgn.normalise(p)), p)
    assert not {"mean", "std"} & set(pgn.state_dict())


def test_in_training_the_parameters_learn(thin: Mapping[str, GradientNetwork]) -> None:
    x, y = torch.rand(2, 2, 3, 20, 24)
    for name, pgn in thin.items():
        pgn.train()
        trained = [p for p in pgn.parameters() if p.requires_grad]
        value, gradient = pgn.predict(x, pgn.encode(y))
        grads = torch.autograd.grad(gradient.square().sum() + value.sum(), trained, allow_unused=True)
        silent = [g for g in grads if g is None or not bool(g.abs().sum() > 0)]
        assert len(silent) <= len(trained) // 4, name


def test_the_record_of_an_architecture_builds_the_network_again() -> None:
    for architecture in (
        Architecture("proxy", "shuffled", SMALL, "warped", "logit-l1", 0.1, (0.5,) * 3, (0.25,) * 3),
        Architecture("direct", "shuffled", SMALL),
        Architecture("distilled", settings={"network": "squeezenet1_1", "taps": ["features.1"]}),
    ):
        again = Architecture.from_dict(architecture.as_dict())
        assert again == architecture
        network = build_network(again)
        assert isinstance(network, Base)
        assert network.architecture.family == architecture.family
        assert network.architecture.grad_scale == architecture.grad_scale


def test_the_papers_names_of_backbones() -> None:
    pgn = PerceptualGradientNetwork("resnet-2", width=8)
    assert pgn.architecture == Architecture("proxy", "resnet", {"blocks": 2, "width": 8})
    assert len([m for m in pgn.modules() if type(m).__name__ == "ResidualBlock"]) == 2
    assert DirectGradientNetwork("resnet-1").architecture.settings == {"blocks": 1}
    with pytest.raises(ConfigError, match="backbone 'resnet-4' has 4 blocks; got blocks=5"):
        PerceptualGradientNetwork("resnet-4", blocks=5)
    with pytest.raises(UnknownNameError, match=r"backbone 'resnet-x' is not known. Did you mean 'resnet'"):
        Architecture(backbone="resnet-x")


BAD = {
    "family": ({"family": "proxi"}, UnknownNameError, "family of gradient networks 'proxi'"),
    "backbone": ({"backbone": "vgg"}, UnknownNameError, "backbone 'vgg'"),
    "proxy": ({"proxy": "tanh"}, UnknownNameError, "proxy parametrisation 'tanh'"),
    "distance": ({"distance": "l3"}, UnknownNameError, "distance to the proxy target 'l3'"),
    "scale": ({"grad_scale": 0.0}, ConfigError, "grad_scale must be a positive number; got 0.0"),
    "std": ({"std": (1.0, 0.0, 1.0)}, ConfigError, "std positive"),
    "std NaN": ({"std": (1.0, float("nan"), 1.0)}, ConfigError, "3 finite numbers, std positive"),
    "mean infinite": ({"mean": (0, 0, float("inf"))}, ConfigError, "3 finite numbers"),
    "one mean": ({"mean": 0.5}, ConfigError, "mean and std must be 3 finite numbers, std positive; got 0.5"),
    "text in mean": ({"mean": ("a", "b", "c")}, ConfigError, "3 finite numbers"),
    "text for scale": ({"grad_scale": "0.1"}, ConfigError, "grad_scale must be a positive number; got '0.1'"),
    "no backbone": ({"backbone": None}, ConfigError, "backbone must be a name, as text; got None"),
    "family list": ({"family": ["proxy"]}, ConfigError, r"family must be a name, as text; got \['proxy'\]"),
    "settings list": ({"settings": [1]}, ConfigError, r"settings must be a record.*got \[1\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_architectures_that_do_not_exist(case: str) -> None:
    settings, error, text = BAD[case]
    with pytest.raises(error, match=text):
        Architecture(**settings)


@pytest.mark.parametrize("name", ["grad_scale", "channels", "proxy"])
def test_settings_that_belong_elsewhere(name: str) -> None:
    with pytest.raises(ConfigError, match=f"settings are those of the backbone .* alone; got {name}"):
        build_network(Architecture("proxy", "shuffled", {"width": 8, name: 5}))


def test_records_that_are_none() -> None:
    with pytest.raises(ConfigError, match=r"an architecture has the entries .*grad_scale.*; got"):
        Architecture.from_dict({"family": "proxy", "depth": 3})
    with pytest.raises(ConfigError, match="an architecture has the entries"):
        Architecture.from_dict([1])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="mean and std must be 3 finite numbers, std positive; got 3"):
        Architecture.from_dict({"mean": 3})
