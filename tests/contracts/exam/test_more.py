"""Situations with parameters, and what is built of losses: banks, guards, benchmarks."""

from __future__ import annotations

import contextlib
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lossnets import LossBank, PGNLoss, load_loss
from lossnets.benchmarks import load_benchmark
from lossnets.errors import EncodingError, ImageError, LossnetsError, WeightsError
from lossnets.gradients import PGNGuard
from lossnets.losses import PerceptualLoss

from .candidates import CANDIDATES, own_module
from .situations import CHANGES, HOSTS, STATES, Exam, Host, run
from .test_exam import close, exam_of, expected

FAST = [
    c for c in CANDIDATES if c.name.startswith(("pixel:mse", "squeezenet1_1/features.1,features.4=0.5:lpips"))
]
NAMES = [
    "pixel:mse",
    "squeezenet1_1/features.1:weights=random-0",
    "squeezenet1_1/features.4:spatial-l1:weights=random-0",
]
some = pytest.mark.parametrize("candidate", FAST, ids=lambda c: c.name)


@some
@given(
    states=st.lists(
        st.sampled_from(sorted(set(STATES) - {"fake tensors"})), min_size=1, max_size=3, unique=True
    ),
    acts=st.lists(st.sampled_from(sorted(HOSTS)), max_size=3),
)
@settings(max_examples=15, deadline=None)
def test_states_and_moves_in_any_order(candidate, states: list[str], acts: list[str]) -> None:
    exam = exam_of(candidate)
    with contextlib.ExitStack() as stack:
        for name in states:
            stack.enter_context(STATES[name]())
        loss = exam.build()
    host = Host(loss)
    for act in acts:
        HOSTS[act](host)
    answer, wanted = run(host.loss, exam), expected(candidate)
    assert close(answer.value, wanted.value, 2e-4)
    assert close(answer.gradient, wanted.gradient, 2e-3)
    assert host.loss.signature() == wanted.loss.signature()


@some
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_any_tensor_is_compared_right_or_refused(candidate, data: st.DataObject) -> None:
    exam: Exam = exam_of(candidate)
    dtype = data.draw(
        st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int32])
    )
    axes = data.draw(st.permutations(range(4)))
    start = data.draw(st.integers(0, 3))
    loss = exam.make()

    def disguised(x: Tensor) -> Tensor:
        """Equal values in another layout: axes in another order in memory, with gaps, at an odd offset."""
        x = x.mul(255).round().to(dtype) if not dtype.is_floating_point else x.to(dtype)
        wide = torch.zeros([n + 3 for n in x.permute(*axes).shape], dtype=dtype)
        view = wide
        for axis, n in enumerate(x.permute(*axes).shape):
            view = view.narrow(axis, start, n)
        view.copy_(x.permute(*axes))
        return view.permute(*[list(axes).index(k) for k in range(4)])

    x, y = disguised(exam.x), disguised(exam.y)
    plain = [v.clone(memory_format=torch.contiguous_format) for v in (x, y)]
    try:
        value = loss(x, y)
    except ImageError:
        return
    expected_value = candidate.reference(
        *((v.double() / (1 if dtype.is_floating_point else 255)) for v in plain)
    )
    assert close(value, expected_value, 2e-4)


@pytest.mark.parametrize("change", CHANGES)
def test_a_bank_sees_changed_weights(change: str) -> None:
    exam = exam_of(FAST[1])
    bank = LossBank(NAMES)
    encoded = bank.encode(exam.y)
    assert torch.equal(bank.distances(exam.x, encoded)[NAMES[1]], bank.distances(exam.x, exam.y)[NAMES[1]])
    changed = bank.losses[NAMES[1]]
    CHANGES[change](changed.network.stages)
    with pytest.raises(EncodingError, match="another bank"):
        bank.distances(exam.x, encoded)
    with contextlib.suppress(LossnetsError):
        alone = changed(exam.x, exam.y)
        shared = bank.distances(exam.x, exam.y)[NAMES[1]]
        torch.testing.assert_close(shared.mean(), alone, rtol=1e-5, atol=0)


