"""Moves of a host, and the watch over what a frozen module holds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lossnets.frozen import ContentWatch, Follower


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 40, 3), nn.BatchNorm2d(40), nn.Linear(5, 5)).requires_grad_(False)


def apply(follower: Follower, module: nn.Module) -> None:
    put = follower.moved(module)
    if put is not None:
        put()


MOVES = {
    "half": (lambda t: t.half() if t.is_floating_point() else t, torch.float32, True),
    "double": (lambda t: t.double() if t.is_floating_point() else t, torch.float64, True),
    "empty": (torch.empty_like, torch.float32, True),
    "meta": (lambda t: t.to("meta"), torch.float32, True),
    "clone": (torch.clone, torch.float32, True),
}


@pytest.mark.parametrize("name", MOVES)
def test_values_stay(name: str) -> None:
    move, dtype, _ = MOVES[name]
    module = layers()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    apply(Follower(move, torch.device("cpu"), torch.float32), module)
    for key, value in module.state_dict().items():
        assert torch.equal(value.to(before[key].dtype), before[key])
    assert module[0].weight.dtype == dtype


def test_a_type_of_its_own_is_returned_to_from_float64() -> None:
    module = layers().bfloat16()
    weight = module[0].weight.clone()
    apply(Follower(lambda t: t.double(), torch.device("cpu"), torch.bfloat16), module)
    assert module[0].weight.dtype == torch.float64
    apply(Follower(lambda t: t.float(), torch.device("cpu"), torch.bfloat16), module)
    assert torch.equal(module[0].weight, weight)


def test_a_watch_hashes_only_after_a_change() -> None:
    module = layers()
    watch = ContentWatch(module)
    content = watch.content()
    assert watch.unchanged()
    assert watch.content() is content
    assert watch.content(exact=True) == content
    module[0].weight.data.mul_(2)  # no version counter moves
    assert not watch.unchanged()
    assert watch.content() != content
    module[0].weight.data.div_(2)
    assert watch.content() == content


def test_an_address_that_is_given_again_is_no_disguise() -> None:
    module = nn.Linear(300, 300)
    watch = ContentWatch(module)
    content = watch.content()
    for _ in range(20):
        module.weight.data = module.weight.data.bfloat16()
        module.weight.data = module.weight.data.float() * 1.0
        assert not watch.unchanged()
    assert watch.content() != content


def test_exact_sees_a_single_value() -> None:
    module = nn.Linear(300, 300)
    watch = ContentWatch(module)
    content = watch.content()
    module.weight.data[150, 150] += 1
    assert watch.content(exact=True) != content


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m[0], "stride", (2, 2)),
        lambda m: m[1].train(False),
        lambda m: m.append(nn.ReLU()),
        lambda m: m[0].register_forward_hook(lambda *_: None),
        lambda m: m.__setitem__(0, nn.Conv2d(3, 40, 3)),
        lambda m: m[1].running_mean.add_(1),
    ],
)
def test_settings_hooks_and_children_are_seen(change) -> None:
    module = layers()
    watch = ContentWatch(module)
    content = watch.content()
    change(module)
    assert not watch.unchanged()
    assert watch.content() != content
