"""Channel weights and the judge network, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lossnets.distances.calibrate import ChannelWeights, TwoAFCHead
from lossnets.errors import ConfigError

SHARES = {"features.1": torch.rand(4, 3), "relu2": torch.rand(4, 5)}


def weights(dropout: float = 0.5) -> ChannelWeights:
    return ChannelWeights({tap: s.shape[1] for tap, s in SHARES.items()}, dropout=dropout)


def test_begins_as_the_uncalibrated_distance():
    want = sum(s.numpy().sum(1) for s in SHARES.values())
    np.testing.assert_allclose(weights().eval()(SHARES).detach(), want, rtol=1e-6)


def test_weighted_sum_against_numpy():
    head = weights().eval()
    for parameter in head.parameters():
        torch.nn.init.uniform_(parameter)
    found = head.weights()
    assert list(found) == list(SHARES)
    want = sum(SHARES[t].numpy() @ found[t].numpy() for t in SHARES)
    got = head({t: SHARES[t] for t in reversed(SHARES)})  # the order of the taps is nobody's business
    np.testing.assert_allclose(got.detach(), want, rtol=1e-6)


def test_clamp_touches_negative_weights_only():
    head = weights()
    with torch.no_grad():
        head.values[0].copy_(torch.tensor([-1.0, 0.5, -0.1]))
    head.clamp_()
    assert head.weights()["features.1"].tolist() == [0.0, 0.5, 0.0]
    assert head.weights()["relu2"].tolist() == [1.0] * 5
    assert all(p.requires_grad for p in head.parameters())


def test_weights_are_copies():
    head = weights()
    head.weights()["relu2"].zero_()
    assert head.weights()["relu2"].tolist() == [1.0] * 5


def test_dropout_only_in_training():
    head = weights()
    many = {t: torch.ones(2000, s.shape[1]) for t, s in SHARES.items()}
    dropped = head.train()(many).detach()
    assert dropped.std() > 1
    assert dropped.mean().item() == pytest.approx(8.0, rel=0.05)  # kept in expectation
    assert head.eval()(many).tolist() == [8.0] * 2000
    assert weights(dropout=0.0).train()(many).tolist() == [8.0] * 2000


def test_other_taps_and_shapes_are_refused():
    head = weights()
    with pytest.raises(ConfigError, match=r"shares must be of the taps features.1, relu2; got relu2"):
        head({"relu2": SHARES["relu2"]})
    with pytest.raises(ConfigError, match=r"'relu2' must have shape \(N, 5\); got \(4, 3\)"):
        head({**SHARES, "relu2": SHARES["features.1"]})
    with pytest.raises(ConfigError, match="at least one tap"):
        ChannelWeights({})
    with pytest.raises(ConfigError, match=r"dropout must lie in \[0, 1\); got 1"):
        ChannelWeights({"a": 1}, dropout=1)


def test_judge_against_numpy():
    head = TwoAFCHead()
    d0, d1 = torch.rand(2, 6)
    a, b = d0.double().numpy(), d1.double().numpy()
    x = np.stack([a, b, a - b, a / (b + 0.1), b / (a + 0.1)])
    layers = [
        (m.weight.detach().numpy(), m.bias.detach().numpy()) for m in head.layers if hasattr(m, "weight")
    ]
    assert [w.shape for w, _ in layers] == [(32, 5), (32, 32), (1, 32)]
    for i, (w, bias) in enumerate(layers):
        x = w @ x + bias[:, None]
        if i < 2:
            x = np.where(x > 0, x, 0.2 * x)
    got = head(d0, d1)
    assert got.shape == (6,)
    np.testing.assert_allclose(got.detach(), x[0], rtol=1e-4, atol=1e-6)


def test_judge_learns_which_image_is_closer():
    torch.manual_seed(1)
    head = TwoAFCHead()
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    d0, d1 = torch.rand(2, 256)
    judge = (d1 < d0).float()
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(head(d0, d1), judge).backward()
        optimiser.step()
    assert ((head(d0, d1) > 0) == judge.bool()).float().mean() > 0.97
