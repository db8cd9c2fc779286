"""Comparisons of images: distances and ranks by hand, ties, what cannot be compared, disputes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lossnets.analysis.comparison_records import Comparison
from lossnets.analysis.comparison_sheet import compare_images, reduced
from lossnets.errors import ConfigError, ImageError, UnknownNameError
from lossnets.images import write_image
from lossnets.losses import load_loss

NET = "efficientnet_lite0/bn1,blocks.0:weights=random-0"


def grey(value: float) -> Tensor:
    return torch.full((3, 16, 20), value)


def spotted(value: float) -> Tensor:
    """Black, with a 4x4 spot: 1/20 of the pixels."""
    image = grey(0.0)
    image[:, :4, :4] = value
    return image


@pytest.fixture
def disputed() -> Comparison:
    """A weak veil and a strong spot: the mean square and the mean difference disagree.

    veil: all pixels 0.25: mse 0.0625, l1 0.25. spot: 1 on 16 of 320 pixels: mse 0.05, l1 0.05 ...
    faint: all pixels 0.125: mse 0.015625, l1 0.125.
    """
    pictures = {"veil": grey(0.25), "spot": spotted(1.0), "faint": grey(0.125)}
    return compare_images(grey(0.0), pictures, ["pixel:mse", "pixel:l1"])


def test_distances_and_ranks_by_hand(disputed: Comparison) -> None:
    mse, l1 = disputed.rows
    assert mse.distances == pytest.approx({"veil": 0.0625, "spot": 0.05, "faint": 0.015625})
    assert l1.distances == pytest.approx({"veil": 0.25, "spot": 0.05, "faint": 0.125})
    assert list(mse.ranks.items()) == [("faint", 1), ("spot", 2), ("veil", 3)]
    assert list(l1.ranks.items()) == [("spot", 1), ("faint", 2), ("veil", 3)]
    frame = disputed.frame
    assert frame["candidate"].tolist() == ["faint", "spot", "veil", "spot", "faint", "veil"]
    assert frame["rank"].tolist() == [1, 2, 3, 1, 2, 3]
    assert frame["relative"].tolist() == pytest.approx([1, 3.2, 4, 1, 2.5, 5])


def test_the_losses_disagree_on_one_pair(disputed: Comparison) -> None:
    (dispute,) = disputed.disputes
    assert (dispute.first, dispute.second) == ("spot", "faint")
    assert (dispute.for_first, dispute.for_second) == (("pixel:l1",), ("pixel:mse",))
    assert disputed.summary == "The losses disagree on the order of 1 of 3 pairs of candidates."


def test_agreement_is_said_with_the_order() -> None:
    found = compare_images(grey(0.0), {"b": grey(0.5), "a": grey(0.1)}, ["pixel:mse", "pixel:l1"])
    assert found.disputes == []
    assert found.summary == "All 2 losses agree on the order, closest first: a, b."


def test_one_candidate_or_one_loss_leaves_nothing_to_disagree_on() -> None:
    one = compare_images(grey(0.0), [grey(0.5)], ["pixel:mse", "pixel:l1"])
    assert one.summary == "Nothing to disagree on: that takes two candidates with distances."
    assert one.candidates[0].name == "candidate 1"
    alone = compare_images(grey(0.0), [grey(0.5), grey(0.2)], ["pixel:mse"])
    assert alone.summary == "Nothing to disagree on: that takes two losses with distances."


def test_taps_add_up_to_the_distance_and_maps_average_to_it() -> None:
    generator = torch.Generator().manual_seed(0)
    reference, other = (torch.rand(3, 64, 48, generator=generator) for _ in range(2))
    (row,) = compare_images(reference, {"x": other}, [NET], side=32).rows
    whole = float(load_loss(NET)(other[None], reference[None]))
    assert row.distances["x"] == pytest.approx(whole, rel=1e-6)
    assert list(row.taps["x"]) == ["bn1", "blocks.0"]
    assert sum(row.taps["x"].values()) == row.distances["x"]
    assert row.maps["x"].shape == (32, 24)
    assert float(row.maps["x"].mean()) == pytest.approx(whole, rel=1e-4)
    shares = compare_images(reference, {"x": other}, [NET], maps=False).taps
    assert shares["share"].sum() == pytest.approx(1)


@pytest.mark.parametrize("loss", ["pixel:ssim", "efficientnet_lite0/bn1:gram:weights=random-0"])
def test_losses_without_positions_say_so(loss: str) -> None:
    (row,) = compare_images(grey(0.2), {"x": spotted(0.9)}, [loss]).rows
    assert row.distances["x"] > 0
    assert row.maps == {}
    assert row.no_map == "this loss does not compare position by position"


def test_maps_only_where_asked_for() -> None:
    (row,) = compare_images(grey(0.2), {"x": grey(0.9)}, ["pixel:mse"], maps=False).rows
    assert (row.maps, row.no_map) == ({}, "")


def test_the_same_picture_twice_is_a_tie_with_two_names(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", grey(0.2))
    write_image(tmp_path / "b.png", grey(0.4))
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    found = compare_images(a, [b, a, b], ["pixel:mse"])
    assert [c.name for c in found.candidates] == ["b.png", "a.png", "b.png (2)"]
    assert found.rows[0].ranks == {"a.png": 1, "b.png": 2, "b.png (2)": 2}
    assert found.frame["relative"].isna().all()  # the closest is at distance 0


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "x.png", grey(0.2))
    found = compare_images(grey(0), [tmp_path / "old/x.png", tmp_path / "new/x.png"], ["pixel:mse"])
    assert [c.name for c in found.candidates] == ["old/x.png", "new/x.png"]


def test_what_cannot_be_compared_stays_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    write_image(tmp_path / "small.png", torch.zeros(3, 8, 9))
    write_image(tmp_path / "good.png", grey(0.5))
    found = compare_images(
        grey(0), [tmp_path / name for name in ("bad.png", "small.png", "good.png")], ["pixel:mse"]
    )
    bad, small, good = found.candidates
    assert "is not an image that is read" in bad.problem
    assert bad.picture is None
    assert small.problem == "it is 9×8 pixels, the reference 20×16; images are never resized"
    assert small.picture is not None
    assert good.problem == ""
    assert list(found.rows[0].ranks) == ["good.png"]
    rest = found.frame.set_index("candidate")
    assert rest.loc["bad.png", "error"] == bad.problem
    assert rest["rank"].isna().tolist() == [False, True, True]


def test_a_loss_that_fails_keeps_its_row_and_the_others() -> None:
    tiny = {"x": torch.rand(3, 8, 8), "y": torch.rand(3, 8, 8)}
    found = compare_images(torch.rand(3, 8, 8), tiny, ["pixel:ssim", "pixel:mse"])
    ssim, mse = found.rows
    assert ssim.error
    assert not ssim.distances
    assert len(mse.distances) == 2
    assert found.to_dict()["losses"][0]["results"][0]["distance"] is None


def test_weights_that_are_missing_are_a_failing_loss(tmp_path: Path) -> None:
    missing = f"vgg16/relu1_2:weights={tmp_path}/none.pth"
    lost, mse = compare_images(grey(0), {"x": grey(1)}, [missing, "pixel:mse"]).rows
    assert "none.pth" in lost.error
    assert mse.distances == {"x": 1.0}


def test_a_distance_that_is_not_finite_has_no_rank() -> None:
    broken = grey(0.5)
    broken[0, 0, 0] = float("nan")
    (row,) = compare_images(grey(0), {"x": broken, "y": grey(1)}, ["pixel:mse"]).rows
    assert row.ranks == {"y": 1}
    assert row.errors == {"x": "the distance is not finite: nan"}
    assert list(row.maps) == ["y"]


def test_numbers_are_strict_json(disputed: Comparison) -> None:
    told = json.loads(json.dumps(disputed.to_dict(), allow_nan=False))
    assert [c["name"] for c in told["candidates"]] == ["veil", "spot", "faint"]
    assert told["losses"][0]["results"][0] == {
        "candidate": "faint", "distance": pytest.approx(0.015625), "rank": 1,
        "taps": {"pixel": pytest.approx(0.015625)}, "error": None,
    }  # fmt: skip
    assert told["disputes"] == [
        {"pair": ["spot", "faint"], "closer": {"spot": ["pixel:l1"], "faint": ["pixel:mse"]}}
    ]


def test_a_loss_counts_once() -> None:
    assert len(compare_images(grey(0), [grey(1)], ["pixel:mse", "pixel:mse"]).rows) == 1


@pytest.mark.parametrize(
    ("candidates", "losses", "error", "text"),
    [
        ([], ["pixel:mse"], ConfigError, "candidates must have at least one entry; got none"),
        ([grey(0)], [], ConfigError, "losses must have at least one entry; got none"),
        ([grey(0)], ["pixel:mze"], UnknownNameError, "'mze' is not known"),
        (
            [torch.zeros(3, 4, 4)],
            ["pixel:mse"],
            ImageError,
            "no candidate can be compared: candidate 1: it",
        ),
        (
            [torch.zeros(1, 16, 20)],
            ["pixel:mse"],
            ImageError,
            r"must have shape \(3, H, W\); got \(1,",
        ),
    ],
)
def test_refusals(candidates: list[Tensor], losses: list[str], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        compare_images(grey(0), candidates, losses)


def test_a_reference_that_cannot_be_read_ends_it(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        compare_images(tmp_path / "none.png", [grey(0)], ["pixel:mse"])
    with pytest.raises(ConfigError, match="side must be at least 1 pixel; got 0"):
        compare_images(grey(0), [grey(0)], ["pixel:mse"], side=0)


def test_reduced_averages_and_never_enlarges() -> None:
    image = torch.arange(8.0).reshape(1, 2, 4)
    assert reduced(image, 2).tolist() == [[[2.5, 4.5]]]
    assert reduced(image, 99) is image
