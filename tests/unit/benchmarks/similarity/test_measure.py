"""One pass over the data: every pair once, references encoded once, sizes apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lossnets.benchmarks.similarity.measure import MAX_PARTNERS, images_per_batch, measure, measure_pairs
from lossnets.datasets.similarity import JNDSet, Opinion, OpinionSet, SamePair, Triplet, TwoAFCSet
from lossnets.datasets.sources import MemoryImages
from lossnets.errors import DataError

from .standins import PixelBank


def images(n: int, side: int = 4) -> MemoryImages:
    g = torch.Generator().manual_seed(0)
    return MemoryImages({str(i): torch.rand(3, side + i % 2, side, generator=g) for i in range(n)})


def test_distances_are_those_of_each_item_alone():
    source = images(20)
    even = [str(i) for i in range(0, 20, 2)]
    rng = np.random.default_rng(0)
    items = []
    for _ in range(60):
        keys = rng.choice(even, 3)  # may repeat: a candidate can be its own reference
        if rng.random() < 0.3:
            keys = [str(int(k) + 1) for k in keys]  # images of another size
        items.append(Triplet(*map(str, keys), 0.5, "s"))
    data = TwoAFCSet("d", tuple(items), source)
    found = measure(PixelBank(), data, batch_size=3)
    for i, t in enumerate(items):
        ref, p0, p1 = (source.load(k).double() for k in (t.ref, t.p0, t.p1))
        assert found["mse"][i] == pytest.approx([((p - ref) ** 2).mean().item() for p in (p0, p1)], abs=1e-6)
        assert found["l1"][i] == pytest.approx([(p - ref).abs().mean().item() for p in (p0, p1)], abs=1e-6)


def test_every_pair_is_measured_once_and_a_reference_encoded_once():
    items = tuple(Triplet("0", str(1 + i % 3), str(1 + (i + 1) % 3), 0.5, "s") for i in range(30))
    source = MemoryImages({str(i): torch.rand(3, 4, 4) for i in range(4)})
    bank = PixelBank()
    seen = []
    measure(bank, TwoAFCSet("d", items, source), progress=lambda *p: seen.append(p))
    assert (bank.encoded, bank.compared) == (1, 3)
    assert seen == [(3, 3)]


def test_many_partners_are_split():
    n = 2 * MAX_PARTNERS + 1
    source = MemoryImages({str(i): torch.rand(3, 4, 4) for i in range(n + 1)})
    data = OpinionSet("d", tuple(Opinion("0", str(i + 1), 1.0, "s") for i in range(n)), source)
    bank, seen = PixelBank(), []
    found = measure(bank, data, progress=lambda *p: seen.append(p))
    assert (bank.encoded, bank.compared) == (3, n)
    assert seen[-1] == (n, n)
    assert found["mse"].shape == (n, 1)


def test_jnd_pairs_and_batches_of_one():
    source = MemoryImages({str(i): torch.rand(3, 4, 4) for i in range(6)})
    data = JNDSet("d", tuple(SamePair(str(i), str(5 - i), 0.5, "s") for i in range(6)), source)
    one, many = (measure(PixelBank(), data, batch_size=b) for b in (1, None))
    assert np.array_equal(one["mse"], many["mse"])
    assert one["mse"][:3].tolist() == one["mse"][:2:-1].tolist()


def test_unequal_sizes_within_an_item_are_refused():
    with pytest.raises(DataError, match=r"must have one size; got 0 4×4 and 1 5×4"):
        measure(PixelBank(), TwoAFCSet("d", (Triplet("0", "1", "2", 0.5, "s"),), images(3)))


def test_batches_hold_fewer_large_images():
    assert images_per_batch(64, 64) == 64
    assert images_per_batch(384, 512) == 2
    assert images_per_batch(4000, 4000) == 1


def test_gradients_stay_on_for_the_caller():
    source = MemoryImages({str(i): torch.rand(3, 4, 4) for i in range(2)})
    bank = PixelBank()
    for _, found in measure_pairs(bank.encode, bank.distances, [("0", "1")], source):
        assert torch.is_grad_enabled()
        assert not found["mse"].requires_grad
