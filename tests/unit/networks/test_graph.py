"""Traced, freed of in-place operations, cut: always the numbers of the eager module at hook time."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lossnets.networks import wrap_network
from lossnets.networks.graph import UntraceableError, cut, trace


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.last = nn.Conv2d(4, 4, 1)


class FunctionalKeyword(Base):
    def forward(self, x):
        y = self.conv(x)
        z = F.relu(y, inplace=True)
        return self.last(z + y)


class BeforeAndAfter(Base):
    def forward(self, x):
        y = self.conv(x)
        return self.last(F.relu(y) - y)


class FunctionalPositional(Base):
    def forward(self, x):
        y = self.conv(x)
        F.relu(y, True)
        return self.last(y)


class AddAssign(Base):
    def forward(self, x):
        y = self.conv(x)
        other = y
        y += 1.5
        return self.last(y * other)


class AddMethod(Base):
    def forward(self, x):
        y = self.conv(x)
        y.add_(2.0)
        return self.last(y)


class ReluMethod(Base):
    def forward(self, x):
        y = self.conv(x)
        y.relu_()
        return self.last(y)


class ReluFunction(Base):
    def forward(self, x):
        y = self.conv(x)
        torch.relu_(y)
        return self.last(y)


class SigmoidFunction(Base):
    def forward(self, x):
        y = self.conv(x)
        torch.sigmoid_(y)
        F.leaky_relu_(y, 0.3)
        return self.last(y)


class Chain(Base):
    def forward(self, x):
        y = self.conv(x)
        z = y.mul_(2).add_(1)
        z -= 0.5
        return self.last(self.act(z) + y)


class ModuleTwice(Base):
    def forward(self, x):
        return self.last(self.act(self.last(self.act(self.conv(x)))))


class OutArgument(Base):
    def forward(self, x):
        y = self.conv(x)
        torch.mul(y, 2, out=y)
        return self.last(y)


class SetItem(Base):
    def forward(self, x):
        y = self.conv(x)
        y[:, 0] = 0
        return self.last(y)


class WriteToView(Base):
    def forward(self, x):
        y = self.conv(x)
        y.view(-1).relu_()
        return self.last(y)


class WriteToFunctionView(Base):
    def forward(self, x):
        y = self.conv(x)
        torch.flatten(y, 1).relu_()
        return self.last(y)


class WriteSeenByView(Base):
    def forward(self, x):
        y = self.conv(x)
        view = y.permute(0, 1, 3, 2)
        y.relu_()
        return self.last(view)


class WriteToChunk(Base):
    def forward(self, x):
        y = self.conv(x)
        a, _ = torch.chunk(y, 2, dim=1)
        a.zero_()
        return self.last(y)


class WriteThroughIdentity(Base):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        y = self.conv(x)
        z = self.drop(y)
        z.mul_(3)
        return self.last(y)


class NoOutOfPlaceForm(Base):
    def forward(self, x):
        y = self.conv(x)
        y.fill_(0.25)
        return self.last(y)


TRACED = [
    BeforeAndAfter, FunctionalKeyword, FunctionalPositional, AddAssign, AddMethod, ReluMethod, ReluFunction,
    SigmoidFunction, Chain, ModuleTwice,
]  # fmt: skip
UNTRACED = [
    OutArgument, SetItem, WriteToView, WriteToFunctionView, WriteSeenByView, WriteToChunk,
    WriteThroughIdentity, NoOutOfPlaceForm,
]  # fmt: skip


def by_hooks(model: nn.Module, x: Tensor, paths: list[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def keep(path):
        def hook(_module, _inputs, output):
            found.setdefault(path, output.detach().clone())

        return hook

    for path in paths:
        model.get_submodule(path).register_forward_hook(keep(path))
    with torch.no_grad():
        model(x * 1)
    return found


@pytest.mark.parametrize("kind", TRACED + UNTRACED)
def test_every_tap_is_what_a_hook_sees(kind):
    model = kind()
    network = wrap_network(model, ["conv", "last"], mean=[0.5] * 3, std=[0.5] * 3)
    assert (network.blueprint.traced is not None) == (kind in TRACED)
    x = torch.rand(2, 3, 9, 9)
    want = by_hooks(copy.deepcopy(model).eval(), (x - 0.5) / 0.5, ["conv", "last"])
    with torch.no_grad():
        found = network(x)
        alone = {tap: network.select([tap])(x)[tap] for tap in want}
    for tap, value in want.items():
        torch.testing.assert_close(found[tap], value)
        assert torch.equal(found[tap], alone[tap])
    assert found["conv"].min() < 0


@pytest.mark.parametrize("kind", UNTRACED)
def test_what_cannot_be_certain_is_refused(kind):
    with pytest.raises(UntraceableError):
        trace(kind().eval())


def test_a_graph_has_no_operation_in_place():
    traced = trace(Chain().eval())
    names = [n.target if isinstance(n.target, str) else n.target.__name__ for n in traced.module.graph.nodes]
    assert not [n for n in names if n.endswith("_") or n in ("iadd", "isub")]
    assert not any(getattr(m, "inplace", False) for m in traced.module.modules())


def test_memory_is_reused_only_where_nobody_can_see_it():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.MaxPool2d(2)
    ).eval()

    def reused(*taps: str) -> int:
        stages, _ = cut(trace(copy.deepcopy(model)), taps)
        return sum(n.target is torch.relu_ for s in stages for n in s.graph.nodes)

    assert reused("4") == 2
    assert reused("1", "4") == 2
    assert reused("2", "4") == 1  # the map of tap 2 is the caller's
    assert reused("0", "2", "4") == 0


def test_relu_after_something_that_keeps_its_result_stays_out_of_place():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.ReLU(), nn.ReLU()).eval()
    network = wrap_network(model, ["3"], mean=[0] * 3, std=[1] * 3)
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: network.double()(x)["3"], (x,))


class DenseLike(nn.Module):
    """Two branches, all earlier maps concatenated, one layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.b = nn.Conv2d(7, 4, 3, padding=1)
        self.shared = nn.Conv2d(11, 11, 1)
        self.shared_1 = nn.ReLU(inplace=True)

    def forward(self, x):
        a = self.a(x)
        b = self.b(torch.cat([x, a], 1))
        y = self.shared(torch.cat([x, a, b], 1))
        y = self.shared_1(y)
        return self.shared(y)


