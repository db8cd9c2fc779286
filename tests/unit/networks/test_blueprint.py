"""Every name of a tap leads to the same record; pooling can be exchanged."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from lossnets.errors import ConfigError, UnknownNameError
from lossnets.networks import blueprint, load_network
from lossnets.networks.blueprint import swap_pooling


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("vgg16", ["relu3_3", "15", "features.15"]),
        ("vgg19", ["conv4_2", "21", "features.21"]),
        ("vgg16_bn", ["bn3_3", "21", "features.21"]),
        ("alexnet", ["relu2", "4", "features.4"]),
        ("alexnet", ["pool5", "12", "features.12"]),
        ("resnet18", ["layer1", "4"]),
        ("squeezenet1_1", ["features.12", "12"]),
        ("googlenet", ["inception3a", "5"]),
    ],
)
def test_all_names_lead_to_one_record(name, names):
    plan = blueprint(name)
    records = [plan.resolve(n) for n in names]
    assert all(r is records[0] for r in records)
    assert records[0].name == names[0]  # the one that loss names print
    assert set(names[1:]) == set(records[0].aliases)


def test_vgg_names_are_those_of_the_architecture():
    names = [t.name for t in blueprint("vgg16").taps.values() if t.module.startswith("features.")]
    layers = []
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
        for i in range(1, count + 1):
            layers += [f"conv{block}_{i}", f"relu{block}_{i}"]
        layers.append(f"pool{block}")
    assert names == layers


@pytest.mark.parametrize("name", ["vgg19", "alexnet"])
def test_average_pooling_changes_values_not_names(name):
    plain, averaged = blueprint(name), blueprint(name, "avg")
    assert [t.name for t in plain.taps.values()] == [t.name for t in averaged.taps.values()]
    assert averaged.spec.points == plain.spec.points
    x = torch.rand(1, 3, 48, 48)
    taps = ["relu1_1", "relu2_1"] if name == "vgg19" else ["relu1", "relu2"]
    one, two = (load_network(name, taps, weights="random", pooling=p)(x) for p in ("max", "avg"))
    assert torch.equal(one[taps[0]], two[taps[0]])
    assert not torch.equal(one[taps[1]], two[taps[1]])


def test_swap_pooling_keeps_the_window():
    net = swap_pooling(nn.Sequential(nn.MaxPool2d(3, 2, 1, ceil_mode=True)), "avg")
    assert isinstance(net[0], nn.AvgPool2d)
    assert (net[0].kernel_size, net[0].stride, net[0].padding, net[0].ceil_mode) == (3, 2, 1, True)
    with pytest.raises(ConfigError, match="pooling must be 'max' or 'avg'; got 'mean'"):
        blueprint("vgg16", "mean")


def test_unknown_tap_names_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"tap of vgg16 'relu3_4'.*Did you mean.*relu3_.*lossnets taps vgg16"
    ):
        blueprint("vgg16").resolve("relu3_4")


def test_copies_are_itself():
    plan = blueprint("vgg16")
    assert copy.deepcopy(plan) is plan
    assert pickle.loads(pickle.dumps(plan)) is plan
    assert pickle.loads(pickle.dumps(blueprint("vgg16", "avg"))).pooling == "avg"
