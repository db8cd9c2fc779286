"""Encoded targets as objects: cuts, moves, memory, pickling."""

from __future__ import annotations

import pickle

import pytest
import torch

from lossnets.errors import EncodingError
from lossnets.losses import EncodedTarget, load_loss

NAME = "squeezenet1_1/features.1,features.3:spatial+mean:weights=random-0"


@pytest.fixture
def encoded() -> EncodedTarget:
    return load_loss(NAME).encode(torch.rand(4, 3, 32, 32))


def test_size_in_memory(encoded: EncodedTarget) -> None:
    # features.1: 64x15x15, features.3: 128x7x7; each with its means; float32.
    assert encoded.nbytes == 4 * 4 * (64 * 15 * 15 + 64 + 128 * 7 * 7 + 128)
    assert len(encoded) == 4
    assert encoded.shape == (4, 3, 32, 32)
    assert not any(t.requires_grad for e in encoded.embeddings for t in e)


def test_cuts(encoded: EncodedTarget) -> None:
    part = encoded[1:3]
    assert part.shape == (2, 3, 32, 32)
    assert all(torch.equal(p, w[1:3]) for a, b in zip(part.embeddings, encoded.embeddings, strict=True)
               for p, w in zip(a, b, strict=True))  # fmt: skip
    assert part[1:].shape[0] == 1
    assert len(encoded[-1:]) == 1
    assert len(encoded[2:99]) == 2
    assert (part.signature, part.state) == (encoded.signature, encoded.state)


@pytest.mark.parametrize(
    "index", [0, [0, 1], slice(None, None, 2), slice(None, None, -1), slice(3, 3), slice(9, 12)]
)
def test_other_cuts_are_refused(encoded: EncodedTarget, index: object) -> None:
    with pytest.raises(EncodingError, match=r"slices|images in a row"):
        encoded[index]  # type: ignore[index]


def test_cuts_of_per_channel_losses_keep_images_together() -> None:
    loss = load_loss("squeezenet1_1/features.1:channels=per-channel:weights=random-0", reduction="none")
    x, y = torch.rand(3, 5, 32, 32), torch.rand(3, 5, 32, 32)
    encoded = loss.encode(y)
    assert encoded.embeddings[0][0].shape[0] == 15
    torch.testing.assert_close(loss(x[1:], encoded[1:]), loss(x, y)[1:])
    torch.testing.assert_close(loss(x[-1:], encoded[-1:]), loss(x, y)[-1:])


def test_moves_and_pickles(encoded: EncodedTarget) -> None:
    assert encoded.to("meta").embeddings[0][0].device.type == "meta"
    thawed = pickle.loads(pickle.dumps(encoded))
    loss = load_loss(NAME)  # built anew: the same weights, so the encoding still fits
    x = torch.rand(4, 3, 32, 32)
    assert torch.equal(loss(x, thawed), loss(x, encoded))
    with pytest.raises(EncodingError, match="encoded target is on meta, input on cpu; move it"):
        loss(x, encoded.to("meta"))
