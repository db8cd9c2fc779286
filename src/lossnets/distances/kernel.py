"""The spatial distance with its own backward pass: no normalised copy, no difference is ever kept.

Values and gradients are those of `compare.spatial_distance` (of `unit_normalise`d maps where asked);
a test holds the two to each other. What it saves: of the two maps, their normalised versions, their
difference and its square, only one map survives until the backward pass, and the work is done in
pieces that fit into a processor's cache. Let x̂ = x r, r = 1/sqrt(|x|^2 + eps), d = x̂ - ŷ:

    value    = 1/P sum_p sum_c w_c d_c^2          (P positions)
    gradient = 2r/P (w d - x̂ (x̂ . w d))

Kept is r (w d - x̂ (x̂ . w d)); 2/P is multiplied in together with the gradient from above, in float32,
so that small gradients of large maps do not vanish in half precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lossnets.distances.compare import distance_map
from lossnets.distances.normalise import EPSILON, at_least_float32, full_precision, unit_normalise
from lossnets.errors import LossnetsError
from lossnets.torch_state import operations_are_watched, stands_for_many

_PIECE = 1 << 18  # elements of one piece: 1 MiB of float32, so that all of its copies fit a cache


def fused_spatial(
    x: Tensor, y: Tensor, weights: Tensor | None, *, metric: str, unit_x: bool, unit_y: bool
) -> Tensor:
    """Sum over channels, mean over positions: (N, C, H, W) x 2 -> (N,) in float32 (or wider).

    Args:
        x: features that may require a gradient.
        y: features of the target; no gradient flows to them here.
        weights: (C,) constant channel weights, or None.
        metric: ``squared_l2`` or ``l1``.
        unit_x: normalise x over channels first.
        unit_y: normalise y over channels first (False where it comes normalised).
    """
    with full_precision(x):
        if not (torch.is_grad_enabled() and x.requires_grad):
            value, _ = _work(x, y, weights, metric, unit_x, unit_y, with_gradient=False)
            return value
        result: Tensor = _FusedSpatial.apply(x, y, weights, metric, unit_x, unit_y)  # type: ignore[no-untyped-call]
        return result


def unit_target(y: Tensor) -> Tensor:
    """`unit_normalise` without a gradient, rounded as `fused_spatial` does it: equal maps then give 0."""
    n, c, h, w = y.shape
    rows: Tensor = at_least_float32(_rows(y))
    result = torch.empty_like(rows)
    with full_precision(y):
        for here in _pieces(n, h * w, c, y.device.type == "cpu"):
            piece = rows[here]
            torch.mul(piece, _inverse_length(piece), out=result[here])
    return result.view(n, h, w, c).permute(0, 3, 1, 2)


def plain_spatial(
    x: Tensor, y: Tensor, weights: Tensor | None, *, metric: str, unit_x: bool, unit_y: bool
) -> Tensor:
    """The same in ordinary operations: differentiable in every argument, any number of times."""
    x = unit_normalise(x) if unit_x else x
    y = unit_normalise(y) if unit_y else y
    return distance_map(x, y, metric=metric, channels="sum", channel_weights=weights).mean((1, 2, 3))


class _FusedSpatial(torch.autograd.Function):
    """The gradient is linear in what comes from above, so it is computed with the value and kept scaled."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, weights: Tensor | None, metric: str, unit_x: bool, unit_y: bool
    ) -> Tensor:
        ctx.factor = (1 if metric == "l1" else 2) / (x.shape[2] * x.shape[3])
        value, gradient = _work(x, y, weights, metric, unit_x, unit_y, with_gradient=True)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> Any:
        # Gradients are recorded here only under create_graph=True. Going on would give a second derivative
        # without this distance's own part: a wrong number, not an error.
        if torch.is_grad_enabled():
            raise LossnetsError(
                "this loss was asked for a second derivative (create_graph=True), which its fast distance "
                "does not have. Build it with double_backward=True, an argument of load_loss, load_preset, "
                "PerceptualLoss, LPIPS and PixelLoss"
            )
        (gradient,) = ctx.saved_tensors
        return _scaled(gradient, above * ctx.factor), None, None, None, None, None


