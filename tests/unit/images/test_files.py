"""read_image, write_image, list_images, pair_folders on every kind of file that users have."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lossnets.errors import ImageError, LossnetsError
from lossnets.images.files import read_image, write_image
from lossnets.images.folders import list_images, pair_folders

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def png16(path: Path, pixels: np.ndarray, colour_type: int, extra: bytes = b"") -> Path:
    """Write (H, W, C) uint16 as a PNG of 16 bits, by the PNG specification and without Pillow."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + extra + body)
    return path


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def test_values_shape_and_type_of_an_8_bit_png(tmp_path):
    x = read_image(saved(tmp_path / "a.png", Image.fromarray(RGB)))
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    assert np.array_equal(x.numpy(), RGB.transpose(2, 0, 1).astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_opaque_modes_give_their_rgb_values(tmp_path, mode):
    image = Image.fromarray(RGB).convert(mode)
    want = np.asarray(image.convert("RGB")).transpose(2, 0, 1) / 255
    assert np.allclose(read_image(saved(tmp_path / "a.png", image)).numpy(), want, atol=1e-7)


def test_sixteen_bit_grey_is_scaled_by_65535(tmp_path):
    pixels = np.array([[[0], [1], [255]], [[256], [32768], [65535]]], dtype=np.uint16)
    x = read_image(png16(tmp_path / "a.png", pixels, 0))
    assert x.shape == (3, 2, 3)
    assert np.allclose(x[1].numpy(), pixels[..., 0] / 65535, atol=1e-7)


@pytest.mark.parametrize(("channels", "colour_type"), [(3, 2), (4, 6)])
def test_sixteen_bit_colour_keeps_the_lower_byte(tmp_path, channels, colour_type):
    pixels = np.random.default_rng(1).integers(0, 65536, (4, 5, channels)).astype(np.uint16)
    if channels == 4:
        pixels[..., 3] = 65535
    x = read_image(png16(tmp_path / "a.png", pixels, colour_type))
    assert np.allclose(x.numpy(), pixels[..., :3].transpose(2, 0, 1) / 65535, atol=1e-7)


def test_sixteen_bit_alpha_that_is_nearly_opaque_is_refused(tmp_path):
    pixels = np.full((2, 2, 4), 65535, dtype=np.uint16)
    pixels[0, 0, 3] = 65534  # the upper byte alone would look opaque
    with pytest.raises(ImageError, match="see-through"):
        read_image(png16(tmp_path / "a.png", pixels, 6))


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_see_through_image_is_refused_with_the_way_out(tmp_path, suffix):
    image = Image.fromarray(RGB).convert("RGBA")
    image.putpixel((1, 2), (9, 9, 9, 128))
    with pytest.raises(ImageError, match=r"see-through.*2\.9%.*alpha_composite"):
        read_image(saved(tmp_path / f"a.{suffix}", image))


def test_palette_with_a_transparent_entry_in_use_is_refused(tmp_path):
    image = Image.fromarray(RGB).quantize(8)
    with pytest.raises(ImageError, match="see-through"):
        read_image(saved(tmp_path / "a.png", image, transparency=image.getpixel((0, 0))))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255  # the top left quarter is white
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = Image.fromarray(upright)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    x = read_image(saved(tmp_path / "a.png", stored, exif=exif))
    assert np.array_equal(x.numpy(), upright.transpose(2, 0, 1) / np.float32(255))


@pytest.mark.parametrize(
    ("image", "name", "said"),
    [
        (Image.new("CMYK", (4, 4)), "a.jpg", "CMYK"),
        (Image.new("F", (4, 4)), "a.tiff", "floating-point"),
        (Image.new("I", (4, 4)), "a.tiff", "32-bit"),
        (Image.new("LAB", (4, 4)), "a.tiff", "Lab"),
    ],
)
def test_values_without_one_rgb_meaning_are_refused(tmp_path, image, name, said):
    with pytest.raises(ImageError, match=rf"{said}.*convert it to 8-bit or 16-bit"):
        read_image(saved(tmp_path / name, image))


@pytest.mark.parametrize("suffix", ["gif", "tiff", "webp", "png"])
def test_animation_is_refused_with_its_number_of_frames(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), (c, 0, 0)) for c in (0, 100, 200)]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="3 frames"):
        read_image(path)


