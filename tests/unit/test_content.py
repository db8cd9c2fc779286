"""What an object is, by content: equal things have one hash, and whatever changes a number changes it."""

from __future__ import annotations

import collections
import copy
import functools
import pickle
import types
import typing

import numpy as np
import pytest
import torch
from torch import nn

from lossnets.content import content_of

FACTOR = 2.0


class Callable:
    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, a, b):
        return ((a - b).abs() ** self.power).mean((1, 2, 3))

    def method(self, a, b):
        return self(a, b)


def capturing(power):
    return lambda a, b: (a - b).abs() ** power


def with_default(power):
    def distance(a, b, p=power):
        return (a - b).abs() ** p

    return distance


def with_keyword(power):
    def distance(a, b, *, p=power):
        return (a - b).abs() ** p

    return distance


def reading_a_global(a, b):
    return (a - b) * FACTOR


def nested(power):
    def outer(a, b):
        def inner(v):
            return v**power

        return inner(a - b)

    return outer


def documented(a):
    """One text."""
    return a


def module(power):
    layer = nn.Conv2d(1, 1, 1)
    nn.init.constant_(layer.weight, 1.0)
    nn.init.constant_(layer.bias, 0.0)
    layer.extra = power
    return nn.Sequential(layer)


def hooked(power):
    layer = module(1)
    layer[0].register_forward_hook(lambda _m, _i, output: output * power)
    return layer


class Own(dict):
    scale = 1.0


def memoised(power):
    @functools.lru_cache
    def helper():
        return power

    return lambda a: a * helper()


def named_tuple(power):
    return Point(power, 1)


class Point(typing.NamedTuple):
    x: float
    y: float


def own_mapping(power):
    mapping = Own(p=1)
    mapping.scale = power
    return mapping


def leaving_out(power):
    class Partly:
        def __getstate__(self):
            return {}

    value = Partly()
    value.power = power
    return value


MAKERS = {
    "captured": capturing, "default": with_default, "keyword": with_keyword, "object": Callable,
    "method": lambda p: Callable(p).method, "partial": lambda p: functools.partial(with_default(1), p=p),
    "nested": nested, "number": float, "text": str, "list": lambda p: [1, [p]], "mapping": lambda p: {"p": p},
    "set": lambda p: {1.5, p}, "tensor": lambda p: torch.full((2,), float(p)),
    "array": lambda p: np.full(2, float(p)), "attribute of a module": module, "hook": hooked,
    "memoised helper": memoised, "named tuple": named_tuple, "own mapping": own_mapping,
    "default factory": lambda p: collections.defaultdict(lambda: p), "left out of pickles": leaving_out,
    "masked array": lambda p: np.ma.array([1.0, 2.0, 3.0], mask=[p == 3, False, False]),
    "sparse tensor": lambda p: torch.eye(60).mul(float(p)).to_sparse(),
    "type of a tensor": lambda p: torch.ones(2, dtype=torch.bool if p == 3 else torch.uint8),
    "class": lambda p: type("Own", (), {"power": p}),
    "generator": lambda p: torch.Generator().manual_seed(int(p)),
}  # fmt: skip


@pytest.mark.parametrize("kind", MAKERS)
def test_content_is_told_apart_and_found_again(kind: str) -> None:
    make = MAKERS[kind]
    assert content_of(make(3)) == content_of(make(3))
    assert content_of(make(3)) != content_of(make(5))
    assert content_of(make(3)).unidentified == ()


def test_lambdas_of_one_line_differ() -> None:
    one, other = lambda a, b: (a - b) * 11.3, lambda a, b: (a - b) * 5272  # fmt: skip
    assert content_of(one) != content_of(other)


def test_globals_count_as_they_are_now(monkeypatch: pytest.MonkeyPatch) -> None:
    before = content_of(reading_a_global)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert content_of(reading_a_global) != before


def test_attributes_of_own_modules_count(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    settings = types.ModuleType("own_settings")
    settings.SCALE = 1.0
    monkeypatch.setitem(sys.modules, "own_settings", settings)
    namespace = {"settings": settings}
    exec("def distance(a, b):\n    return (a - b) * settings.SCALE", namespace)
    before = content_of(namespace["distance"])
    settings.SCALE = 2.0
    assert content_of(namespace["distance"]) != before
    assert content_of(namespace["distance"]).unidentified == ()


def test_modules_imported_inside_a_function_count(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    settings = types.ModuleType("own_inner_settings")
    settings.SCALE = 1.0
    monkeypatch.setitem(sys.modules, "own_inner_settings", settings)
    namespace: dict[str, object] = {}
    exec("def f(a):\n    import own_inner_settings\n    return a * own_inner_settings.SCALE", namespace)
    before = content_of(namespace["f"])
    settings.SCALE = 2.0
    assert content_of(namespace["f"]) != before


def test_functions_that_may_read_anything_are_like_nothing_else() -> None:
    def reading(a):
        return a * globals()["FACTOR"]

    assert content_of(reading).unidentified == ("builtins.function",)


def test_captured_values_that_change_later_count() -> None:
    loss = Callable(1)
    before = content_of(loss)
    loss.power = 2
    assert content_of(loss) != before


def test_a_docstring_does_not_count() -> None:
    def documented(a):
        """Another text."""
        return a

    assert content_of(documented) == content_of(globals()["documented"])


def test_library_functions_are_known_by_name() -> None:
    assert content_of(torch.nn.functional.l1_loss) == content_of(torch.nn.functional.l1_loss)
    assert content_of(torch.nn.functional.l1_loss) != content_of(torch.nn.functional.mse_loss)
    assert content_of(len) != content_of(sum)


def test_what_does_not_show_its_content_is_like_nothing_else() -> None:
    def numbers():
        yield 1

    one, other = numbers(), numbers()
    assert content_of(one) == content_of(one)
    assert content_of(one) != content_of(other)
    assert content_of([one]).unidentified == ("builtins.generator",)
    assert content_of(lambda a: next(one)).unidentified == ("builtins.generator",)


def test_cycles_end() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    other: list[object] = [1]
    other.append(other)
    assert content_of(loop) == content_of(other)


def test_modules_keep_their_content_through_copies_and_moves() -> None:
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    content = content_of(own)
    assert content_of(copy.deepcopy(own)) == content
    assert content_of(pickle.loads(pickle.dumps(own))) == content
    assert content_of(copy.deepcopy(own).double()) == content
    assert content_of(copy.deepcopy(own).to(memory_format=torch.channels_last)) == content
    assert content_of(copy.deepcopy(own).bfloat16()) != content
    other = copy.deepcopy(own)
    other[0].weight.data.mul_(2)
    assert content_of(other).structure == content.structure
    assert content_of(other).sha256 != content.sha256
    other[0].stride = (2, 2)
    assert content_of(other).structure != content.structure


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "timm/vit_tiny_patch16_224", "efficientnet_lite0",
                                  "timm/swin_tiny_patch4_window7_224"])  # fmt: skip
def test_networks_of_libraries_are_identified_and_found_again(name: str) -> None:
    from lossnets import load_network

    network = load_network(name, weights="random-0")
    content = network.content()
    assert content.unidentified == ()
    assert copy.deepcopy(network).content() == content
    assert pickle.loads(pickle.dumps(network)).content() == content
    assert load_network(name, weights="random-0").content() == content
    assert load_network(name, weights="random-1").content() != content
