"""The grammar of loss names: what they mean, that they print and parse back, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossnets.distances import Distance
from lossnets.errors import ConfigError, UnknownNameError
from lossnets.losses import LossSpec, load_loss, parse_loss

CANONICAL = {
    "pixel:mse": "pixel:mse",
    " pixel:l1 ": "pixel:l1",
    "lpips:alex": "lpips:alexnet",
    "lpips:vgg:version=0.1": "lpips:vgg16",
    "lpips:squeeze:version=0.0:weights=random": "lpips:squeezenet1_1:weights=random-0:version=0.0",
    "vgg16/relu3_3": "vgg16/relu3_3",
    "vgg16/features.15": "vgg16/relu3_3",
    "vgg16/15": "vgg16/relu3_3",
    "vgg16/features.15,8": "vgg16/relu2_2,relu3_3",
    "vgg16/relu3_3=1.0,relu2_2=0.50": "vgg16/relu2_2=0.5,relu3_3",
    "vgg16/relu3_3:mse": "vgg16/relu3_3",
    "vgg16/relu3_3:spatial-squared_l2-mean": "vgg16/relu3_3",
    "vgg16/relu3_3:l1": "vgg16/relu3_3:spatial-l1",
    "vgg16/relu3_3:lpips": "vgg16/relu3_3:unit-spatial-sum",
    "vgg16/relu3_3:dtype=float32:pooling=max:input=normalised": "vgg16/relu3_3",
    "vgg16/relu3_3:pooling=avg:l1": "vgg16/relu3_3:spatial-l1:pooling=avg",
    "vgg16/relu3_3:weights=random-07": "vgg16/relu3_3:weights=random-7",
    "vgg16/relu3_3:weights=IMAGENET1K_V1": "vgg16/relu3_3",
    "vgg16/relu3_3:weights=IMAGENET1K_FEATURES": "vgg16/relu3_3:weights=IMAGENET1K_FEATURES",
    "efficientnet_lite0/blocks.0:weights=packaged": "efficientnet_lite0/blocks.0",
    "vgg16/relu3_3:weights=/a/b.safetensors": "vgg16/relu3_3:weights=/a/b.safetensors",
    "timm/resnet18/layer1": "timm/resnet18.a1_in1k/layer1",
    "timm/resnet18.a1_in1k/layer1:l1": "timm/resnet18.a1_in1k/layer1:spatial-l1",
    "timm/resnet18.fb_swsl_ig1b_ft_in1k/layer1": "timm/resnet18.fb_swsl_ig1b_ft_in1k/layer1",
}  # fmt: skip


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_names(name: str) -> None:
    spec = parse_loss(name)
    assert str(spec) == CANONICAL[name]
    again = parse_loss(str(spec))
    assert again == spec
    assert hash(again) == hash(spec)
    assert str(again) == str(spec)
    assert parse_loss(spec) is spec


def test_fields() -> None:
    spec = parse_loss("vgg16/relu1_2=2,relu3_3:unit-sort-l1:weights=random-3:pooling=avg:channels=gray")
    assert spec.taps == (("relu1_2", 2.0), ("relu3_3", 1.0))
    assert spec.distance == Distance("sort", "l1", unit=True)
    assert (spec.network, spec.weights, spec.pooling) == ("vgg16", "random-3", "avg")
    assert (spec.channels, spec.dtype, spec.input) == ("gray", "float32", "normalised")
    assert parse_loss("lpips:vgg").version == "0.1"
    assert parse_loss("lpips:vgg").distance == Distance(unit=True, channels="sum")


PATHS = [
    "/data/my weights.pth",
    "/data/a:b,c=d.safetensors",
    "C:\\weights\\vgg16.pth",
    "/größe/100%/ä?#&.pt",
    "./x.bin",
    "/a%20b.pth",
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_of_any_kind_are_quoted(path: str) -> None:
    spec = LossSpec("perceptual", "vgg16", (("relu1_1", 1.0),), weights=path, head=path)
    text = str(spec)
    assert " " not in text
    assert text.count(":") == 2
    parsed = parse_loss(text)
    assert (parsed.weights, parsed.head) == (path, path)
    assert parsed == spec


TAPS = ["relu1_1", "relu1_2", "conv2_1", "relu3_3", "pool4", "relu5_3"]


@settings(max_examples=60, deadline=None)
@given(
    taps=st.lists(st.sampled_from(TAPS), min_size=1, unique=True),
    weights=st.lists(st.floats(1e-6, 1e6), min_size=6, max_size=6),
    compare=st.sampled_from(["spatial", "mean", "sort", "gram", "spatial+mean", "spatial+sort"]),
    metric=st.sampled_from(["squared_l2", "l1", "l2"]),
    unit=st.booleans(),
    channels=st.sampled_from(["mean", "sum"]),
    file=st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(str.strip),
    dtype=st.sampled_from(["float32", "bfloat16", "float16"]),
    policy=st.sampled_from(["rgb", "gray", "per-channel"]),
)
def test_every_loss_prints_and_parses_back(
    taps: list[str], weights: list[float], compare: str, metric: str, unit: bool, channels: str,
    file: str, dtype: str, policy: str,
) -> None:  # fmt: skip
    ordered = sorted(taps, key=TAPS.index)
    spec = LossSpec(
        "perceptual", "vgg16", tuple(zip(ordered, weights, strict=False)),
        Distance(compare, metric, unit, channels), weights=f"/{file}.pth", dtype=dtype, channels=policy,
    )  # fmt: skip
    parsed = parse_loss(str(spec))
    assert parsed == spec
    assert (parsed.taps, parsed.distance, parsed.weights) == (spec.taps, spec.distance, spec.weights)
    assert (parsed.dtype, parsed.channels) == (dtype, policy)


UNKNOWN = {
    "vg16/relu3_3": "network 'vg16' is not known. Did you mean 'vgg16'",
    "vgg16/relu3_4": r"tap of vgg16 'relu3_4' is not known. Did you mean .*'relu3_3'.*lossnets taps vgg16",
    "vgg16": r"has no taps. Write vgg16/TAP\[,TAP...\]; the taps: lossnets taps vgg16",
    "lpips": "must be lpips:NAME",
    "lpips:alexnett": "lpips loss 'alexnett' is not known. Did you mean 'alexnet'",
    "lpips:vgg16:version=0.2": "value of version '0.2' is not known.*0.1, 0.0",
    "lpips:vgg16:pooling=avg": "option of lpips losses 'pooling' is not known",
    "lpips:vgg16:l1": "option of lpips losses 'l1' is not known",
    "pixel:msee": "pixel loss 'msee' is not known. Did you mean 'mse'",
    "pixel": "must be pixel:NAME",
    "lpip:alexnet": "loss 'lpip:alexnet' is not known. Did you mean 'lpips:alexnet'",
    "mse": "is not known",
    "vgg16/relu3_3:spatil": "comparison 'spatil' is not known. Did you mean 'spatial'",
    "vgg16/relu3_3:spatial-l3": "part of distance 'spatial-l3' 'l3' is not known",
    "vgg16/relu3_3:poling=avg": "loss option 'poling' is not known. Did you mean 'pooling'",
    "vgg16/relu3_3:version=0.1": "loss option 'version' is not known",
    "vgg16/relu3_3:pooling=mean": "value of pooling 'mean' is not known.*max, avg",
    "vgg16/relu3_3:dtype=bf16": "value of dtype 'bf16' is not known.*Did you mean 'bfloat16'|bfloat16",
    "vgg16/relu3_3:channels=grey": "Did you mean 'gray'",
    "timm/resnet18x/layer1": "timm network 'resnet18x' is not known. Did you mean 'resnet18",
    "resnet18d/layer1": "timm network, not a torchvision one: write 'timm/resnet18d'",
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_parts(name: str) -> None:
    with pytest.raises(ConfigError, match=UNKNOWN[name]):
        parse_loss(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "a loss name is text such as"),
        (None, "a loss name is text such as .*got None"),
        (3, "got 3"),
        ("vgg16/", "empty tap"),
        ("vgg16/relu1_1,", "empty tap"),
        ("vgg16/relu1_1,relu1_1", "'relu1_1' twice"),
        ("vgg16/relu1_1,features.1", r"'relu1_1' of vgg16 twice \(as 'features.1' too\)"),
        ("vgg16/relu1_1=", "must be a number; got ''"),
        ("vgg16/relu1_1=one", "weight of tap 'relu1_1' must be a number; got 'one'"),
        ("vgg16/relu1_1=0", "must be positive and finite; got 0.0"),
        ("vgg16/relu1_1=-1", "must be positive and finite"),
        ("vgg16/relu1_1=nan", "must be positive and finite"),
        ("vgg16/relu1_1=inf", "must be positive and finite"),
        ("vgg16/relu1_1:l1:l2", "gives distance twice"),
        ("vgg16/relu1_1:pooling=avg:pooling=avg", "gives pooling twice"),
        ("vgg16/relu1_1:weights=", "option weights has no value"),
        ("vgg16/relu1_1:function=f", "function of its author's; build it in Python"),
        ("pixel:mse:weights=random", "pixel losses have no options"),
    ],
)
def test_malformed_names(name: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_loss(name)  # type: ignore[arg-type]


def test_unknown_names_are_of_their_own_type() -> None:
    with pytest.raises(UnknownNameError):
        parse_loss("vgg16/relu9_9")


def test_specs_are_frozen_and_compare_with_losses() -> None:
    spec = parse_loss("pixel:mse")
    with pytest.raises(AttributeError):
        spec.network = "l1"  # type: ignore[misc]
    loss = load_loss("pixel:mse")
    assert spec == loss
    assert loss == spec
    assert spec != "pixel:mse"
    assert spec != parse_loss("pixel:l1")
    assert len({spec, parse_loss("pixel:mse")}) == 1


@pytest.mark.parametrize(
    ("name", "option", "path"),
    [
        (r"vgg16/relu2_2:weights=C:\w\vgg16.pth", "weights", r"C:\w\vgg16.pth"),
        ("vgg16/relu2_2:weights=c:/w/vgg16.pth:channels=gray", "weights", "c:/w/vgg16.pth"),
        (r"vgg16/relu2_2:lpips:head=D:\h.safetensors:weights=C:/w.pth", "head", r"D:\h.safetensors"),
        (r"lpips:alex:weights=C:\w\alexnet.pth:version=0.0", "weights", r"C:\w\alexnet.pth"),
        (r"pgn:C:\nets\mine.safetensors", "network", r"C:\nets\mine.safetensors"),
        ("pgn:C:/nets/mine.safetensors:dtype=bfloat16", "network", "C:/nets/mine.safetensors"),
    ],
)
def test_windows_drives_are_part_of_a_path(name: str, option: str, path: str) -> None:
    spec = parse_loss(name)
    assert getattr(spec, option) == spec.files()[option] == path
    assert parse_loss(str(spec)) == spec
    assert getattr(parse_loss(str(spec)), option) == path
    assert ":" not in str(spec).partition("=")[2].partition("%3A")[0]
    assert getattr(spec.portable(), option) == path.replace("\\", "/").rpartition("/")[2]


def test_a_path_of_a_gradient_network_may_begin_at_the_root() -> None:
    assert parse_loss("pgn:/nets/mine.safetensors").network == "/nets/mine.safetensors"


def test_files_are_those_that_a_name_mentions() -> None:
    assert parse_loss("vgg16/relu2_2").files() == parse_loss("pixel:mse").files() == {}
    assert parse_loss("vgg16/relu2_2").portable() == parse_loss("vgg16/relu2_2")
    assert parse_loss("pgn:efficientnet_lite0").files() == {}