def test_branches_and_shared_modules():
    model = DenseLike().eval()
    network = wrap_network(model, ["a", "b", "shared", "shared_1"], mean=[0] * 3, std=[1] * 3)
    x = torch.rand(1, 3, 8, 8)
    want = by_hooks(model, x, ["a", "b", "shared", "shared_1"])
    for tap, value in network(x).items():
        torch.testing.assert_close(value, want[tap], msg=tap)
    assert list(network(x)) == ["a", "b", "shared", "shared_1"]


def test_a_second_call_of_a_module_is_a_tap_of_its_own():
    model = ModuleTwice().eval()
    network = wrap_network(model, ["last", "last_1", "act_1"], mean=[0] * 3, std=[1] * 3)
    x = torch.rand(1, 3, 8, 8)
    found = network(x)
    with torch.no_grad():
        first = model.last(model.conv(x).relu())
        torch.testing.assert_close(found["last"], first)
        torch.testing.assert_close(found["act_1"], first.relu())
        torch.testing.assert_close(found["last_1"], model.last(first.relu()))
    assert len(list(network.parameters())) == 4  # the layer is still one layer


def test_cutting_leaves_out_what_lies_behind():
    traced = trace(DenseLike().eval())
    stages, names = cut(traced, ["b", "a"])
    assert names == ["a", "b"]
    assert [sorted(s.state_dict()) for s in stages] == [["a.bias", "a.weight"], ["b.bias", "b.weight"]]


class Buffered(nn.Module):
    """Computes with a buffer when it is called; a constant of it would ignore loaded weights."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.ones(3))
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(x - self.shift.view(1, -1, 1, 1))


def test_buffers_stay_buffers():
    traced = trace(Buffered().eval())
    with torch.no_grad():
        traced.module.shift.fill_(5.0)
    x = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(traced.module(x), traced.module.conv(x - 5))


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


def test_second_input_is_refused():
    with pytest.raises(UntraceableError, match="second input"):
        trace(TwoInputs())
