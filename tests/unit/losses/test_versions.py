"""Two definitions of one distance are two losses: in signatures, encoded targets and shown names."""

from __future__ import annotations

import pytest
import torch

from lossnets.errors import EncodingError
from lossnets.losses import LossBank, PerceptualLoss, load_loss
from lossnets.losses.versions import shown_name, split_name

TAP = "squeezenet1_1/features.1"
CHANGED = ["unit-mean", "unit-sort-l1", "unit-spatial+mean-l2", "unit-spatial+sort-sum"]
UNCHANGED = ["spatial", "mean", "sort-l1", "spatial+mean", "lpips", "unit-spatial-l2", "unit-gram"]


def of(distance: str) -> PerceptualLoss:
    loss = load_loss(f"{TAP}:{distance}:weights=random-0")
    assert isinstance(loss, PerceptualLoss)
    return loss


@pytest.mark.parametrize("distance", CHANGED + UNCHANGED)
def test_only_what_changed_has_a_new_version(distance: str) -> None:
    signature = of(distance).signature()
    assert signature.endswith("|numerics:2" if distance in CHANGED else "|numerics:1")
    name, old = str(of(distance)), signature[:-1] + "1"
    assert shown_name(name, signature) == name
    assert shown_name(name, old) == (f"{name} (numerics 1)" if distance in CHANGED else name)
    assert split_name(shown_name(name, old))[0] == name


def test_a_target_of_the_old_order_is_refused() -> None:
    loss, y = of("unit-mean"), torch.rand(1, 3, 32, 32)
    encoded = loss.encode(y)
    object.__setattr__(encoded, "signature", encoded.signature[:-1] + "1")
    with pytest.raises(EncodingError, match="made by another loss"):
        loss(y, encoded)


@pytest.mark.parametrize("distance", CHANGED)
def test_every_way_to_the_number_has_the_new_order(distance: str) -> None:
    loss = of(distance)
    x, y = torch.rand(2, 2, 3, 32, 32)
    (a,), (b,) = loss.network(x).values(), loss.network(y).values()
    part = loss.spec.distance
    maps = {
        "mean": lambda f: f.mean((2, 3), keepdim=True),
        "sort": lambda f: f.flatten(2).sort(2).values[..., None],
    }
    total = torch.zeros(2)
    for compare in part.parts:
        u, v = (maps.get(compare, lambda f: f)(f) for f in (a, b))
        u, v = (f / (f.square().sum(1, keepdim=True) + 1e-10).sqrt() for f in (u, v))
        d = (u - v).abs() if part.metric == "l1" else (u - v).square()
        d = d.sum(1) if part.channels == "sum" else d.mean(1)
        total += (d.sqrt() if part.metric == "l2" else d).mean((1, 2))
    want = total.mean()
    close = {"rtol": 1e-3, "atol": 1e-6}
    torch.testing.assert_close(loss(x, y), want, **close)
    torch.testing.assert_close(loss(x, loss.encode(y)), want, **close)
    torch.testing.assert_close(LossBank([loss]).distances(x, y)[loss.name].mean(), want, **close)
    if part.metric != "l2":
        (share,) = loss.channel_distances(x, y).values()
        torch.testing.assert_close(share.sum(1).mean(), want, **close)
    trained = PerceptualLoss(loss.network, loss.tap_weights, distance=part, trainable="head")
    torch.testing.assert_close(trained(x, y), want, **close)
    assert float(loss(x, x.clone())) == 0.0
