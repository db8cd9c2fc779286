"""pixel:bce against torch's own cross-entropy."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lossnets.losses import load_loss


def test_it_is_cross_entropy_for_masks() -> None:
    p, t = torch.rand(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    expected = functional.binary_cross_entropy(p, t)
    assert float(load_loss("pixel:bce")(p, t)) == pytest.approx(float(expected), rel=1e-6)


def test_its_gradient_is_that_of_cross_entropy() -> None:
    t = torch.rand(2, 3, 8, 8)
    p = torch.rand(2, 3, 8, 8, requires_grad=True)
    load_loss("pixel:bce")(p, t).backward()
    q = p.detach().clone().requires_grad_()
    functional.binary_cross_entropy(q, t).backward()
    torch.testing.assert_close(p.grad, q.grad)


def test_zero_for_equal_images_and_by_hand_elsewhere() -> None:
    x = torch.rand(1, 3, 4, 4)
    loss = load_loss("pixel:bce")
    assert float(loss(x, x)) == pytest.approx(0, abs=1e-7)
    p, t = torch.full((1, 1, 2, 2), 0.25), torch.full((1, 1, 2, 2), 0.5)
    by_hand = 0.5 * torch.log(torch.tensor(0.5 / 0.25)) + 0.5 * torch.log(torch.tensor(0.5 / 0.75))
    assert float(loss(p, t)) == pytest.approx(float(by_hand), rel=1e-5)
    assert float(loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))) == pytest.approx(100)  # cut, not inf
