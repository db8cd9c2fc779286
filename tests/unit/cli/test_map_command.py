"""``lossnets map``: the picture, its numbers, its titles, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lossnets.cli import main, maps
from lossnets.images import read_image, write_image
from lossnets.losses import load_loss

Captured = pytest.CaptureFixture[str]
LOSS = "efficientnet_lite0/bn1,blocks.0:lpips:weights=random-0"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Two images of 32x40 pixels in two folders, of the same name."""
    for folder in ("original", "compressed"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "x.png", torch.rand(3, 32, 40))
    return str(tmp_path / "original" / "x.png"), str(tmp_path / "compressed" / "x.png")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `draw` was given; it still draws."""
    box: dict[str, Any] = {}
    honest = maps.draw

    def recorded(output: Path, first: Any, second: Any, panels: Any, loss: str, maximum: Any) -> None:
        box.update(names=(first[1], second[1]), panels=panels, loss=loss, maximum=maximum)
        honest(output, first, second, panels, loss, maximum)

    monkeypatch.setattr(maps, "draw", recorded)
    return box


def test_the_mean_of_the_map_is_the_distance(
    pair: tuple[str, str], tmp_path: Path, drawn: dict[str, Any], capsys: Captured
) -> None:
    out = tmp_path / "map.png"
    assert main(["map", *pair, "-o", str(out), "--loss", LOSS]) == 0
    captured = capsys.readouterr()
    loss = load_loss(LOSS)
    value = float(loss(*(read_image(path)[None] for path in pair)))
    name, printed = captured.out.rstrip("\n").split("\t")
    assert name == str(loss)
    assert float(printed) == pytest.approx(value, rel=1e-4)
    assert captured.err == f"wrote {out}\n"
    assert list(drawn["panels"]) == [""]
    assert tuple(drawn["panels"][""].shape) == (32, 40)
    assert float(drawn["panels"][""].mean()) == pytest.approx(value, rel=1e-5)
    assert read_image(out).shape[0] == 3


def test_taps_add_up(pair: tuple[str, str], tmp_path: Path, drawn: dict[str, Any]) -> None:
    assert main(["map", *pair, "-o", str(tmp_path / "map.png"), "-l", LOSS, "--per-tap"]) == 0
    total, *taps = drawn["panels"].values()
    assert list(drawn["panels"]) == ["", "bn1", "blocks.0"]
    torch.testing.assert_close(total, sum(taps))


def test_one_tap_is_drawn_once(pair: tuple[str, str], tmp_path: Path, drawn: dict[str, Any]) -> None:
    assert main(["map", *pair, "-o", str(tmp_path / "map.png"), "-l", "pixel:mse", "--per-tap"]) == 0
    assert list(drawn["panels"]) == [""]


def test_images_of_the_same_name_show_their_folders(
    pair: tuple[str, str], tmp_path: Path, drawn: dict[str, Any]
) -> None:
    assert main(["map", *pair, "-o", str(tmp_path / "map.png"), "-l", "pixel:mse"]) == 0
    assert drawn["names"] == ("original/x.png", "compressed/x.png")


@pytest.mark.parametrize(
    ("a", "b", "titles"),
    [
        ("x/cat.png", "x/dog.png", ("cat.png", "dog.png")),
        ("x/cat.png", "y/cat.png", ("x/cat.png", "y/cat.png")),
        ("x/1/cat.png", "y/1/cat.png", ("x/1/cat.png", "y/1/cat.png")),
        ("x/cat.png", "x/cat.png", ("cat.png", "cat.png")),
        ("/cat.png", "/x/cat.png", ("//cat.png", "x/cat.png")),
    ],
)
def test_titles(a: str, b: str, titles: tuple[str, str]) -> None:
    assert maps.titles(Path(a), Path(b)) == titles


def test_an_image_and_itself_have_an_empty_map(
    pair: tuple[str, str], tmp_path: Path, drawn: dict[str, Any], capsys: Captured
) -> None:
    assert main(["map", pair[0], pair[0], "-o", str(tmp_path / "map.png"), "-l", LOSS]) == 0
    assert float(drawn["panels"][""].max()) == 0
    assert capsys.readouterr().out.endswith("\t0.000000\n")


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("PDF", b"%PDF"), ("svg", b"<?xml")])
def test_formats(suffix: str, begin: bytes, pair: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / f"map.{suffix}"
    assert main(["map", *pair, "-o", str(out), "-l", "pixel:mse", "--max", "0.5"]) == 0
    assert out.read_bytes().startswith(begin)


@pytest.mark.parametrize("value", [0.5, None])
def test_the_top_of_the_scale(
    value: float | None, pair: tuple[str, str], tmp_path: Path, drawn: dict[str, Any]
) -> None:
    given = [] if value is None else ["--max", str(value)]
    assert main(["map", *pair, "-o", str(tmp_path / "map.png"), "-l", "pixel:mse", *given]) == 0
    assert drawn["maximum"] == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-l", "efficientnet_lite0/bn1:sort"], "a map or mask needs compare='spatial'"),
        (["-l", "pixel:ssim"], "pixel:ssim has no map"),
        (["-l", "vgg16/relu9_1"], "tap of vgg16 'relu9_1' is not known. Did you mean"),
        (["-l", "pixel:mse", "-o", "map.jpg"], "--output must end in .png, .pdf or .svg; got 'map.jpg'"),
        (["-l", "pixel:mse", "-o", "no/such/map.png"], "which is no folder; create it first"),
        (["-l", "pixel:mse", "--max", "0"], "--max must be positive and finite; got 0"),
        (["-l", "pixel:mse", "--max", "nan"], "--max must be positive and finite; got nan"),
        (["-l", "pixel:mse", "--max", "inf"], "--max must be positive and finite; got inf"),
        (["-l", "pixel:mse", "--device", "nonsense"], "device must be one that this machine has"),
    ],
)
def test_mistakes_end_with_2(
    options: list[str], message: str, pair: tuple[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: Captured,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["map", *pair, "-o", "map.png", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert list(tmp_path.glob("map.*")) == []


def test_different_sizes_name_both(pair: tuple[str, str], tmp_path: Path, capsys: Captured) -> None:
    write_image(tmp_path / "small.png", torch.rand(3, 16, 20))
    assert main(["map", pair[0], str(tmp_path / "small.png"), "-o", str(tmp_path / "map.png")]) == 2
    assert "got (1, 3, 32, 40) and (1, 3, 16, 20)" in capsys.readouterr().err


def test_folders_are_not_files(pair: tuple[str, str], tmp_path: Path, capsys: Captured) -> None:
    folder = str(tmp_path / "original")
    assert main(["map", folder, folder, "-o", str(tmp_path / "map.png")]) == 2
    assert "does not exist or is not a file" in capsys.readouterr().err


def test_without_matplotlib_the_extra_is_named(
    pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["map", *pair, "-o", str(tmp_path / "map.png"), "-l", "pixel:mse"]) == 2
    assert "pip install 'lossnets[bench]'" in capsys.readouterr().err
