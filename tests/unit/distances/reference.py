"""The distances again, written for reading: NumPy, float64, one image pair after the other."""

from __future__ import annotations

import numpy as np

EPSILON = 1e-10


def unit(f: np.ndarray) -> np.ndarray:
    """(C, ...) -> (C, ...) of length 1 over channels."""
    return f / np.sqrt((f**2).sum(0, keepdims=True) + EPSILON)


def vectors(f: np.ndarray, compare: str) -> np.ndarray:
    """(C, H, W) -> (C, positions)."""
    c = f.shape[0]
    flat = f.reshape(c, -1)
    if compare == "mean":
        return flat.mean(1, keepdims=True)
    if compare == "sort":
        return np.sort(flat, axis=1)
    if compare == "gram":
        return flat @ flat.T / flat.size
    return flat


def distance(
    a: np.ndarray,
    b: np.ndarray,
    *,
    compare: str = "spatial",
    metric: str = "squared_l2",
    unit_length: bool = False,
    channels: str = "mean",
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """(N, C, H, W) x 2 -> (N,)."""
    return np.array(
        [
            sum(_one(x, y, part, metric, unit_length, channels, weights) for part in compare.split("+"))
            for x, y in zip(a.astype(np.float64), b.astype(np.float64), strict=True)
        ]
    )


def _one(x, y, part, metric, unit_length, channels, weights) -> float:
    if unit_length and part == "gram":
        x, y = unit(x), unit(y)
    u, v = vectors(x, part), vectors(y, part)  # (C, positions)
    if unit_length and part != "gram":  # the mean or the sort comes first (Pihlgren et al. 2023)
        u, v = unit(u), unit(v)
    d = u - v
    w = np.ones(len(d)) if weights is None else weights
    terms = w[:, None] * (np.abs(d) if metric == "l1" else d**2)
    per_position = terms.sum(0) / (len(d) if channels == "mean" else 1)
    if metric == "l2":
        per_position = np.sqrt(per_position + 1e-12) - 1e-6
    return per_position.mean()