def _scaled(gradient: Tensor, factors: Tensor) -> Tensor:
    """Each image's gradient (N, C, H, W) times its factor (N,), in the gradient's own type."""
    if gradient.device.type != "cpu" or operations_are_watched() or stands_for_many(factors):
        return (gradient * factors.view(-1, 1, 1, 1)).to(gradient.dtype)
    numbers = factors.tolist()  # a product with a number is several times faster than one that broadcasts
    if len(set(numbers)) == 1:
        scaled: Tensor = gradient * numbers[0]
        return scaled
    result = torch.empty_like(gradient)
    for image, number, place in zip(gradient, numbers, result, strict=True):
        torch.mul(image, number, out=place)
    return result


def _work(
    x: Tensor,
    y: Tensor,
    weights: Tensor | None,
    metric: str,
    unit_x: bool,
    unit_y: bool,
    *,
    with_gradient: bool,
) -> tuple[Tensor, Tensor | None]:
    n, c, h, w = x.shape
    rows_x, rows_y = _rows(x), _rows(y)  # (N, P, C)
    gradient = torch.empty_like(rows_x) if with_gradient else None
    value = torch.zeros(n, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    for images, positions in _pieces(n, h * w, c, x.device.type == "cpu"):
        here = (images, positions)
        place = None if gradient is None else gradient[here]
        value[images] += _piece(rows_x[here], rows_y[here], weights, metric, unit_x, unit_y, place)
    if gradient is None:
        return value / (h * w), None
    return value / (h * w), gradient.view(n, h, w, c).permute(0, 3, 1, 2)


def _pieces(n: int, positions: int, channels: int, small: bool) -> Iterator[tuple[slice, slice]]:
    """Which images and which of their positions to take at once: whole images, or parts of one."""
    if not small:
        yield slice(0, n), slice(0, positions)
        return
    rows = max(1, _PIECE // channels)
    if rows >= positions:
        step = rows // positions
        yield from ((slice(i, min(i + step, n)), slice(0, positions)) for i in range(0, n, step))
        return
    for i in range(n):
        for start in range(0, positions, rows):
            yield slice(i, i + 1), slice(start, min(start + rows, positions))


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H*W, C) in one block of memory; free of cost if channels are last in memory."""
    n, c, h, w = x.shape
    return x.detach().permute(0, 2, 3, 1).contiguous().view(n, h * w, c)


def _piece(
    x: Tensor,
    y: Tensor,
    weights: Tensor | None,
    metric: str,
    unit_x: bool,
    unit_y: bool,
    gradient: Tensor | None,
) -> Tensor:
    """Sums of one piece, (images, rows, C) -> (images,); writes its gradient if there is a place for it."""
    x, y = at_least_float32(x), at_least_float32(y)
    scale = _inverse_length(x) if unit_x else None
    if unit_y:  # rounded as x is, not fused into the difference: equal maps differ by exactly 0
        y = y * _inverse_length(y)
    difference = x - y if scale is None else (x * scale).sub_(y)
    slope = difference.sign() if metric == "l1" else difference
    weighted = slope if weights is None else slope * weights
    value: Tensor = torch.linalg.vecdot(difference.flatten(1), weighted.flatten(1))
    if gradient is not None:
        _write_gradient(x, weighted, scale, gradient)
    return value


def _write_gradient(x: Tensor, weighted: Tensor, scale: Tensor | None, gradient: Tensor) -> None:
    """R (w d - x̂ (x̂ . w d)), with x̂ = x r, into ``gradient``; w d where nothing was normalised."""
    if scale is not None:
        along = torch.linalg.vecdot(x, weighted).unsqueeze(-1).mul_(scale).mul_(scale)
        weighted = torch.addcmul(weighted, x, along, value=-1)
        if gradient.dtype == weighted.dtype:
            torch.mul(weighted, scale, out=gradient)
            return
        weighted.mul_(scale)
    if gradient.dtype == torch.float16:  # up to 1e5 at a zero vector: saturate rather than overflow
        limit = torch.finfo(torch.float16).max
        weighted = weighted.clamp(-limit, limit)
    gradient.copy_(weighted)


def _inverse_length(x: Tensor) -> Tensor:
    """1 / sqrt(sum of squares + EPSILON) along the last axis, kept as an axis of one."""
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().add_(EPSILON).rsqrt_()
