"""``lossnets distance``: files, folders, exports, and everything that can be wrong with them."""

from __future__ import annotations

import csv
import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from lossnets.cli import console, main
from lossnets.cli import distance as command
from lossnets.errors import ConfigError
from lossnets.images import read_image, write_image
from lossnets.losses import DEFAULT_LOSS, load_loss, parse_loss

Captured = pytest.CaptureFixture[str]
TINY = "efficientnet_lite0/bn1:weights=random-0"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Two images of 32x32 pixels."""
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, torch.rand(3, 32, 32))
    return str(tmp_path / "a.png"), str(tmp_path / "b.png")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of three images, of different sizes and endings."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for k in range(3):
            write_image(tmp_path / folder / f"{k}.png", torch.rand(3, 24 + k, 32))
    (tmp_path / "two" / "1.png").rename(tmp_path / "two" / "1.PNG")
    return tmp_path / "one", tmp_path / "two"


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def table(text: str) -> dict[str, list[str]]:
    """First word of each row of a printed table -> its other words."""
    rows = [line.split() for line in text.splitlines() if line.startswith("  ")]
    return {row[0]: row[1:] for row in rows if row}


def expected(a: str | Path, b: str | Path, loss: str) -> float:
    return float(load_loss(loss)(read_image(a)[None], read_image(b)[None]))


def test_two_files_give_a_table(pair: tuple[str, str], capsys: Captured) -> None:
    assert main(["distance", *pair, "--loss", "pixel:mse", "-l", TINY]) == 0
    captured = capsys.readouterr()
    rows = {name: cells[0] for name, cells in table(captured.out).items()}
    assert captured.out.startswith(f"{pair[0]} and {pair[1]}\n")
    assert float(rows["pixel:mse"]) == pytest.approx(expected(*pair, "pixel:mse"), abs=1e-6)
    assert float(rows[TINY]) == pytest.approx(expected(*pair, TINY), rel=1e-4)
    assert captured.err == ""


def test_without_a_loss_it_is_the_default(pair: tuple[str, str], capsys: Captured) -> None:
    assert main(["distance", *pair, "--json", "-"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["loss"] == str(parse_loss(DEFAULT_LOSS))
    assert row["distance"] == pytest.approx(expected(*pair, DEFAULT_LOSS), rel=1e-5)
    assert row["signature"] == load_loss(DEFAULT_LOSS).signature()


def test_an_image_and_itself_are_alike(pair: tuple[str, str], capsys: Captured) -> None:
    assert main(["distance", pair[0], pair[0], "--loss", TINY, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["distance"] == 0


def test_a_loss_given_twice_is_computed_once(pair: tuple[str, str], capsys: Captured) -> None:
    again = TINY.replace("random-0", "random")
    assert main(["distance", *pair, "-l", TINY, "-l", again, "--csv", "-"]) == 0
    assert [row["loss"] for row in read_csv(capsys.readouterr().out)] == [TINY]


def test_dark_images_are_no_reason_to_warn(tmp_path: Path, capsys: Captured) -> None:
    dark = torch.zeros(3, 32, 32)
    dark[:, 0, 0] = 1 / 255
    write_image(tmp_path / "dark.png", dark)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["distance", *[str(tmp_path / "dark.png")] * 2, "-l", "pixel:mse"]) == 0
    assert capsys.readouterr().err == ""


def test_folders_are_paired_by_name(folders: tuple[Path, Path], capsys: Captured) -> None:
    one, two = folders
    assert main(["distance", str(one), str(two), "-l", "pixel:mse", "-l", TINY]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"[1] pixel:mse\n[2] {TINY}\n3 pairs\n")
    rows = table(captured.out)
    assert list(rows) == ["image", "0", "1", "2", "mean"]
    values = [
        expected(one / f"{k}.png", two / (f"{k}.PNG" if k == 1 else f"{k}.png"), TINY) for k in range(3)
    ]
    assert [float(rows[str(k)][1]) for k in range(3)] == pytest.approx(values, rel=1e-4)
    assert float(rows["mean"][1]) == pytest.approx(sum(values) / 3, rel=1e-4)


def test_long_names_leave_the_numbers_in_sight(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(console, "_PIPE_WIDTH", 60)  # as narrow as a small terminal
    losses = [f"efficientnet_lite0/bn1,blocks.{k}:lpips:weights=random-0" for k in range(3)]
    assert main(["distance", *map(str, folders), *(f"--loss={loss}" for loss in losses)]) == 0
    rows = table(capsys.readouterr().out)
    assert rows["image"] == ["[1]", "[2]", "[3]"]
    assert all(len(rows[name]) == 3 for name in ("0", "1", "2", "mean"))


def test_csv_and_json_say_the_same(folders: tuple[Path, Path], tmp_path: Path, capsys: Captured) -> None:
    out = [f"--csv={tmp_path / 'out.csv'}", f"--json={tmp_path / 'out.json'}"]
    assert main(["distance", *map(str, folders), "-l", "pixel:mse", "-l", "pixel:l1", *out]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"wrote 6 rows to {tmp_path / 'out.csv'}" in captured.err
    from_json = json.loads((tmp_path / "out.json").read_text())
    from_csv = read_csv((tmp_path / "out.csv").read_text())
    assert [(r["name"], r["loss"], float(r["distance"])) for r in from_csv] == [
        (r["name"], r["loss"], r["distance"]) for r in from_json
    ]
    assert [r["name"] for r in from_json] == ["0", "0", "1", "1", "2", "2"]
    assert from_json[0]["a"] == str(folders[0] / "0.png")
    assert all(r["error"] is None for r in from_json)


def test_leftovers_stop_before_anything_is_loaded(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (folders[1] / "2.png").unlink()
    write_image(folders[1] / "x.png", torch.rand(3, 8, 8))
    monkeypatch.setattr(command, "_losses", lambda names: pytest.fail("a network was loaded"))
    assert main(["distance", *map(str, folders)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"1 only in '{folders[0]}': 2; 1 only in '{folders[1]}': x" in captured.err


def test_a_corrupt_image_does_not_stop_the_others(folders: tuple[Path, Path], capsys: Captured) -> None:
    broken = folders[1] / "2.png"
    broken.write_bytes(broken.read_bytes()[:100])
    assert main(["distance", *map(str, folders), "-l", "pixel:mse", "-l", "pixel:l1", "--csv", "-"]) == 1
    captured = capsys.readouterr()
    found = read_csv(captured.out)
    assert [bool(row["distance"]) for row in found] == [True] * 4 + [False] * 2
    assert all(f"'{broken}' is corrupt or truncated" in row["error"] for row in found[4:])
    assert captured.err.count("failed: 2: ") == 1


def test_the_mean_is_of_the_pairs_that_worked(folders: tuple[Path, Path], capsys: Captured) -> None:
    write_image(folders[1] / "0.png", torch.rand(3, 8, 8))
    assert main(["distance", *map(str, folders), "-l", "pixel:mse"]) == 1
    captured = capsys.readouterr()
    rows = {name: cells[0] for name, cells in table(captured.out).items()}
    assert rows["0"] == "-"
    assert float(rows["mean"]) == pytest.approx((float(rows["1"]) + float(rows["2"])) / 2, abs=2e-6)
    assert "(1, 3, 24, 32) and (1, 3, 8, 8)" in captured.err


def test_a_pair_too_large_for_the_memory_is_one_row(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    honest = command._distances

    def short_of_memory(bank: Any, first: Path, second: Path, device: str) -> dict[str, float]:
        if first.stem == "1":
            raise RuntimeError("not enough memory: you tried to allocate 1 TB\nand more")
        return honest(bank, first, second, device)

    monkeypatch.setattr(command, "_distances", short_of_memory)
    assert main(["distance", *map(str, folders), "-l", "pixel:mse", "--csv", "-"]) == 1
    found = read_csv(capsys.readouterr().out)
    assert [row["error"] for row in found] == [
        "", "RuntimeError: not enough memory: you tried to allocate 1 TB", "",
    ]  # fmt: skip


def test_a_number_that_is_none_is_an_error(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(command, "_distances", lambda *_: {"pixel:mse": float("nan"), "pixel:l1": 0.5})
    assert main(["distance", *map(str, folders), "-l", "pixel:mse", "-l", "pixel:l1", "--json", "-"]) == 1
    captured = capsys.readouterr()
    first, second, *_ = json.loads(
        captured.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")
    )
    assert (first["distance"], first["error"]) == (None, "pixel:mse is not finite: nan")
    assert (second["distance"], second["error"]) == (0.5, None)


def test_an_interruption_keeps_what_was_computed(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    honest = command._distances

    def stopped(bank: Any, first: Path, second: Path, device: str) -> dict[str, float]:
        if first.stem == "2":
            raise KeyboardInterrupt
        return honest(bank, first, second, device)

    monkeypatch.setattr(command, "_distances", stopped)
    out = tmp_path / "out.csv"
    assert main(["distance", *map(str, folders), "-l", "pixel:mse", "--csv", str(out)]) == 130
    assert [row["name"] for row in read_csv(out.read_text())] == ["0", "1"]
    assert "interrupted after 2 of 3 pairs" in capsys.readouterr().err


def test_a_full_disk_does_not_lose_the_numbers(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    def full(text: str, path: Path) -> None:
        raise ConfigError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr("lossnets.runs.export.write", full)
    assert main(["distance", *pair, "-l", "pixel:mse", "--csv", str(tmp_path / "out.csv")]) == 2
    captured = capsys.readouterr()
    assert "pixel:mse" in captured.out
    assert "No space left" in captured.err


def test_different_sizes_name_both(pair: tuple[str, str], tmp_path: Path, capsys: Captured) -> None:
    write_image(tmp_path / "small.png", torch.rand(3, 16, 20))
    assert main(["distance", pair[0], str(tmp_path / "small.png"), "-l", "pixel:mse"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "got (1, 3, 32, 32) and (1, 3, 16, 20). Images are never resized" in captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-l", "efficientnet_lte0/bn1"], "Did you mean 'efficientnet_lite0'"),
        (["-l", "vgg16/relu3_4"], "tap of vgg16 'relu3_4' is not known. Did you mean 'relu3_3'"),
        (["-l", "pixel:msee"], "Did you mean 'mse'"),
        (["-l", "vgg16/relu1_1"], "put it at:"),
        (["--device", "nonsense"], "device must be one that this machine has"),
        (["--device", "meta"], "device must be one that this machine has"),
        (["--device", "cuda:99"], "device must be one that this machine has"),
        (["--csv", "no/such/folder/x.csv"], "--csv names a file in"),
        (["--json", "."], "--json must be a file; '.' is a folder"),
        (["--csv", "-", "--json", "-"], "--csv and --json must go to different places"),
    ],
)
def test_mistakes_end_with_2(
    options: list[str], message: str, pair: tuple[str, str], capsys: Captured
) -> None:
    given = options if "-l" in options else ["-l", "pixel:mse", *options]
    assert main(["distance", *pair, *given]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) < 8


LONG = "x" * 300 + ".png"


@pytest.mark.parametrize(
    "arguments",
    [
        ("distance", LONG, "A"),
        ("distance", "A", LONG),
        ("distance", "A", "A", "--csv", LONG),
        ("map", LONG, "A", "-o", "m.png"),
        ("map", "A", "A", "-o", LONG),
        ("compare-images", LONG, "A"),
        ("compare-images", "A", LONG),
        ("compare-images", "A", "A", "-o", LONG),
        ("compare-images", "A", "A", "--json", LONG),
        ("results", "--store", LONG),
        ("sheet", "--store", LONG, "-o", "s.png"),
        ("data", "verify", LONG),
    ],
    ids=lambda arguments: " ".join(arguments).replace(LONG, "LONG"),
)
def test_names_that_no_system_takes_end_with_2(
    arguments: tuple[str, ...], pair: tuple[str, str], capsys: Captured
) -> None:
    given = [pair[0] if argument == "A" else argument for argument in arguments]
    losses = ["-l", "pixel:mse"] if arguments[0] in ("distance", "map", "compare-images") else []
    assert main([*given, *losses]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_an_output_that_cannot_be_written_stops_before_anything_is_computed(
    pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(command, "_losses", lambda names: pytest.fail("a network was loaded"))
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write everywhere
    assert main(["distance", *pair, "--csv", str(tmp_path / "x.csv")]) == 2
    assert f"--csv names a file in '{tmp_path}', which cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("a.png", "none.png", "none.png' does not exist"),
        ("a.png", "one", "a and b must be two files or two folders"),
        ("one", "none", "none' does not exist or is not a folder"),
        ("one", "empty", "empty' holds no image"),
        ("a.png", "text.png", "text.png' is not an image"),
    ],
)
def test_files_that_are_not_there(
    a: str, b: str, message: str, pair: tuple[str, str], folders: tuple[Path, Path], tmp_path: Path,
    capsys: Captured,
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    assert main(["distance", str(tmp_path / a), str(tmp_path / b), "-l", "pixel:mse"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_what_is_left_out_is_named_at_the_end(folders: tuple[Path, Path], capsys: Captured) -> None:
    one, two = folders
    assert main(["distance", str(one), str(two), "-l", "pixel:mse"]) == 0
    assert "left out" not in capsys.readouterr().err
    (one / "notes.txt").write_text("x")
    (two / "3.heic").write_bytes(b"x")
    (two / "4.png").symlink_to(two / "nowhere.png")
    assert main(["distance", str(one), str(two), "-l", "pixel:mse"]) == 0
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        "left out: 3 files (one/notes.txt: no image ending; two/3.heic: HEIC, not read; "
        "two/4.png: broken link)"
    )


def test_scenes_are_found_with_recursive(
    folders: tuple[Path, Path], tmp_path: Path, capsys: Captured
) -> None:
    one, two = folders
    for folder, whole in zip(folders, ("left", "right"), strict=True):
        (tmp_path / whole).mkdir()
        folder.rename(tmp_path / whole / "garden")
    words = ["distance", str(tmp_path / "left"), str(tmp_path / "right"), "-l", "pixel:mse"]
    assert main(words) == 2
    assert "--recursive" in capsys.readouterr().err
    assert main([*words, "--recursive"]) == 0
    assert list(table(capsys.readouterr().out))[1:] == ["garden/0", "garden/1", "garden/2", "mean"]
    assert not one.exists()
    assert not two.exists()
    assert main(["distance", *[str(tmp_path / "left" / "garden" / "0.png")] * 2, "--recursive"]) == 2
    assert "--recursive is for two folders" in capsys.readouterr().err


def test_names_that_are_no_utf8_lose_nothing(folders: tuple[Path, Path], tmp_path: Path, capfd) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        for folder in folders:
            write_image(folder / name, torch.rand(3, 24, 24))
    except ConfigError:
        pytest.skip("this file system takes UTF-8 only")
    words = ["distance", *map(str, folders), "-l", "pixel:mse"]
    assert main(words) == 0
    assert "caf\\udce9" in capfd.readouterr().out
    assert main([*words, "--csv", str(tmp_path / "d.csv"), "--json", str(tmp_path / "d.json")]) == 0
    rows = read_csv((tmp_path / "d.csv").read_text(encoding="utf-8"))
    assert any(row["name"] == "caf\\udce9" for row in rows)
    whole = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in whole] == ["0", "1", "2", name.removesuffix(".png")]
    for form in ("--csv", "--json"):
        assert main([*words, form, "-"]) == 0
    both = [str(folder / name) for folder in folders]
    assert main(["map", *both, "-o", str(tmp_path / "map.svg"), "-l", "pixel:mse"]) == 0
    sheet = ["-l", "pixel:mse", "-o", str(tmp_path / "sheet.png"), "--json", str(tmp_path / "sheet.json")]
    assert main(["compare-images", *both, *sheet]) == 0
