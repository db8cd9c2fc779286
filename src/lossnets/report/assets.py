"""What the page brings along: its style and script, DataTables as itables bundles it, packed text."""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import lru_cache
from importlib.resources import files

from lossnets.errors import require
from lossnets.home import text_bytes

TEMPLATE = "template.html.j2"
_DATATABLES = ("dt_bundle.js", "dt_bundle.css")


@lru_cache(maxsize=8)
def own(name: str) -> str:
    """Text of a file of this folder: `TEMPLATE`, ``style.css``, ``script.js``."""
    return files("lossnets.report").joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def datatables() -> dict[str, str]:
    """DataTables (MIT) and its style as the package itables bundles them, each packed by `pack`.

    Raises:
        MissingExtraError: itables is not installed.
    """
    require("itables", "bench", "lossnets.report")
    folder = files("itables").joinpath("html")
    script, style = (folder.joinpath(name).read_text(encoding="utf-8") for name in _DATATABLES)
    return {"script": pack(script), "style": pack(style)}


def pack(text: str) -> str:
    """Text -> base64 of its gzip: letters, digits, ``+/=`` only, the same for the same text.

    >>> unpack(pack("<script>"))
    '<script>'
    """
    return base64.b64encode(gzip.compress(text_bytes(text), compresslevel=9, mtime=0)).decode("ascii")


def unpack(packed: str) -> str:
    """The inverse of `pack`; the page's script does the same."""
    return gzip.decompress(base64.b64decode(packed)).decode()


def policy(script: str) -> str:
    """Content-Security-Policy under which only ``script`` runs, and nothing is fetched from anywhere.

    The script may import DataTables from a blob that it made itself; event handlers in markup, other
    inline scripts and every request are refused by the browser.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' blob:; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
