"""The documentation site: it builds without a warning, its links lead somewhere, no public name is missing.

``make test`` builds the site before the tests and names its folder in LOSSNETS_SITE; else it is built here.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

from lossnets.analysis.findings import FINDINGS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "lossnets", "lossnets.images", "lossnets.networks", "lossnets.distances", "lossnets.losses",
    "lossnets.datasets", "lossnets.benchmarks", "lossnets.benchmarks.engine", "lossnets.runs",
    "lossnets.generators", "lossnets.gradients", "lossnets.gradients.training", "lossnets.judging",
    "lossnets.analysis", "lossnets.analysis.figures", "lossnets.report",
)  # fmt: skip


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the built site; test processes share one."""
    if os.environ.get("LOSSNETS_SITE"):
        return ROOT / os.environ["LOSSNETS_SITE"]
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder = shared / "site"
    with FileLock(shared / "site.lock"):
        if not folder.exists():
            done = build(ROOT / "docs", folder)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    """Anchors of a page, and what it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        self.ids.update(facts[name] for name in ("id", "name") if name in facts)
        if tag == "a" and "href" in facts:
            self.links.append(facts["href"])
        loads = facts.get("src") or (facts.get("href") if tag == "link" else "")
        if loads:
            self.loaded.append(loads)


read_page = cache(Page)


def dead_links(page: Path) -> Iterator[str]:
    for link in [*read_page(page).links, *read_page(page).loaded]:
        parts = urlsplit(link)
        if parts.scheme in ("http", "https", "mailto", "data"):
            continue
        there = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if not there.is_file():
            yield f"{link}: no such file"
        elif (
            parts.fragment and there.suffix == ".html" and unquote(parts.fragment) not in read_page(there).ids
        ):
            yield f"{link}: no such place"


@pytest.mark.timeout(600)
def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    pages = [page for page in sorted(site.rglob("*.html")) if "_static" not in page.parts]
    assert len(pages) > 30
    assert {str(page.relative_to(site)): dead for page in pages if (dead := list(dead_links(page)))} == {}


@pytest.mark.timeout(600)
def test_the_site_needs_no_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        away = [file for file in read_page(page).loaded if urlsplit(file).scheme in ("http", "https")]
        assert away == [], page


@pytest.mark.timeout(600)
def test_every_page_of_the_repository_is_on_the_site(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        there = site / page.relative_to(ROOT / "docs").with_suffix(".html")
        assert there.is_file(), page
        assert len(re.findall("<h1", there.read_text(encoding="utf-8"))) == 1, page
    assert "A folder of" in (site / "contributing.html").read_text(encoding="utf-8")


@pytest.mark.timeout(600)
def test_files_that_pages_link_to_come_with_the_site(site: Path) -> None:
    downloads = {path.name for path in (site / "_downloads").rglob("*") if path.is_file()}
    assert {"paper.yaml", "training.json", "loss_speed.json"} <= downloads
    assert (site / "_images" / "super_resolution.png").is_file()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_has_every_public_name(package: str, site: Path) -> None:
    known = {
        anchor.rsplit(".", 1)[-1]
        for page in (site / "api").glob("*.html")
        for anchor in read_page(page).ids
        if anchor.startswith("lossnets.")
    }
    public = set(importlib.import_module(package).__all__) - {"__version__", "parse"}
    assert public - known == set()


@pytest.mark.timeout(600)
def test_the_reference_has_every_rule_of_the_verdicts(site: Path) -> None:
    ids = read_page(site / "api" / "findings.html").ids
    assert {f"{finding.__module__}.{finding.__name__}" for finding in FINDINGS} <= ids


def test_a_bad_page_fails_the_build(tmp_path: Path) -> None:
    """Can the build fail at all? A dead link, and a docstring that names an error that does not exist."""
    (tmp_path / "conf.py").write_text((ROOT / "docs" / "conf.py").read_text(encoding="utf-8"))
    (tmp_path / "index.md").write_text(
        "# Page\n\n[nowhere](missing.md)\n\n"
        "```{eval-rst}\n.. py:function:: f\n\n   :raises NoSuchError: ever\n```\n"
    )
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode != 0
    assert "missing.md" in done.stderr
    assert "NoSuchError" in done.stderr
