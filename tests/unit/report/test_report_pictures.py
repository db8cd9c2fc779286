"""Pictures of runs on the page: found, in order, small, and politely absent."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from lossnets.analysis import Results
from lossnets.benchmarks.pictures import OUTPUT, save_picture
from lossnets.report.parts import Note, Strip
from lossnets.report.pictures import LOSSES, data_uri, folder_beside, pictures
from lossnets.runs.folders import run_folder

from .hostile import run

LOSS_NAMES = [
    "pixel:mse",
    "pixel:bce",
    "vgg16/relu1_2",
    "vgg16/relu2_2",
    "vgg16/relu3_3",
    "vgg16/relu5_3",
    "x",
]


def made(folder: Path, count: int = 3, rows: int = 2) -> Results:
    """Runs whose output is as grey as their score, and what they were given, black."""
    records = []
    for k, loss in enumerate(LOSS_NAMES[:count]):
        value = (k + 1) / 10
        record = run(loss, value)
        place = run_folder(folder, record.config)
        for row in range(rows):
            save_picture(place, f"image {row}", OUTPUT, torch.full((3, 8, 8), value))
            save_picture(place, f"image {row}", "input", torch.zeros(3, 8, 8))
        records.append(record)
    return Results(tuple(records))


def grey(uri: str) -> float:
    """Mean of a picture in [0, 1]."""
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        return sum(image.convert("L").tobytes()) / image.width / image.height / 255


def test_the_input_and_then_the_losses_best_first(tmp_path: Path) -> None:
    parts = list(pictures(made(tmp_path), [tmp_path]))
    strips = [part for part in parts if isinstance(part, Strip)]
    assert [strip.title for strip in strips] == ["image 0", "image 1"]
    assert [caption for caption, _ in strips[0].pictures] == [
        "input", "1. vgg16/relu1_2: 0.3", "2. pixel:bce: 0.2", "3. pixel:mse: 0.1",
    ]  # fmt: skip
    assert [grey(uri) for _, uri in strips[0].pictures] == pytest.approx([0, 0.3, 0.2, 0.1], abs=0.02)


def test_of_many_losses_the_best_the_worst_and_some_between(tmp_path: Path) -> None:
    (strip,) = [p for p in pictures(made(tmp_path, 7, 1), [tmp_path]) if isinstance(p, Strip)]
    captions = [caption for caption, _ in strip.pictures[1:]]
    assert len(captions) == LOSSES
    assert (captions[0][0], captions[-1][0]) == ("1", "7")


def test_runs_without_pictures_say_where_they_would_be(tmp_path: Path) -> None:
    (note,) = pictures(Results((run("pixel:mse", 0.5),)), [tmp_path])
    assert isinstance(note, Note)
    assert str(tmp_path) in note.text
    (note,) = pictures(Results((run("pixel:mse", 0.5),)), [])
    assert "none was found beside the results" in note.text


def test_a_damaged_picture_is_a_note(tmp_path: Path) -> None:
    results = made(tmp_path)
    next(tmp_path.rglob(f"{OUTPUT}.png")).write_bytes(b"nothing")
    parts = list(pictures(results, [tmp_path]))
    assert any(isinstance(part, Note) and "cannot be shown" in part.text for part in parts)


def test_the_folder_is_beside_the_store(tmp_path: Path) -> None:
    store = tmp_path / "mine.sqlite"
    assert folder_beside(str(store)) is None
    store.touch()
    assert folder_beside(str(store)) is None
    (tmp_path / "mine.runs").mkdir()
    assert folder_beside(str(store)) == tmp_path / "mine.runs"
    assert folder_beside("postgresql://me@host/runs") is None


def test_pictures_are_scaled_down_smoothly_and_up_sharply(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for size, expected in (((400, 200), (192, 96)), ((32, 16), (192, 96)), ((100, 100), (100, 100))):
        Image.new("RGB", size, "red").save(path)
        with Image.open(io.BytesIO(base64.b64decode(data_uri(path).partition(",")[2]))) as image:
            assert image.size == expected
