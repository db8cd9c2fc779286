"""Short names: readable, and never two the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossnets.analysis.figures import short_name, short_names

W = "weights=data/vgg16_hed.safetensors"


@pytest.mark.parametrize(
    ("name", "among", "short"),
    [
        (f"vgg16/relu1_2:unit-spatial-sum:{W}", [], "vgg16/relu1_2:vgg16_hed"),
        ("vgg16/relu1_2:unit-spatial-sum:weights=data/vgg16.pth", [], "vgg16/relu1_2"),
        ("vgg16/relu1_2:unit-spatial-sum", [], "vgg16/relu1_2"),
        ("pixel:mse", ["pixel:l1"], "pixel:mse"),
        ("lpips:vgg16:version=0.0", ["lpips:vgg16"], "lpips:vgg16:version=0.0"),
        ("vgg16/relu1_2:gram", ["vgg16/relu1_2:unit-spatial-sum"], "vgg16/relu1_2:gram"),
        (f"vgg16/relu1_2:gram:{W}", ["vgg16/relu1_2:gram:weights=random-0"], "vgg16/relu1_2:vgg16_hed"),
        ("efficientnet_lite0/bn1,blocks.0,blocks.3,blocks.6", [], "efficientnet_lite0/bn1,…,blocks.6"),
        ("no loss at all", [], "no loss at all"),
        ("", [], ""),
    ],
)
def test_known_answers(name: str, among: list[str], short: str) -> None:
    assert short_name(name, among) == short


def test_long_names_are_cut_in_the_middle() -> None:
    text = short_name("x" * 30 + "/" + "y" * 40)
    assert len(text) == 34
    assert text.startswith("xxx")
    assert text.endswith("yyy")
    assert "…" in text


def test_names_that_would_be_cut_to_the_same_stay_distinct() -> None:
    names = [f"efficientnet_lite0/bn1,blocks.{k},blocks.6" for k in range(6)]
    assert len(set(short_names(names).values())) == 6


pieces = st.sampled_from(
    ["vgg16/relu1_2", "pixel", "lpips", "mse", W, "weights=a/vgg16_hed.pth", "gram", "", "x" * 40]
)
names = st.one_of(st.text(max_size=60), st.lists(pieces, min_size=1, max_size=4).map(":".join))


@given(st.lists(names, max_size=12))
def test_different_names_never_look_the_same(given_names: list[str]) -> None:
    short = short_names(given_names)
    assert list(short) == list(dict.fromkeys(given_names))
    assert len(set(short.values())) == len(short)