@pytest.mark.parametrize("state", ["default type bfloat16", "inference mode"])
def test_banks_and_guards_built_in_any_state(state: str) -> None:
    exam = exam_of(FAST[0])
    wanted = LossBank(NAMES).distances(exam.x, exam.y)
    with STATES[state]():
        bank = LossBank(NAMES)
        guard = PGNGuard(PGNLoss.from_pretrained())
    found = bank.distances(exam.x, exam.y)
    assert all(torch.equal(found[name], wanted[name]) for name in NAMES)
    x = exam.x.clone().requires_grad_()
    guard(x, exam.y).backward()
    plain = exam.x.clone().requires_grad_()
    PGNGuard(PGNLoss.from_pretrained())(plain, exam.y).backward()
    assert torch.equal(x.grad, plain.grad)


@cache
def scores(benchmark: str) -> list[float]:
    return [score.value for score in load_benchmark(benchmark).run("pixel:mse", 0, "smoke")]


@pytest.mark.parametrize("benchmark", ["similarity-sample", "super-resolution-sample", "image-prior-sample"])
@pytest.mark.parametrize("state", ["default type bfloat16", "inference mode", "default device meta"])
def test_a_benchmark_computes_the_same_in_any_state(benchmark: str, state: str) -> None:
    wanted = scores(benchmark)
    with STATES[state]():
        found = [score.value for score in load_benchmark(benchmark).run("pixel:mse", 0, "smoke")]
    assert found == pytest.approx(wanted, rel=1e-12, nan_ok=True)


def test_a_trainable_network_that_lost_its_values_is_refused_until_they_are_loaded() -> None:
    exam = exam_of(FAST[0])
    loss = load_loss("squeezenet1_1/features.1:weights=random-0", trainable="all")
    host, saved = Host(loss), {k: v.clone() for k, v in Host(loss).state_dict().items()}
    value = loss(exam.x, exam.y).detach()
    host.to_empty(device="cpu")
    with pytest.raises(WeightsError, match="load_state_dict"):
        loss(exam.x, exam.y)
    host.load_state_dict(saved)
    torch.testing.assert_close(loss(exam.x, exam.y).detach(), value)


def test_random_weights_are_refused_while_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.init, "kaiming_uniform_", lambda tensor, *_, **__: tensor)
    with pytest.raises(WeightsError, match="kaiming_uniform_ of torch was replaced"):
        load_loss("squeezenet1_1/features.1:weights=random-5")


def test_registered_networks_are_built_anew_for_each_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from lossnets import perceptual_distance, register_network
    from lossnets.networks import catalogue

    settings = {"slope": 0.1}

    def build() -> nn.Module:
        torch.manual_seed(7)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(settings["slope"]))

    monkeypatch.setattr(catalogue, "_USER", dict(catalogue._USER))
    register_network("slopes", build, points=["1"])
    exam = exam_of(FAST[0])
    first = perceptual_distance(exam.x, exam.y, "slopes/1")
    settings["slope"] = 0.9
    second = perceptual_distance(exam.x, exam.y, "slopes/1")
    assert torch.equal(second, load_loss("slopes/1", reduction="none")(exam.x, exam.y))
    assert not torch.allclose(first, second)
    catalogue.network_spec.cache_clear()


def test_a_bank_computes_a_network_in_training_as_the_loss_does() -> None:
    exam = exam_of(FAST[0])
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
    from lossnets import wrap_network

    loss = PerceptualLoss(
        wrap_network(module, ["1"], trainable=True), trainable="all", reduction="none"
    ).train()
    plain = loss.signature()
    found = LossBank([loss]).distances(exam.x, exam.y)
    torch.testing.assert_close(found[loss.name], loss(exam.x, exam.y).detach(), rtol=1e-5, atol=0)
    loss.network.stages[0].register_forward_hook(lambda _m, _i, output: output)
    assert loss.signature() != plain


def test_networks_built_without_values_are_refused() -> None:
    original = nn.Module.register_parameter

    def empty(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        original(module, name, parameter)
        if parameter is not None:
            module._parameters[name] = nn.Parameter(parameter.to("meta"), requires_grad=False)

    from lossnets import wrap_network

    module = own_module()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Module, "register_parameter", empty)  # as accelerate's init_empty_weights does
        empty_module = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(LossnetsError, match="no values"):
        PerceptualLoss(wrap_network(empty_module, ["0"], size=(16, 16)))
    assert not any(p.is_meta for p in module.parameters())
