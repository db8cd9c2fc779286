"""Kinds of image files: told by their content, never by their name; and which of them are read."""

from __future__ import annotations

SUFFIXES = (
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".jfi", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm",
    ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Endings of the files that `read_image` reads, which are those that folders list (upper or lower case)."""

NOT_READ = {
    ".3fr": "a camera's raw data", ".arw": "a camera's raw data", ".avifs": "an animation",
    ".cin": "Cineon", ".cr2": "a camera's raw data", ".cr3": "a camera's raw data", ".cur": "a cursor",
    ".dcm": "DICOM", ".dds": "DDS", ".dng": "a camera's raw data", ".dpx": "DPX", ".emf": "a drawing",
    ".eps": "PostScript", ".exr": "OpenEXR", ".fit": "FITS", ".fits": "FITS", ".hdr": "Radiance HDR",
    ".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".icns": "icons", ".ico": "icons", ".j2c": "JPEG 2000",
    ".j2k": "JPEG 2000", ".jp2": "JPEG 2000", ".jpc": "JPEG 2000", ".jpf": "JPEG 2000", ".jpx": "JPEG 2000",
    ".jxl": "JPEG XL", ".jxr": "JPEG XR", ".nef": "a camera's raw data", ".nii": "NIfTI",
    ".orf": "a camera's raw data", ".pam": "PAM", ".pcx": "PCX", ".pfm": "PFM", ".psd": "Photoshop",
    ".qoi": "QOI", ".raf": "a camera's raw data", ".raw": "raw data", ".rgb": "SGI",
    ".rw2": "a camera's raw data",
    ".sgi": "SGI", ".svg": "a drawing", ".tga": "Targa", ".wmf": "a drawing", ".xbm": "XBM", ".xcf": "GIMP",
    ".xpm": "XPM",
}  # fmt: skip
"""Endings of pictures that are not read, and what they are."""

READ = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "AVIF", "PNM")
"""Kinds that are read; see the table in the documentation."""

_BEGINNINGS = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "BigTIFF"), (b"MM\0+", "BigTIFF"),
    (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"), (b"v/1\x01", "OpenEXR"), (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"), (b"8BPS", "Photoshop"), (b"DDS ", "DDS"), (b"qoif", "QOI"), (b"P7\n", "PAM"),
    (b"PF\n", "PFM"), (b"Pf\n", "PFM"), (b"%!PS", "PostScript"), (b"%PDF", "PDF"), (b"SIMPLE  =", "FITS"),
    (b"gimp xcf", "GIMP"), (b"\0\0\x01\0", "icons"), (b"icns", "icons"), (b"FUJIFILM", "a camera's raw data"),
    (b"IIRO", "a camera's raw data"), (b"IIU\0", "a camera's raw data"), (b"II\xbc\x01", "JPEG XR"),
    (b"SDPX", "DPX"), (b"XPDS", "DPX"), (b"\x01\xda", "SGI"), (b"FLIF", "FLIF"), (b"BPG\xfb", "BPG"),
)  # fmt: skip
_BRANDS = {
    b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"hevx": "HEIC",
    b"heim": "HEIC", b"heis": "HEIC", b"crx ": "a camera's raw data",
}  # fmt: skip
SEVERAL = "holds {} frames or pages, one is allowed; save the frames as single images first"
INK = "ink values (CMYK), which have no single RGB meaning without their colour profile"

_MANY_KINDS = (b"mif1", b"msf1", b"miaf")  # say nothing about the compression


class Damaged(Exception):  # noqa: N818  # it is told to the user as an ImageError
    """The file is not what its format demands."""


class Unsupported(Exception):  # noqa: N818
    """The file is fine, but of a kind that is not read; the text goes on after the file's name."""


def kind_of(head: bytes) -> str:
    """The kind of an image file by its first bytes (64 are enough); "" for none that is known.

    >>> kind_of(b"P5 3 2 255 "), kind_of(b"hello")
    ('PNM', '')
    """
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        brands = [head[8:12], *(head[k : k + 4] for k in range(16, min(len(head), _size(head)), 4))]
        if brands[0] in _MANY_KINDS or brands[0] in _BRANDS:
            return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "HEIF")
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PNM"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    return ""


def _size(head: bytes) -> int:
    return int.from_bytes(head[:4], "big")
