"""Pictures of runs and the sheet that puts them side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lossnets.benchmarks.pictures import save_picture, sheet
from lossnets.errors import DataError, ImageError
from lossnets.images import read_image


def colour(r: float, g: float, b: float, size: tuple[int, int] = (8, 12)) -> torch.Tensor:
    return torch.tensor([r, g, b])[:, None, None].expand(3, *size)


def run(folder: Path, output: torch.Tensor, rows: tuple[str, ...] = ("one", "two")) -> Path:
    for row in rows:
        save_picture(folder, row, "input", colour(0, 0, 0))
        save_picture(folder, row, "output", output)
        save_picture(folder, row, "target", colour(1, 1, 1))
    return folder


def test_a_picture_is_where_it_should_be(tmp_path: Path) -> None:
    path = save_picture(tmp_path, "a/b: c", "low resolution", colour(1.5, 0.5, -1))
    assert path == tmp_path / "pictures" / "a_b_ c~212e4b10" / "low resolution.png"
    back = read_image(path)
    assert back[:, 0, 0].tolist() == pytest.approx([1, 0.5, 0], abs=1 / 255)
    with pytest.raises(ImageError, match=r"must have shape \(3, H, W\); got \(1, 8, 8\)"):
        save_picture(tmp_path, "a", "b", torch.zeros(1, 8, 8))


def test_no_two_names_share_a_file_and_ordinary_ones_stay(tmp_path: Path) -> None:
    long = "x" * 120
    names = ["a", "a!", "a?", "a_", long, f"{long}y", f"{long}z", "_", "", ".", "..", "画" * 120, "画" * 121]
    names += ["a_~" + save_picture(tmp_path / "other", "a!", "i", colour(0, 0, 0)).parent.name[-8:]]
    paths = [save_picture(tmp_path, name, "image", colour(0, 0, 0)) for name in names]
    assert len({str(path).lower() for path in paths}) == len(names)
    assert {path.parent.parent for path in paths} == {tmp_path / "pictures"}
    kept = [path.parent.name for path, name in zip(paths, names, strict=True) if path.parent.name == name]
    assert kept == ["a", "a_", long, "_"]


def test_a_sheet_shows_rows_of_unusual_names(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", colour(1, 0, 0), ("a!", "a?"))
    page = read_image(sheet({"a": folder}, tmp_path / "s.png", before=("input",), side=24))
    assert page.shape[1] > 2 * 16


def test_a_sheet_has_every_column_and_row(tmp_path: Path) -> None:
    runs = {
        "pixel:mse": run(tmp_path / "a", colour(1, 0, 0)),
        "vgg16/relu3_3": run(tmp_path / "b", colour(0, 0, 1), ("one", "two", "three")),
    }
    page = read_image(
        sheet(runs, tmp_path / "new" / "sheet.png", before=("input",), after=("target",), side=24)
    )
    assert page.shape[2] == 4 * 24 + 5 * 6
    middle = page[:, :, [6 + 12 + k * 30 for k in range(4)]]
    for column, rgb in enumerate([(0, 0, 0), (1, 0, 0), (0, 0, 1)]):
        wanted = torch.tensor(rgb, dtype=torch.float32)[:, None]
        seen = int((middle[:, :, column] == wanted).all(0).sum())
        assert seen >= 2 * 16, column  # two rows: the third is not in every run


def test_small_pictures_are_enlarged_without_blur(tmp_path: Path) -> None:
    dots = (torch.arange(16).reshape(4, 4) % 2).float().expand(3, 4, 4)
    page = read_image(sheet({"a": run(tmp_path / "a", dots, ("x",))}, tmp_path / "s.png", side=64))
    picture = page[:, -64 - 20 : -20, 6:70]
    assert set(picture.unique().tolist()) <= {0.0, 1.0}


def test_runs_without_pictures_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures that all of these runs have: a, b"):
        sheet({"a": run(tmp_path / "a", colour(1, 0, 0)), "b": tmp_path / "empty"}, tmp_path / "s.png")
    with pytest.raises(DataError, match="none given"):
        sheet({}, tmp_path / "s.png")
