"""A gradient network as a loss: exact gradients, the call of every loss here, hosts, compilers, processes."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, EncodingError, ImageError
from lossnets.gradients import GradientNetwork, PerceptualGradientNetwork, PGNLoss
from lossnets.gradients.proxies import PROXIES
from lossnets.losses import LossBank, PixelLoss

FAMILIES = ("proxy", "direct", "distilled")
compiled = pytest.mark.filterwarnings("ignore")  # what dynamo itself warns of is not ours to answer for
Pair = tuple[Tensor, Tensor]


def field(loss: PGNLoss, x: Tensor, target: object, **options: object) -> Tensor:
    """Gradient with respect to the input."""
    x = x.detach().clone().requires_grad_()
    value = loss(x, target, **options)
    return torch.autograd.grad(value.sum(), x)[0]


@pytest.mark.parametrize("proxy", PROXIES)
def test_value_and_gradient_are_those_of_the_mse_to_the_detached_proxy(proxy: str, pair: Pair) -> None:
    """In float64, to rounding: autograd of MSE(x, t.detach()) / s, in pixels and any data range."""
    pgn = PerceptualGradientNetwork("shuffled", proxy=proxy, grad_scale=0.2, width=8, blocks=1).double()
    x, y = (v.double() for v in pair)
    loss = PGNLoss(pgn, reduction="none", data_range=(-1, 1)).double()
    inputs = (2 * x - 1).requires_grad_()
    mean, std = loss.pgn.mean, loss.pgn.std
    t = loss.pgn.proxy((x - mean) / std, (y - mean) / std).detach()
    expected = ((((inputs + 1) / 2 - mean) / std - t) ** 2).mean((1, 2, 3)) / 0.2
    (slope,) = torch.autograd.grad(expected.sum(), inputs)
    torch.testing.assert_close(loss(inputs, 2 * y - 1).detach(), expected.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(field(loss, inputs, 2 * y - 1), slope, rtol=1e-10, atol=1e-16)
    torch.testing.assert_close(loss.proxy(inputs.detach(), 2 * y - 1), 2 * (t * std + mean) - 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_is_the_predicted_field(
    family: str, thin: Mapping[str, GradientNetwork], pair: Pair
) -> None:
    x, y = pair
    pgn = thin[family]
    predicted = pgn.gradient(pgn.normalise(x), pgn.normalise(y)).detach() / pgn.std
    loss = PGNLoss(pgn, reduction="sum")
    torch.testing.assert_close(field(loss, x, y), predicted, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(field(loss, x, loss.encode(y)), predicted, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(field(PGNLoss(pgn), x, y), predicted / 2, rtol=1e-5, atol=1e-9)
    none = PGNLoss(pgn, reduction="none")
    inputs = x.clone().requires_grad_()
    (none(inputs, y) * torch.tensor([1.0, -3.0])).sum().backward()
    weighted = predicted * torch.tensor([1.0, -3.0]).view(2, 1, 1, 1)
    torch.testing.assert_close(inputs.grad, weighted, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_reductions_modes_and_targets_agree(
    family: str, thin: Mapping[str, GradientNetwork], pair: Pair
) -> None:
    x, y = pair
    losses = {r: PGNLoss(thin[family], reduction=r) for r in ("none", "mean", "sum")}
    each = losses["none"](x, y)
    assert each.shape == (2,)
    torch.testing.assert_close(losses["mean"](x, y), each.mean())
    torch.testing.assert_close(losses["sum"](x, y), each.sum())
    torch.testing.assert_close(losses["none"](x[1:], y[1:]), each[1:], rtol=1e-4, atol=1e-8)
    loss = losses["none"]
    torch.testing.assert_close(loss(x.clone().requires_grad_(), y).detach(), each)
    encoded = loss.encode(y)
    torch.testing.assert_close(loss(x[1:], encoded[1:2]), each[1:], rtol=1e-4, atol=1e-8)
    with torch.inference_mode():
        torch.testing.assert_close(loss(x, y), each)
        torch.testing.assert_close(loss(x, loss.encode(y)), each)
    assert set(loss(x, y, per_tap=True)) == {"proxy"}
    eight = (x * 255).to(torch.uint8)
    torch.testing.assert_close(loss(eight, y), loss(eight / 255.0, y))
    torch.testing.assert_close(loss(x.bfloat16(), y), loss(x.bfloat16().float(), y))
    torch.testing.assert_close(PGNLoss(thin[family], data_range=(0, 255))(x * 255, y * 255), each.mean())


def test_no_gradient_for_the_target_and_no_graph_through_the_network(
    thin: Mapping[str, GradientNetwork], pair: Pair
) -> None:
    x, y = (v.clone().requires_grad_() for v in pair)
    for pgn in thin.values():
        loss = PGNLoss(pgn)
        with pytest.raises(ImageError, match=r"target requires a gradient.*Pass target.detach\(\)"):
            loss(x, y)
        with torch.no_grad():
            loss(x, y)
        value = loss(x, y.detach())
        value.backward()
        assert all(p.grad is None and not p.requires_grad for p in loss.pgn.parameters())
        nodes, names = [value.grad_fn], set()
        while nodes:
            node = nodes.pop()
            names.add(type(node).__name__)
            nodes += [parent for parent, _ in node.next_functions if parent is not None]
        assert not [name for name in names if "Conv" in name]


def test_the_callers_network_is_left_alone(thin: Mapping[str, GradientNetwork], pair: Pair) -> None:
    pgn = thin["proxy"].train()
    loss = PGNLoss(pgn)
    before = loss(*pair)
    assert pgn.training
    assert all(p.requires_grad for p in pgn.parameters())
    with torch.no_grad():
        next(pgn.parameters()).zero_()
    assert torch.equal(loss(*pair), before)


def test_second_derivatives_are_refused(thin: Mapping[str, GradientNetwork], pair: Pair) -> None:
    x = pair[0].clone().requires_grad_()
    for pgn in thin.values():
        with pytest.raises(ConfigError, match="create_graph=True is not possible with a gradient network"):
            torch.autograd.grad(PGNLoss(pgn)(x, pair[1]), x, create_graph=True)


def test_maps_and_masks(thin: Mapping[str, GradientNetwork], pair: Pair) -> None:
    x, y = pair
    loss = PGNLoss(thin["proxy"], reduction="none")
    pixels = loss(x, y, output="map")
    assert pixels.shape == (2, 1, 20, 24)
    torch.testing.assert_close(pixels.mean((1, 2, 3)), loss(x, y), rtol=1e-5, atol=0)
    mask = torch.zeros(2, 1, 20, 24)
    mask[..., :12] = 1
    torch.testing.assert_close(loss(x, y, mask=mask), pixels[..., :12].mean((1, 2, 3)), rtol=1e-5, atol=0)
    everything = field(loss, x, y, mask=torch.ones_like(mask))
    torch.testing.assert_close(everything, field(loss, x, y), rtol=1e-4, atol=1e-9)
    half = field(loss, x, y, mask=mask)
    assert float(half[..., 12:].abs().max()) == 0.0
    torch.testing.assert_close(half[..., :12], 2 * everything[..., :12], rtol=1e-4, atol=1e-9)
    for name in ("direct", "distilled"):
        with pytest.raises(ConfigError, match="has no map and takes no mask: only the proxy family does"):
            PGNLoss(thin[name])(x, y, output="map")
    with pytest.raises(EncodingError, match="maps and masks need the target's images"):
        loss(x, loss.encode(y), mask=mask)


def test_bfloat16_on_request(thin: Mapping[str, GradientNetwork], pair: Pair) -> None:
    x, y = pair
    for family, pgn in thin.items():
        exact, fast = PGNLoss(pgn), PGNLoss(pgn, compute_dtype=torch.bfloat16)
        assert fast.name == "pgn:custom:dtype=bfloat16"
        assert fast(x, y).dtype == torch.float32
        torch.testing.assert_close(fast(x, y), exact(x, y), rtol=0.03, atol=0)
        ours, theirs = field(fast, x, y), field(exact, x, y)
        assert ours.dtype == torch.float32
        assert not torch.equal(ours, theirs), family
        assert float(torch.cosine_similarity(ours.flatten(), theirs.flatten(), 0)) > 0.99
        with pytest.raises(EncodingError, match="made by another loss"):
            fast(x, exact.encode(y))


def test_autocast_changes_nothing_and_a_scaler_scales(
    thin: Mapping[str, GradientNetwork], pair: Pair
) -> None:
    x, y = pair
    for pgn in thin.values():
        loss = PGNLoss(pgn)
        expected = field(loss, x, y)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(loss(x, y), loss(x, y))
            found = field(loss, x, y)
        assert torch.equal(found, expected)
        inputs = x.clone().requires_grad_()
        (loss(inputs, y) * 1024).backward()
        torch.testing.assert_close(inputs.grad, 1024 * expected)


class Host(nn.Module):
    def __init__(self, loss: PGNLoss | None) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.loss = loss


@pytest.mark.parametrize("family", FAMILIES)
def test_inside_a_host(family: str, thin: Mapping[str, GradientNetwork], pair: Pair) -> None:
    x, y = pair
    host, bare = Host(PGNLoss(thin[family])), Host(None)
    expected = host.loss(x, y)
    assert list(host.state_dict()) == list(bare.state_dict())
    assert len(list(host.parameters())) == len(list(bare.parameters()))
    host.train().requires_grad_(True)
    assert torch.equal(host.loss(x, y), expected)
    for clone in (copy.deepcopy(host), pickle.loads(pickle.dumps(host))):
        assert torch.equal(clone.loss(x, y), expected)
        assert clone.loss.signature() == host.loss.signature()
    wide = copy.deepcopy(host).double()
    value = wide.loss(x.double(), y.double())
    assert value.dtype == torch.float64
    torch.testing.assert_close(value.float(), expected, rtol=1e-4, atol=1e-7)
    assert "computed:float64" in wide.loss.signature()
    half = copy.deepcopy(host).to(torch.bfloat16)
    assert torch.equal(half.loss(x, y), expected)
    assert torch.equal(copy.deepcopy(host).to("meta").loss(x, y), expected)


def test_grey_images_and_channels(thin: Mapping[str, GradientNetwork], pair: Pair) -> None:
    x, y = (v[:, :1] for v in pair)
    with pytest.raises(ImageError, match=r"must have 3 channel\(s\).*channels='gray'"):
        PGNLoss(thin["proxy"])(x, y)
    grey = PGNLoss(thin["proxy"], channels="gray", reduction="none")
    expected = PGNLoss(thin["proxy"], reduction="none")(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1))
    torch.testing.assert_close(grey(x, y), expected)
    assert grey.proxy(x, y).shape == x.shape
    assert grey.name == "pgn:custom:channels=gray"
    each = PGNLoss(thin["proxy"], channels="per-channel", reduction="none")
    both = [grey(a[:, k : k + 1], b[:, k : k + 1]) for k in range(3) for a, b in [pair]]
    torch.testing.assert_close(each(*pair), sum(both) / 3)


def test_mixed_with_another_loss(thin: Mapping[str, GradientNetwork], pair: Pair) -> None:
    x, y = pair
    loss, mse = PGNLoss(thin["proxy"]), PixelLoss("mse")
    inputs = x.clone().requires_grad_()
    (loss(inputs, y) + 20 * mse(inputs, y)).backward()
    torch.testing.assert_close(inputs.grad, field(loss, x, y) + 20 * 2 * (x - y) / x.numel())
    found = LossBank([loss, mse]).distances(x, y)
    torch.testing.assert_close(found["pgn:custom"].mean(), loss(x, y))


def test_encoded_targets_go_stale_and_are_not_for_others(
    thin: Mapping[str, GradientNetwork], pair: Pair
) -> None:
    x, y = pair
    loss = PGNLoss(thin["proxy"])
    encoded = loss.encode(y)
    with pytest.raises(EncodingError, match="made by another loss"):
        PGNLoss(thin["distilled"])(x, encoded)
    with torch.no_grad():
        next(loss.pgn.parameters()).mul_(2)
    with pytest.raises(EncodingError, match="stale"):
        loss(x, encoded)


def test_wrong_images_and_settings(thin: Mapping[str, GradientNetwork], pair: Pair) -> None:
    x, y = pair
    loss = PGNLoss(thin["proxy"])
    with pytest.raises(ImageError, match=r"input must lie in \[0, 1\].*data_range=\(0, 255\)"):
        loss(x * 255, y)
    with pytest.raises(ImageError, match="target must be finite"):
        loss(x, y * float("nan"))
    with pytest.raises(ImageError, match="input and target must have the same shape"):
        loss(x, y[:1])
    with pytest.raises(ImageError, match=r"input is float64, the loss torch.float32"):
        loss(x.double(), y.double())
    small = torch.rand(1, 3, 2, 2)
    with pytest.raises(ImageError, match="must be at least 3 pixels on each side"):
        PGNLoss(thin["distilled"])(small, small)
    with pytest.raises(ConfigError, match=r"pgn must be a gradient network; got Conv2d.*from_pretrained"):
        PGNLoss(nn.Conv2d(3, 3, 1))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"compute_dtype must be torch.float32 or torch.bfloat16"):
        PGNLoss(thin["proxy"], compute_dtype=torch.float16)
    with pytest.raises(ConfigError, match="channels must be one of rgb, gray, per-channel; got 'grey'"):
        PGNLoss(thin["proxy"], channels="grey")


def test_the_signature_tells_networks_apart(thin: Mapping[str, GradientNetwork]) -> None:
    pgn = thin["proxy"]
    loss = PGNLoss(pgn, imitates="pixel:mse|numerics:1")
    assert "|imitates:(pixel:mse;numerics:1)|" in loss.signature()
    assert loss.signature() == PGNLoss(copy.deepcopy(pgn), imitates="pixel:mse|numerics:1").signature()
    other = copy.deepcopy(pgn)
    with torch.no_grad():
        next(other.parameters())[0] += 1e-3
    scaled = PerceptualGradientNetwork("shuffled", grad_scale=0.1, width=8, blocks=1)
    scaled.load_state_dict(pgn.state_dict())
    signatures = {PGNLoss(n).signature() for n in (pgn, other, scaled, thin["direct"])}
    assert len(signatures) == 4
    assert "imitates='pixel:mse" in repr(loss)


@compiled
@pytest.mark.parametrize("family", ["proxy", pytest.param("distilled", marks=pytest.mark.slow)])
def test_dynamo_takes_the_whole_loss_in_one_graph(
    family: str, thin: Mapping[str, GradientNetwork], pair: Pair
) -> None:
    torch.compiler.reset()
    x, y = pair
    loss = PGNLoss(thin[family])
    fast = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(fast(x, y), loss(x, y), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(field(fast, x, y), field(loss, x, y), rtol=1e-4, atol=1e-8)


PROCESS = """
import os, sys, torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from lossnets.gradients import PerceptualGradientNetwork, PGNGuard, PGNLoss

torch.set_num_threads(1)
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
torch.manual_seed(0)
loss = PGNGuard(PGNLoss(PerceptualGradientNetwork("shuffled", width=8, blocks=1)), "pixel:mse", every=1)
model = nn.Conv2d(3, 3, 1)
x, y = torch.rand(2, 2, 3, 16, 16)
whole = nn.Conv2d(3, 3, 1)
whole.load_state_dict(model.state_dict())
wrapped = DistributedDataParallel(model)
part = slice(rank, rank + 1)
loss(wrapped(x[part]).sigmoid(), y[part]).backward()
loss.pgn_loss(whole(x).sigmoid(), y).backward()
torch.testing.assert_close(model.weight.grad, whole.weight.grad, rtol=1e-4, atol=1e-8)
figures = [None, None]
torch.distributed.all_gather_object(figures, loss.history[-1])
assert figures[0] == figures[1], figures
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_train_alike_and_their_guards_agree(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(PROCESS)
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29641", "WORLD_SIZE": "2"}
    workers = [
        subprocess.Popen([sys.executable, str(script)], env={**shared, "RANK": str(k)}) for k in range(2)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
