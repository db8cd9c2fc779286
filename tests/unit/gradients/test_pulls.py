"""Distances to the proxy target against ten-line references and autograd, in float64."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor

from lossnets.errors import UnknownNameError
from lossnets.gradients.pulls import LOGIT_MARGIN, PULLS, Pull

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(1, 3, 1, 1)


def reference(name: str, x: Tensor, t: Tensor) -> Tensor:
    """The distances as the paper writes them, one image at a time."""
    out = []
    for a, b in zip(x, t, strict=True):
        if name.startswith("logit-"):
            a, b = ((v * STD[0] + MEAN[0]).clamp(LOGIT_MARGIN, 1 - LOGIT_MARGIN) for v in (a, b))
            a, b = (torch.log(v / (1 - v)) for v in (a, b))
        d = a - b
        shape = {"mse": d**2, "l1": d.abs(), "logcosh": torch.log(torch.cosh(d))}[name.removeprefix("logit-")]
        out.append(shape.mean())
    return torch.stack(out)


def images() -> tuple[Tensor, Tensor]:
    """Normalised; some values of both lie outside [0, 1], where logits are clamped."""
    x, t = 1.2 * torch.rand(2, 2, 3, 6, 5, dtype=torch.float64) - 0.1
    return (x - MEAN) / STD, (t - MEAN) / STD


@pytest.mark.parametrize("name", PULLS)
def test_value_and_gradient(name: str) -> None:
    x, t = images()
    value, gradient = Pull(name)(x, t, MEAN, STD)
    x.requires_grad_()
    expected = reference(name, x, t)
    (slope,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(gradient, slope, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", PULLS)
def test_the_map_is_the_distance_at_each_place(name: str) -> None:
    x, t = images()
    found = Pull(name).map(x, t, MEAN, STD)
    assert found.shape == (2, 1, 6, 5)
    torch.testing.assert_close(found.mean((1, 2, 3)), reference(name, x, t), rtol=1e-12, atol=0)


def test_known_numbers() -> None:
    x, t = torch.full((1, 3, 2, 2), 2.0), torch.zeros(1, 3, 2, 2)
    plain = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
    for name, value, slope in (("mse", 4.0, 4.0), ("l1", 2.0, 1.0)):
        found, gradient = Pull(name)(x, t, *plain)
        assert float(found) == value
        assert gradient.unique().tolist() == [pytest.approx(slope / 12)]


def test_logcosh_neither_overflows_nor_loses_digits() -> None:
    plain = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
    for size, expected in ((1e4, 1e4 - 0.6931472), (1e-2, 0.5e-4)):
        value, gradient = Pull("logcosh")(torch.full((1, 3, 1, 1), size), torch.zeros(1, 3, 1, 1), *plain)
        assert float(value) == pytest.approx(expected, rel=1e-3)
        assert bool(gradient.isfinite().all())


def test_unknown_names_and_copies() -> None:
    with pytest.raises(UnknownNameError, match=r"distance to the proxy target 'l2' is not known.*logit-mse"):
        Pull("l2")
    pull = pickle.loads(pickle.dumps(copy.deepcopy(Pull("logit-l1"))))
    assert repr(pull) == "Pull('logit-l1')"
    x, t = images()
    assert torch.equal(pull(x, t, MEAN, STD)[0], Pull("logit-l1")(x, t, MEAN, STD)[0])