def test_a_gif_of_one_frame_is_an_image(tmp_path):
    assert read_image(saved(tmp_path / "a.gif", Image.new("RGB", (3, 2), (255, 0, 0)))).shape == (3, 2, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_every_truncation_is_an_image_error_that_names_the_file(tmp_path, suffix):
    noise = np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = saved(tmp_path / f"whole.{suffix}", Image.fromarray(noise)).read_bytes()
    for keep in (0, 1, 10, 30, len(whole) // 2):
        path = tmp_path / f"cut.{suffix}"
        path.write_bytes(whole[:keep])
        with pytest.raises(ImageError, match=rf"cut\.{suffix}"):
            read_image(path)


def test_flipped_bytes_never_raise_anything_but_image_error(tmp_path):
    rng = np.random.default_rng(3)
    for suffix in ("png", "jpg", "tiff", "webp"):
        whole = bytearray(saved(tmp_path / f"w.{suffix}", Image.fromarray(RGB)).read_bytes())
        for trial in range(40):
            broken = bytearray(whole)
            for place in rng.integers(0, len(broken), 5):
                broken[place] = int(rng.integers(256))
            path = tmp_path / f"b{trial}.{suffix}"
            path.write_bytes(broken)
            try:
                x = read_image(path)
            except ImageError as error:
                assert path.name in str(error)  # noqa: PT017
            except UserWarning:
                pass  # Pillow warns of odd metadata, and warnings are errors in tests
            else:
                assert x.ndim == 3


def test_too_large_is_refused_before_decoding(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("L", (100, 50)))
    with pytest.raises(ImageError, match=r"100×50 = 5000 pixels; allowed are 4999.*max_pixels"):
        read_image(path, max_pixels=4999)
    assert read_image(path, max_pixels=5000).shape == (3, 50, 100)


def test_decompression_bomb_is_an_image_error(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.new("L", (100, 50)))
    for limit in (3000, 1000):  # Pillow warns above the limit and refuses above its double
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ImageError, match=r"a\.png.*MAX_IMAGE_PIXELS"):
            read_image(path)


def test_missing_file_folder_and_text_are_refused(tmp_path):
    with pytest.raises(ImageError, match="does not exist or is not a file"):
        read_image(tmp_path / "no.png")
    with pytest.raises(ImageError, match="does not exist or is not a file"):
        read_image(tmp_path)
    (tmp_path / "t.png").write_text("hello")
    with pytest.raises(ImageError, match=r"not an image that is read \(5 bytes\)"):
        read_image(tmp_path / "t.png")


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5)])
def test_written_image_reads_back(tmp_path, shape):
    image = (torch.rand(shape) * 255).round() / 255
    write_image(tmp_path / "a.png", image)
    assert torch.allclose(read_image(tmp_path / "a.png"), image.expand(3, -1, -1), atol=1e-7)
    write_image(tmp_path / "b.png", (image * 255).round().to(torch.uint8))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (torch.zeros(2, 4, 4), r"\(3, H, W\)"),
        (torch.zeros(3, 0, 4), "not empty"),
        (torch.zeros(1, 3, 4, 4), r"\(1, 3, 4, 4\)"),
        (torch.full((3, 2, 2), 1.5), r"\[0, 1\].*1\.5"),
        (torch.full((3, 2, 2), torch.nan), "nan"),
        (torch.zeros(3, 2, 2, dtype=torch.int64), "int64"),
    ],
)
def test_what_is_no_image_is_not_written(tmp_path, image, said):
    with pytest.raises(ImageError, match=said):
        write_image(tmp_path / "a.png", image)
    assert not list(tmp_path.iterdir())


def test_write_refuses_other_endings_and_missing_folders(tmp_path):
    with pytest.raises(ImageError, match=r"\.png, got 'a\.jpg'"):
        write_image(tmp_path / "a.jpg", torch.zeros(3, 2, 2))
    with pytest.raises(LossnetsError, match=r"a\.png"):
        write_image(tmp_path / "no" / "a.png", torch.zeros(3, 2, 2))


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("L", (1, 1)).save(folder / name, format="PNG")
    return folder


def test_list_images_is_sorted_and_leaves_out_the_rest(tmp_path):
    folder = touch(tmp_path / "f", "b.PNG", "a.jpg", ".hidden.png", "sub/c.png", "notes.txt")
    assert [p.name for p in list_images(folder)] == ["a.jpg", "b.PNG"]
    assert [p.name for p in list_images(folder, recursive=True)] == ["a.jpg", "b.PNG", "c.png"]
    with pytest.raises(ImageError, match="does not exist"):
        list_images(tmp_path / "none")


def test_pairs_by_name_whatever_the_ending(tmp_path):
    a, b = touch(tmp_path / "a", "2.png", "1.png"), touch(tmp_path / "b", "1.jpg", "2.webp")
    assert [(k, x.name, y.name) for k, x, y in pair_folders(a, b)] == [
        ("1", "1.png", "1.jpg"),
        ("2", "2.png", "2.webp"),
    ]


def test_equal_stems_in_one_folder_are_paired_by_whole_name(tmp_path):
    a, b = touch(tmp_path / "a", "1.png", "1.jpg"), touch(tmp_path / "b", "1.jpg", "1.png")
    assert [(k, y.name) for k, _, y in pair_folders(a, b)] == [("1.jpg", "1.jpg"), ("1.png", "1.png")]


def test_leftovers_on_either_side_are_listed(tmp_path):
    a = touch(tmp_path / "a", "x.png", *(f"{i}.png" for i in range(7)))
    b = touch(tmp_path / "b", "x.png", "y.png")
    with pytest.raises(ImageError, match=r"7 only in .*a': 0, 1, 2, 3, 4, \.\.\.; 1 only in .*b': y"):
        pair_folders(a, b)
    with pytest.raises(ImageError, match="holds no image"):
        pair_folders(a, touch(tmp_path / "empty"))


def test_pillow_buffer_is_not_needed_after_reading(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, format="PNG")
    path = tmp_path / "a.png"
    path.write_bytes(buffer.getvalue())
    x = read_image(path)
    path.unlink()
    x.mul_(0)  # own memory, and writable
    assert x.sum() == 0
