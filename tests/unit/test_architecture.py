"""The order of the folders: each imports only from those above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lossnets

ROOT = Path(lossnets.__file__).parent
# Top to bottom. Modules of one rank do not import each other, except inside a folder.
ORDER = [
    {"version", "file_hash", "processes"},
    {"errors", "torchvision_compat", "lightning_host", "torch_state", "content"},
    {"home", "frozen"}, {"download"},
    {"images"}, {"networks"}, {"distances"}, {"losses"},
    {"generators"}, {"gradients"},
    {"datasets"}, {"benchmarks"}, {"runs"}, {"analysis"}, {"judging"}, {"report"}, {"cli"},
]  # fmt: skip
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
DOORS = {"__init__", "__main__"}  # the package's front doors may import anything
FILES = sorted(ROOT.rglob("*.py"))


def imports(source: str, package: list[str]) -> Iterator[str]:
    """Dotted names that a module imports, wherever in it, type checking included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """Folder or file of the package that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def violations(part: str, source: str, package: list[str]) -> list[str]:
    """Imports of parts of the package that are not above ``part``."""
    found = []
    for name in imports(source, package):
        pieces = name.split(".")
        if pieces[0] != "lossnets" or len(pieces) < 2 or pieces[1] not in RANK:
            continue
        if pieces[1] != part and RANK[pieces[1]] >= RANK[part]:
            found.append(name)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_import_only_from_above(path: Path) -> None:
    part = part_of(path)
    if part in DOORS:
        return
    assert part in RANK, f"{part} has no place in the order"
    package = ["lossnets", *path.relative_to(ROOT).parent.parts]
    assert violations(part, path.read_text(encoding="utf-8"), package) == []


def test_the_judge_finds_what_is_wrong() -> None:
    for source in (
        "from lossnets.losses import LPIPS",
        "import lossnets.losses.bank",
        "def f():\n    from lossnets.runs import store",
        "from ..losses import x",
        "from lossnets import losses",
        "if TYPE_CHECKING:\n    from lossnets.cli import main",
    ):
        assert violations("networks", source, ["lossnets", "networks"]), source
    for source in (
        "from lossnets.errors import x",
        "from .spec import Tap",
        "import torch",
        "from lossnets.images import y",
    ):
        assert not violations("networks", source, ["lossnets", "networks"]), source


def test_every_part_exists() -> None:
    assert {part_of(path) for path in FILES} - DOORS <= set(RANK)
    assert len(FILES) > 50


def test_every_module_says_what_it_is() -> None:
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_library_code_is_silent(path: Path) -> None:
    """Only the command line prints."""
    calls = [n.func.id for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]  # fmt: skip
    assert "print" not in calls or part_of(path) == "cli"
