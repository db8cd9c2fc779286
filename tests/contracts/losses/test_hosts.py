"""A loss inside another module: nothing of it is trained, saved, or changed by the host's switches."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from lossnets.errors import ConfigError
from lossnets.losses import ImageLoss, PerceptualLoss

from .cases import (
    CASES,
    NAMED,
    SQUEEZE,
    Case,
    built,
    channel_weights,
    fresh,
    ids,
    pair,
    tiny_loss,
    tiny_network,
)

every = pytest.mark.parametrize("case", CASES, ids=ids)


class Host(nn.Module):
    """A model that holds its loss, as training modules do."""

    def __init__(self, loss: ImageLoss | None) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.loss = loss


@every
def test_host_gains_no_key_and_no_parameter(case: Case) -> None:
    host, bare = Host(fresh(case)), Host(None)
    assert list(host.state_dict()) == list(bare.state_dict())
    assert len(list(host.parameters())) == len(list(bare.parameters()))
    assert list(dict(host.named_buffers())) == []
    bare.load_state_dict(host.state_dict(), strict=True)
    host.load_state_dict(bare.state_dict(), strict=True)


@every
def test_switches_of_the_host_change_nothing(case: Case) -> None:
    x, y = pair(case)
    host = Host(fresh(case))
    expected = built(case)(x, y)
    host.train()
    assert torch.equal(host.loss(x, y), expected)
    host.requires_grad_(True)
    host.loss(x.requires_grad_(), y).backward()
    assert all(p.grad is None for p in getattr(host.loss, "network", nn.Module()).parameters())
    assert torch.equal(host.eval().loss(x, y), expected)


@every
def test_copies_and_pickles_give_the_same_number(case: Case) -> None:
    x, y = pair(case)
    loss = built(case)
    expected = loss(x, y)
    clone = copy.deepcopy(loss)
    assert torch.equal(clone(x, y), expected)
    assert clone.signature() == loss.signature()
    if case.name != "own-function":  # a function of a test module is pickled by reference
        thawed = pickle.loads(pickle.dumps(loss))
        assert torch.equal(thawed(x, y), expected)
        assert str(thawed) == str(loss)


@every
def test_double_precision_follows_the_host(case: Case) -> None:
    x, y = pair(case)
    if case.name == "bf16":
        pytest.skip("its network computes in bf16 on request")
    host = Host(fresh(case)).double()
    value = host.loss(x.double(), y.double())
    assert value.dtype == torch.float64
    torch.testing.assert_close(value.float(), built(case)(x, y), rtol=1e-4, atol=1e-7)
    back = host.float().loss(x, y)
    torch.testing.assert_close(back, built(case)(x, y), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_host_in_half_precision_keeps_the_number(dtype: torch.dtype) -> None:
    x, y = pair()
    loss = PerceptualLoss(
        "squeezenet1_1",
        list(channel_weights()),
        weights="random-0",
        distance="lpips",
        channel_weights=channel_weights(),
    )
    value, signature, encoded = loss(x, y), loss.signature(), loss.encode(y)
    host = Host(loss).to(dtype)
    for _ in range(2):
        assert torch.equal(loss(x, y), value)
        assert torch.equal(loss(x, encoded), value)
        assert loss.signature() == signature
        host.float()  # and back


@every
def test_hosts_on_the_meta_device_leave_the_loss_its_values(case: Case) -> None:
    x, y = pair(case)
    loss = fresh(case)
    value, signature = loss(x, y), loss.signature()
    host = Host(loss).to("meta")
    assert torch.equal(loss(x, y), value)
    host.to_empty(device="cpu")
    assert torch.equal(loss(x, y), value)
    assert loss.signature() == signature


def test_moves_reach_the_hidden_network() -> None:
    loss = tiny_loss(channel_weights={"1": torch.ones(4), "2": torch.ones(6)})
    loss.double()
    assert {t.dtype for t in (*loss.network.parameters(), loss.network.mean)} == {torch.float64}
    assert {t.dtype for t in loss.channel_weights.values()} == {torch.float64}
    loss.share_memory()
    assert all(t.is_shared() for t in loss.network.parameters())


def test_a_bank_or_loss_on_one_network_does_not_change_another() -> None:
    x, y = pair()
    from lossnets.networks import wrap_network

    network = wrap_network(tiny_network(), ["1", "2"])
    first, second = PerceptualLoss(network, "1"), PerceptualLoss(network, ["1", "2"], distance="l1")
    expected = first(x, y)
    second.double()
    PerceptualLoss(network, "2", compute_dtype=torch.bfloat16)
    assert torch.equal(first(x, y), expected)


def test_own_module_is_copied() -> None:
    from lossnets.networks import wrap_network

    module = tiny_network().train()
    x, y = pair()
    loss = PerceptualLoss(wrap_network(module, ["1"]))
    expected = loss(x, y)
    with torch.no_grad():
        module[0].weight.zero_()
    assert torch.equal(loss(x, y), expected)
    assert module.training
    assert module[0].weight.requires_grad


def test_checkpoint_of_a_host_saves_and_loads() -> None:
    host = Host(fresh(NAMED[6]))
    file = io.BytesIO()
    torch.save(host.state_dict(), file)
    assert file.tell() < 20_000  # the network is not in it
    file.seek(0)
    Host(None).load_state_dict(torch.load(file, weights_only=True))


# Training what is meant to be trained ---------------------------------------------------------------


@pytest.mark.parametrize("distance", ["lpips", "l1", "spatial+mean"])
def test_trained_heads_stay_non_negative(distance: str) -> None:
    x, y = pair()
    loss = PerceptualLoss(
        "squeezenet1_1", ["features.1"], weights="random-0", distance=distance, trainable="head"
    )
    assert [p.requires_grad for p in loss.parameters()] == [True]
    assert list(loss.state_dict()) == ["head.0"]
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.2)
    before = loss.signature()
    for _ in range(20):
        optimizer.zero_grad()
        value = loss(x, y)
        assert float(value.detach()) >= 0
        value.backward()  # minimising the loss itself pulls every weight below 0
        optimizer.step()
    assert all(bool((w >= 0).all()) for w in loss.channel_weights.values())
    assert float(loss(x, y).detach()) >= 0
    assert loss.signature() != before
    assert all(p.grad is None for p in loss.network.parameters())


def test_a_step_of_the_head_makes_encodings_foreign() -> None:
    x, y = pair()
    loss = tiny_loss("1", distance="lpips", trainable="head")
    encoded = loss.encode(y)
    loss(x, encoded).backward()
    torch.optim.SGD(loss.parameters(), lr=1.0).step()
    with pytest.raises(ValueError, match="encode it"):
        loss(x, encoded)


def test_head_gradient_is_the_channel_distance() -> None:
    x, y = pair()
    loss = tiny_loss("1", distance="lpips", trainable="head", reduction="sum")
    loss(x, y).backward()
    expected = loss.channel_distances(x, y)["1"].sum(0)
    torch.testing.assert_close(loss.head[0].grad, expected)


def test_trainable_all_trains_network_and_head() -> None:
    x, y = pair()
    loss = PerceptualLoss(
        "squeezenet1_1", ["features.1"], weights="random-0", distance="lpips", trainable="all"
    )
    names = dict(loss.named_parameters())
    assert "head.0" in names
    assert len(names) == 3
    assert len(loss.state_dict()) == 3
    before, encoded = loss.signature(), loss.encode(y)
    loss(x, y).backward()
    assert all(p.grad is not None for p in loss.parameters())
    torch.optim.SGD(loss.parameters(), lr=0.1).step()
    assert loss.signature() != before
    with pytest.raises(ValueError, match="made by another loss"):
        loss(x, encoded)
    assert loss.train().network.training
    with pytest.raises(ConfigError, match="frozen network"):
        PerceptualLoss(
            "squeezenet1_1", ["features.1"], weights="random-0", trainable="all", compute_dtype=torch.float16
        )


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="trainable must be 'none', 'head' or 'all'; got 'yes'"):
        tiny_loss(trainable="yes")
    with pytest.raises(ConfigError, match="reduction must be one of mean, sum, none; got 'avg'"):
        tiny_loss(reduction="avg")
    with pytest.raises(ConfigError, match="channels must be one of rgb, gray, per-channel; got 'bgr'"):
        tiny_loss(channels="bgr")
    with pytest.raises(ConfigError, match="compute_dtype must be"):
        tiny_loss(compute_dtype=torch.float64)
    with pytest.raises(ConfigError, match="no meaning for compare='gram'"):
        tiny_loss("1", distance="gram", channel_weights={"1": torch.ones(4)})
    with pytest.raises(ConfigError, match="need a Distance"):
        tiny_loss("1", distance=lambda a, b: a, channel_weights={"1": torch.ones(4)})
    with pytest.raises(ConfigError, match=r"shape \(2,\); got \(2, 4, 16, 16\)"):
        tiny_loss("1", distance=lambda a, b: a - b)(*pair())
    with pytest.raises(ConfigError, match="wrap_network"):
        PerceptualLoss(tiny_network())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="belong to load_network"):
        PerceptualLoss(tiny_loss().network, pooling="avg")
    with pytest.raises(ConfigError, match="twice"):
        tiny_loss().__class__(tiny_loss().network, ["1", "1"])


def test_names_of_hidden_settings_are_in_the_repr() -> None:
    text = repr(built(next(case for case in CASES if case.name == "spatial")))
    for part in (SQUEEZE, "RANDOM-0", "mean=(0.485, 0.456, 0.406)", "min_size=", "data_range=(0.0, 1.0)"):
        assert part in text
    assert "pixel:mse" in repr(built(CASES[0]))
