"""Data sets that are published as single files behind an index page."""

from __future__ import annotations

import functools
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from lossnets.datasets.facts import Archive
from lossnets.download import download
from lossnets.errors import DataError

Progress = Callable[[str, int, int | None], None]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PAGE_BYTES = 16 << 20


def fetch_index(archive: Archive, root: Path, progress: Progress) -> None:
    """Fetch all files that the archive's index page lists into its folder below ``root``.

    Files that are there are not fetched again.

    Raises:
        DataError: the page or a file is out of reach, or the page does not list as many as it should.
    """
    folder = root / (archive.unpack or "")
    urls = _listed(archive, folder)
    for number, (name, url) in enumerate(sorted(urls.items()), start=1):
        label = f"{archive.unpack}: file {number} of {len(urls)}"
        download(
            url,
            folder / name,
            error=DataError,
            check=_tiff_problem,
            progress=functools.partial(progress, label),
        )


def _listed(archive: Archive, folder: Path) -> dict[str, str]:
    """Address by file name, as the page has them now."""
    page = folder / ".index.html"
    page.unlink(missing_ok=True)  # else an old one would be taken
    try:
        download(archive.url, page, error=DataError, check=_page_problem)
        urls = links(page.read_text("utf-8", "replace"), archive.url, archive.filename)
    finally:
        page.unlink(missing_ok=True)
    if len(urls) != archive.index:
        raise DataError(
            f"the page {archive.url} lists {len(urls)} files *{archive.filename}, expected {archive.index}: "
            "it may have been moved or changed. Nothing was fetched from it."
        )
    return urls


def links(page: str, url: str, suffix: str) -> dict[str, str]:
    """Files that an HTML page links to: {file name: address}.

    Only files of the page's own folder and host count, whether links are relative or absolute; they are
    fetched over the protocol that the page was.

    >>> links('<a href="a.tif">a</a> <a href="http://else.org/b.tif">b</a>', "https://x.org/f/i.html", ".tif")
    {'a.tif': 'https://x.org/f/a.tif'}
    """
    parser = _Links()
    parser.feed(page)
    base = urlsplit(url)
    folder = base.path.rpartition("/")[0] + "/"
    found = {}
    for href in parser.found:
        target = urlsplit(urljoin(url, href))
        name = unquote(target.path.removeprefix(folder))
        if target.hostname != base.hostname or not target.path.startswith(folder) or "/" in name:
            continue
        if name.endswith(suffix) and not name.startswith(".") and "\\" not in name:
            found[name] = f"{base.scheme}://{base.netloc}{target.path}"
    return found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the address of each link."""
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.found.append(href.strip())


def _page_problem(page: Path) -> str | None:
    size = page.stat().st_size
    return f"has {size} bytes, more than an index page can have" if size > PAGE_BYTES else None


def _tiff_problem(file: Path) -> str | None:
    with file.open("rb") as content:
        start = content.read(4)
    return None if start in _TIFF else "is not a TIFF image"
