"""Area resizing: known answers, mean kept, against exact integration on the common refinement."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossnets.losses.resize import area_resize

sizes = st.integers(1, 12)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, sizes, sizes)
def test_mean_is_kept_and_values_are_the_covered_average(h: int, w: int, height: int, width: int) -> None:
    x = torch.rand(2, 3, h, w, dtype=torch.float64)
    ours = area_resize(x, height, width)
    assert ours.shape == (2, 3, height, width)
    torch.testing.assert_close(ours.mean((2, 3)), x.mean((2, 3)))
    # The slow way: repeat to a grid that both sizes divide, then average blocks.
    fine = np.repeat(np.repeat(x.numpy(), height, axis=2), width, axis=3)
    blocks = fine.reshape(2, 3, height, h, width, w).mean((3, 5))
    np.testing.assert_allclose(ours.numpy(), blocks, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_type_is_kept_and_equal_sizes_change_nothing(dtype: torch.dtype) -> None:
    x = torch.rand(1, 2, 5, 7, dtype=dtype)
    assert torch.equal(area_resize(x, 5, 7), x)
    assert area_resize(x, 9, 3).dtype == dtype


def test_range_is_kept_and_gradient_is_the_share() -> None:
    x = torch.rand(1, 1, 7, 9, requires_grad=True)
    y = area_resize(x, 31, 4)
    assert float(y.detach().min()) >= float(x.detach().min()) - 1e-6
    assert float(y.detach().max()) <= float(x.detach().max()) + 1e-6
    y.mean().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 1 / 63))
