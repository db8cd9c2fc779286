"""Files that decoders take for something else: read as they were constructed, or refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from lossnets import read_image
from lossnets.errors import ImageError

from .builders import chunk

PALETTES = [[0, 0, 0, 255, 255, 255], [9, 9, 9, 200, 200, 200], [5, 80, 255, 0, 1, 2]]
GREY = np.random.default_rng(0).integers(0, 4, (9, 11))


def grey_png(values: np.ndarray, extra: bytes = b"", between: bytes = b"") -> bytes:
    """A PNG of 2-bit grey; with another chunk between its two pieces of data."""
    rows = b""
    for row in values:
        bits = np.unpackbits(row[:, None].astype(np.uint8), axis=1)[:, -2:]
        rows += b"\0" + np.packbits(bits.reshape(-1)).tobytes()
    packed = zlib.compress(rows)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 2, 0, 0, 0, 0)
    parts = (
        [chunk(b"IDAT", packed[:9]), between, chunk(b"IDAT", packed[9:])]
        if between
        else [chunk(b"IDAT", packed)]
    )
    pieces = [chunk(b"IHDR", header), extra, *parts, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


@pytest.mark.parametrize(
    "palette", [[0, 0, 0, 255, 255, 255], [9, 9, 9, 200, 200, 200], [5, 80, 255, 0, 1, 2]]
)
def test_bitmaps_with_two_colours_in_eight_bits(palette: list[int], tmp_path: Path) -> None:
    places = (np.random.default_rng(1).random((16, 17)) > 0.7).astype(np.uint8)
    image = Image.new("P", places.shape[::-1])
    image.putdata(places.reshape(-1).tolist())
    image.putpalette(palette)
    image.save(tmp_path / "two.bmp")
    wanted = np.array(palette).reshape(2, 3)[places].transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_array_equal(read_image(tmp_path / "two.bmp").numpy(), wanted.astype(np.float32))


@pytest.mark.parametrize("value", range(4))
def test_one_transparent_grey_of_few_bits_is_seen(value: int, tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    path.write_bytes(grey_png(GREY, chunk(b"tRNS", bytes([0, value]))))
    with pytest.raises(ImageError, match="see-through"):
        read_image(path)
    without = np.where(value == GREY, (value + 1) % 4, GREY)
    path.write_bytes(grey_png(without, chunk(b"tRNS", bytes([0, value]))))
    np.testing.assert_allclose(read_image(path).numpy()[0], without / 3, atol=1e-7)


def test_picture_data_in_two_places_are_refused_whatever_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / "split.png"
    path.write_bytes(grey_png(GREY, between=chunk(b"tEXt", b"a\0b")))
    with pytest.raises(ImageError, match="not in one piece"):
        read_image(path)


@pytest.mark.parametrize("compression", ["packbits", "raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_a_predictor_belongs_to_compressions_that_have_one(compression: str, tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "p.tif", compression=compression, tiffinfo={317: 2})
    wanted = (values.transpose(2, 0, 1) / np.float32(255)).astype(np.float32)
    np.testing.assert_array_equal(read_image(tmp_path / "p.tif").numpy(), wanted)


def test_palettes_of_eight_bits_in_sixteen_reach_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("P")
    image.save(tmp_path / "p.tif")
    np.testing.assert_allclose(
        read_image(tmp_path / "p.tif").numpy(),
        np.asarray(image.convert("RGB")).transpose(2, 0, 1) / 255,
        atol=1e-7,
    )


@pytest.mark.parametrize("header", [b"P5\r\n37 23\r\n255\r\n", b"P5\n37 23\n255\n# c\n"])
def test_headers_that_shift_the_picture_are_refused(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "g.pgm"
    path.write_bytes(header + bytes(37 * 23))
    with pytest.raises(ImageError, match="bytes more than its header says"):
        read_image(path)
