"""``lossnets compare-images``: its table, its sheet, its JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lossnets.cli import main
from lossnets.images import read_image, write_image

Captured = pytest.CaptureFixture[str]
BOTH = ("--losses", "pixel:mse", "--loss", "pixel:l1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A black reference, a grey veil and a white spot, 40x32 pixels."""
    spot = torch.zeros(3, 32, 40)
    spot[:, :8, :8] = 1
    write_image(tmp_path / "ref.png", torch.zeros(3, 32, 40))
    write_image(tmp_path / "veil.png", torch.full((3, 32, 40), 0.2))
    write_image(tmp_path / "spot.png", spot)
    write_image(tmp_path / "small.png", torch.zeros(3, 9, 9))
    (tmp_path / "bad.png").write_bytes(b"no image")
    return tmp_path


def run(folder: Path, *words: str) -> int:
    """``compare-images`` with the files of the folder."""
    return main(
        ["compare-images", *(str(folder / w) if w.endswith(".png") and "/" not in w else w for w in words)]
    )


def test_the_table_and_the_pairs_in_dispute(folder: Path, capsys: Captured) -> None:
    # veil: mse 0.04, l1 0.2; spot: both 64 / 1280 = 0.05
    assert run(folder, "ref.png", "veil.png", "spot.png", *BOTH) == 0
    out = capsys.readouterr().out
    assert "[1] pixel:mse" in out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if "(1.)" in line}
    assert lines["veil.png"] == ["veil.png", "0.040000", "(1.)", "0.200000", "(2.)"]
    assert lines["spot.png"] == ["spot.png", "0.050000", "(2.)", "0.050000", "(1.)"]
    assert "The losses disagree on the order of 1 of 1 pair of candidates." in out
    assert "veil.png is closer to [1], spot.png to [2]" in out


def test_the_sheet_is_drawn(folder: Path, capsys: Captured) -> None:
    assert run(folder, "ref.png", "veil.png", "spot.png", *BOTH, "-o", "sheet.png") == 0
    captured = capsys.readouterr()
    assert captured.err == f"wrote {folder / 'sheet.png'}\n"
    drawn = read_image(folder / "sheet.png")
    assert min(drawn.shape[1:]) > 300


def test_svg_has_the_names_as_text_and_is_the_same_each_time(folder: Path) -> None:
    first, second = folder / "a.svg", folder / "b.svg"
    for path in (first, second):
        words = ("ref.png", "veil.png", "spot.png", *BOTH, "--no-maps", "--theme", "dark", "-o", str(path))
        assert run(folder, *words) == 0
    text = first.read_text(encoding="utf-8")
    assert text == second.read_text(encoding="utf-8")
    assert ">veil.png</text>" in text
    assert "The losses disagree" in text


def test_json_on_stdout_is_only_json(folder: Path, capsys: Captured) -> None:
    assert run(folder, "ref.png", "veil.png", "spot.png", *BOTH, "--json", "-") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["loss"] for row in told["losses"]] == ["pixel:mse", "pixel:l1"]
    assert [r["candidate"] for r in told["losses"][1]["results"]] == ["spot.png", "veil.png"]
    assert told["reference"]["size"] == [40, 32]


def test_json_to_a_file_leaves_the_table(folder: Path, capsys: Captured) -> None:
    assert run(folder, "ref.png", "veil.png", *BOTH, "--json", str(folder / "n.json")) == 0
    assert "veil.png" in capsys.readouterr().out
    told = json.loads((folder / "n.json").read_text(encoding="utf-8"))
    assert told["losses"][0]["results"][0]["rank"] == 1


def test_what_cannot_be_compared_is_told_and_the_rest_is_drawn(folder: Path, capsys: Captured) -> None:
    lost = f"vgg16/relu1_2:weights={folder}/none.pth"
    words = ("ref.png", "small.png", "bad.png", "veil.png", "-l", lost, "-l", "pixel:mse", "-o", "sheet.png")
    assert run(folder, *words) == 1
    captured = capsys.readouterr()
    assert (
        "failed: small.png: it is 9×9 pixels, the reference 40×32; images are never resized" in captured.err
    )
    assert "failed: bad.png: " in captured.err
    assert f"failed: {lost}: " in captured.err
    assert "0.040000 (1.)" in captured.out
    assert (folder / "sheet.png").exists()


def test_more_candidates_than_fit_are_listed(folder: Path) -> None:
    for k in range(11):
        write_image(folder / f"c{k}.png", torch.full((3, 32, 40), k / 20))
    names = [f"c{k}.png" for k in range(11)]
    svg = str(folder / "many.svg")
    assert run(folder, "ref.png", *names, "--losses", "pixel:l1", "--no-maps", "-o", svg) == 0
    assert "Further away: I 0.400, J 0.451, K 0.502" in Path(svg).read_text(encoding="utf-8")


def test_grey_16_bit_and_opaque_alpha_are_read(folder: Path, capsys: Captured) -> None:
    Image.fromarray(np.full((32, 40), 65535, dtype=np.uint16)).save(folder / "deep.png")
    Image.fromarray(np.full((32, 40), 255, dtype=np.uint8)).save(folder / "grey.png")
    Image.fromarray(np.full((32, 40, 4), 255, dtype=np.uint8)).save(folder / "alpha.png")
    words = ("ref.png", "deep.png", "grey.png", "alpha.png", "--losses", "pixel:mse", "-o", "sheet.png")
    assert run(folder, *words) == 0
    assert capsys.readouterr().out.count("1.000000 (1.)") == 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("ref.png", "veil.png", "-o", "x.gif"), "--output must end in .png, .svg or .pdf; got 'x.gif'"),
        (("ref.png", "veil.png", "--theme", "blue"), "theme 'blue' is not known"),
        (("ref.png", "veil.png", "-l", "pixel:mze"), "pixel loss 'mze' is not known"),
        (("bad.png", "veil.png", "-l", "pixel:mse"), "is not an image that is read"),
        (("ref.png", "small.png", "-l", "pixel:mse"), "no candidate can be compared: small.png: it is 9×9"),
        (("ref.png", "veil.png", "-o", "/none/x.png"), "is no folder"),
    ],
)
def test_refusals(folder: Path, words: tuple[str, ...], text: str, capsys: Captured) -> None:
    assert run(folder, *words) == 2
    assert text in capsys.readouterr().err


def test_one_file_for_two_things_is_refused(folder: Path, capsys: Captured) -> None:
    same = str(folder / "x.svg")
    assert run(folder, "ref.png", "veil.png", "-o", same, "--json", same) == 2
    assert "--output and --json must go to different places" in capsys.readouterr().err


@pytest.mark.shared
def test_a_photograph_and_its_degradations(shared_data: Path, tmp_path: Path, capsys: Captured) -> None:
    """A shift by a pixel or two is the worst to pixels, and not to a deep tap averaged over space."""
    from lossnets.images.degradations import degrade

    photo = next(iter(sorted((shared_data / "bsds500" / "val").rglob("*.jpg"))))
    image = read_image(photo)[:, :160, :160]
    write_image(tmp_path / "ref.png", image)
    for name in ("gaussian_noise", "shift"):
        write_image(tmp_path / f"{name}.png", degrade(image[None], name, 2)[0])
    deep = "efficientnet_lite0/blocks.3:mean"
    words = ("ref.png", "gaussian_noise.png", "shift.png", "-l", "pixel:mse", "-l", deep, "-o", "sheet.png")
    assert run(tmp_path, *words) == 0
    assert "The losses disagree on the order of 1 of 1 pair" in capsys.readouterr().out
