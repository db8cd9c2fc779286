"""Every kind of image file with every reader: the values that it was made of, or a refusal."""

from __future__ import annotations

import io
import struct
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from lossnets.analysis.comparison_sheet import _tensor
from lossnets.benchmarks.autoencoding.images import FileImages
from lossnets.datasets.masks import read_mask
from lossnets.datasets.sources import FolderImages
from lossnets.errors import DataError, ImageError
from lossnets.images import image_size, read_image
from lossnets.images.kinds import kind_of
from lossnets.judging.judged import _photograph

from .builders import by_pillow, chunk, exif, png, tiff
from .cases import CASES, Case, numbers

READERS: dict[str, Callable[[Path], torch.Tensor]] = {
    "read_image": read_image,
    "similarity": lambda path: FolderImages(path.parent).load(path.name),
    "autoencoding": lambda path: FileImages([path], path.parent).pixels([0])[0],
    "comparison": lambda path: _tensor(path),
}


def ids(case: Case) -> str:
    return case.name.replace(" ", "-")


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_file_has_the_values_it_was_made_of_or_is_refused(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "picture.file"  # its name says nothing: the content counts
    path.write_bytes(case.make())
    if case.values is None:
        with pytest.raises(ImageError, match=case.refusal) as caught:
            read_image(path)
        assert "picture.file" in str(caught.value)
        assert any(way in str(caught.value) for way in ("convert it", "save", "leave it out"))
        return
    got = read_image(path)
    want = np.broadcast_to(case.values, (*case.values.shape[:2], 3)).transpose(2, 0, 1)
    assert got.dtype == torch.float32
    assert got.is_contiguous()
    assert got.shape == want.shape
    assert np.abs(got.numpy() - want).max() <= (case.tolerance or 1e-7)
    assert image_size(path) == tuple(got.shape[1:])


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_reads_or_refuses_the_same(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    for case in CASES[::5]:
        path.write_bytes(case.make())
        if case.values is None:
            with pytest.raises(ImageError):
                READERS[reader](path)
        else:
            got = READERS[reader](path)
            got = got.float() / 255 if got.dtype == torch.uint8 else got
            assert torch.allclose(got, read_image(path), atol=0.5 / 255 + 1e-6), case.name


def test_masks_and_photographs_that_are_judged_go_through_the_same_reader(tmp_path: Path) -> None:
    for case in CASES[::5]:
        path = tmp_path / "picture.png"
        path.write_bytes(case.make())
        if case.values is None:
            with pytest.raises((ImageError, DataError)):
                read_mask(path)
            with pytest.raises(ImageError):
                _photograph(path, path.name)


# --- orientation --------------------------------------------------------------------------------------

UPRIGHT = np.arange(12 * 20).reshape(12, 20, 1) % 251
STORED = {
    1: UPRIGHT, 2: UPRIGHT[:, ::-1], 3: UPRIGHT[::-1, ::-1], 4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1), 6: UPRIGHT.swapaxes(0, 1)[::-1], 7: UPRIGHT[::-1, ::-1].swapaxes(0, 1),
    8: UPRIGHT.swapaxes(0, 1)[:, ::-1],
}  # fmt: skip
"""What a camera stores for each value of EXIF's orientation."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "PNG, behind the picture", "TIFF", "JPEG", "WebP"])
def test_orientation(form: str, orientation: int, tmp_path: Path) -> None:
    stored, data, close = STORED[orientation], exif(orientation), 1e-7
    path = tmp_path / "a"
    if form.startswith("PNG"):
        part = chunk(b"eXIf", data)
        path.write_bytes(png(stored, 0, 8, **({"extra": part} if form == "PNG" else {"end": part})))
    elif form == "TIFF":
        path.write_bytes(tiff(stored, 8, 1, tags={274: (3, [orientation])}))
    else:
        wide = stored.repeat(8, 0).repeat(8, 1) if form == "JPEG" else stored.repeat(3, 2)
        options = {"quality": 100} if form == "JPEG" else {"lossless": True}
        path.write_bytes(by_pillow(wide, form.upper(), exif=b"Exif\0\0" + data, **options))
        close = 3 / 255 if form == "JPEG" else 1e-7
    got = read_image(path)[0].numpy()
    want = UPRIGHT[..., 0].repeat(8, 0).repeat(8, 1) if form == "JPEG" else UPRIGHT[..., 0]
    assert np.abs(got - want / 255).max() <= close


# --- damage -------------------------------------------------------------------------------------------


def photograph(height: int = 160, width: int = 200) -> np.ndarray:
    """Edges, gradients and grain, as a photograph has them."""
    y, x = np.mgrid[:height, :width]
    grain = np.random.default_rng(5).normal(0, 9, (height, width, 3))
    base = 128 + 70 * np.sin(x / 17 + np.array([0, 1, 2])[:, None, None]) * np.cos(y / 23)
    base[:, 40:90, 60:120] = 250
    base[:, 100:130, 20:60] = 4
    return (base.transpose(1, 2, 0) + grain).clip(0, 255).astype(np.uint8)


PHOTO = photograph()
SMALL = PHOTO[:24, 60:92]
WHOLE = {
    "png": by_pillow(SMALL, "PNG"),
    "jpg": by_pillow(SMALL, "JPEG"),
    "progressive": by_pillow(SMALL, "JPEG", progressive=True),
    "webp": by_pillow(SMALL, "WEBP"),
    "lossless-webp": by_pillow(SMALL, "WEBP", lossless=True),
    "gif": by_pillow(SMALL, "GIF"),
    "bmp": by_pillow(SMALL, "BMP"),
    "tiff": tiff(SMALL.astype(int), 8, 2, rows=7),
    "deflate-tiff": tiff(SMALL.astype(int), 8, 2, rows=7, deflate=True),
    "lzw-tiff": by_pillow(SMALL, "TIFF", compression="tiff_lzw"),
    "ppm": by_pillow(SMALL, "PPM"),
    "text-ppm": b"P3\n2 2\n255\n" + b"12 130 255 7 8 9 100 101 102 103 104 105\n",
    **({"avif": by_pillow(SMALL, "AVIF")} if "AVIF" in {c.form for c in CASES} else {}),
}


def outcome(path: Path, data: bytes) -> torch.Tensor | None:
    """What is read; None where it is refused, by an ImageError that names the file."""
    path.write_bytes(data)
    try:
        return read_image(path)
    except ImageError as error:
        assert path.name in str(error)  # noqa: PT017
        return None


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage") / "picture"


@pytest.mark.parametrize("tolerant", [False, True], ids=["as-it-is", "LOAD_TRUNCATED_IMAGES"])
@pytest.mark.parametrize("form", WHOLE)
def test_a_file_that_is_cut_short_is_never_half_read(form, tolerant, path, monkeypatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", tolerant)
    whole = read_image_of(path, WHOLE[form])

    @given(st.integers(0, len(WHOLE[form]) - 1))
    @settings(max_examples=25, deadline=None, derandomize=True)
    def check(keep: int) -> None:
        got = outcome(path, WHOLE[form][:keep])
        assert got is None or torch.equal(got, whole)

    check()
    if "ppm" not in form:  # there, bytes too many may mean that the picture begins elsewhere
        assert torch.equal(read_image_of(path, WHOLE[form] + b"something behind"), whole)
    assert tolerant == ImageFile.LOAD_TRUNCATED_IMAGES


def read_image_of(path: Path, data: bytes) -> torch.Tensor:
    path.write_bytes(data)
    return read_image(path)


@pytest.mark.parametrize("form", ["png", "deflate-tiff"])
def test_one_wrong_byte_is_found_where_there_is_a_checksum(form, path, monkeypatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = WHOLE[form]
    whole = read_image_of(path, data)
    first, last = (8, len(data)) if form == "png" else (8, len(data) - 200)  # the strips come first

    @given(st.integers(first, last - 1), st.integers(1, 255))
    @settings(max_examples=60, deadline=None, derandomize=True)
    def check(place: int, change: int) -> None:
        broken = bytearray(data)
        broken[place] ^= change
        got = outcome(path, bytes(broken))
        assert got is None or torch.equal(got, whole)

    check()


@pytest.mark.parametrize("wrong", ["checksum of the data", "rows", "an unknown part", "checksum of a text"])
def test_png_with(wrong: str, path: Path) -> None:
    pixels = numbers(255, 3)
    good = png(pixels, 2)
    if wrong == "checksum of the data":  # of zlib, in a chunk whose own one is right
        place = good.index(b"IDAT")
        body = good[place + 4 : -16 - 0]
        data = good[: place - 4] + chunk(b"IDAT", body[:-1] + bytes((body[-1] ^ 1,))) + chunk(b"IEND", b"")
    elif wrong == "rows":
        data = good.replace(good[8:33], chunk(b"IHDR", struct.pack(">IIBBBBB", 18, 14, 8, 2, 0, 0, 0)))
    elif wrong == "an unknown part":
        data = png(pixels, 2, extra=chunk(b"ABCD", b"x"))
    else:
        data = png(pixels, 2, extra=chunk(b"tEXt", b"a\0b")[:-1] + b"?")
    with pytest.raises(ImageError):
        read_image_of(path, data)


JPEGS = {
    "plain": {"quality": 85}, "grey": {"quality": 85}, "own tables": {"quality": 90, "optimize": True},
    "not subsampled": {"quality": 92, "subsampling": 0},
    "restarts": {"quality": 85, "restart_marker_rows": 2}, "fine": {"quality": 97},
    "progressive": {"quality": 85, "progressive": True},
}  # fmt: skip


def jpeg(name: str, size: int = 1) -> bytes:
    pixels = PHOTO.repeat(size, 0).repeat(size, 1)
    return by_pillow(pixels, "JPEG", mode="L" if name == "grey" else None, **JPEGS[name])


@pytest.mark.parametrize("name", JPEGS)
def test_every_whole_jpeg_is_read_as_pillow_reads_it(name: str, path: Path) -> None:
    for size in (1, 3):  # the larger one is followed in lanes
        data = jpeg(name, size)
        got = read_image_of(path, data)
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(
                (got * 255).round().numpy(), np.asarray(image.convert("RGB")).transpose(2, 0, 1)
            )


@pytest.mark.parametrize("name", JPEGS)
def test_a_damaged_stretch_in_a_jpeg_is_found(name: str, path: Path) -> None:
    data = jpeg(name)
    start, rng, missed = data.index(b"\xff\xda") + 14, np.random.default_rng(3), 0
    for trial in range(24):
        length = int(rng.integers(100, 400))
        place = int(rng.integers(start, len(data) - length - 2))
        stretch = bytes(length) if trial % 3 == 0 else rng.integers(0, 255, length, np.uint8).tobytes()
        got = outcome(path, data[:place] + stretch + data[place + length :])
        missed += got is not None
    # What decodes to another picture that could be one, nobody can tell; that refines bits, often enough.
    assert missed <= (5 if name == "progressive" else 2)


@pytest.mark.parametrize("name", ["plain", "grey", "progressive"])
def test_a_jpeg_without_its_tables_or_with_a_piece_missing_is_refused(name: str, path: Path) -> None:
    data = jpeg(name)
    start = data.index(b"\xff\xda") + 14
    for broken in (
        data.replace(b"\xff\xc4", b"\xff\xe5"),
        data.replace(b"\xff\xdb", b"\xff\xe5"),
        data[: start + 500] + data[start + 1500 :],
        data[:-2],
        data[: start + 300] + b"\xff\xd9",
        data[: start + 300] + b"\xff\xd3" + data[start + 300 :],
    ):
        with pytest.raises(ImageError, match="corrupt or truncated"):
            read_image_of(path, broken)


# --- the process --------------------------------------------------------------------------------------


def test_pillow_and_the_warnings_are_left_as_they_were(path: Path) -> None:
    def state() -> tuple[object, ...]:
        flags = (
            Image.MAX_IMAGE_PIXELS,
            ImageFile.LOAD_TRUNCATED_IMAGES,
            ImageFile.MAXBLOCK,
            ImageFile.SAFEBLOCK,
        )
        return (*flags, list(warnings.filters), torch.get_num_threads(), sys.getrecursionlimit())

    before = state()
    for case in CASES[::3]:
        outcome(path, case.make())
    assert state() == before


def test_threads_read_at_once(tmp_path: Path) -> None:
    names = [f"{k}-{form}" for form in WHOLE for k in range(2)]
    for name in names:
        (tmp_path / name).write_bytes(WHOLE[name[2:]])
    want = {name: read_image(tmp_path / name) for name in names}
    got: dict[str, torch.Tensor] = {}
    threads = [
        threading.Thread(target=lambda n=name: got.update({n: read_image(tmp_path / n)})) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(got[name], want[name]) for name in names)


def test_the_kind_is_told_by_the_content() -> None:
    assert {kind_of(data[:64]) for data in WHOLE.values()} >= {
        "PNG",
        "JPEG",
        "WebP",
        "GIF",
        "BMP",
        "TIFF",
        "PNM",
    }
