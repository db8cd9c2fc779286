"""The documentation is run: Python blocks, commands, examples of --help, links, and its tables.

What a page can say to this test, in the line above a block:

    <!-- not run -->        a fragment that is not a program
    <!-- file: NAME -->     the block is the content of that file; later blocks may read it

In Python blocks ``print(...)  # -> text`` promises what is printed. In console blocks the lines below a
command, if there are any, are part of its output, numbers up to rounding and spaces aside. All blocks of
a page run in order, in one folder and one namespace. Blocks of the documentation site (```{toctree} and the
like) are Sphinx's business: test_site.py.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import inspect
import io
import math
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from lossnets.benchmarks import base, benchmark_class, benchmark_names
from lossnets.benchmarks.similarity.base import SIZES
from lossnets.cli import app, main, pgn
from lossnets.datasets import read_sample
from lossnets.distances.compare import COMPARISONS, METRICS
from lossnets.images import write_image
from lossnets.losses import PerceptualLoss, list_presets, parse_loss
from lossnets.losses.spec import OPTIONS, PIXEL_LOSSES
from lossnets.networks import blueprint, catalogue, network_spec, study_networks
from lossnets.networks.blueprint import _blueprint
from lossnets.runs.plan import BenchmarkEntry, PlanFile

ROOT = Path(__file__).resolve().parents[2]
INCLUDING = ("contributing.md", "changelog.md")
"""Pages of the site that consist of another page."""
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name not in INCLUDING),
]
LINKED = [*PAGES, ROOT / "CHANGELOG.md"]

LEFT_OUT = ("make ", "pip install ", ".venv/bin/pytest ", "python docs/make_pages.py ")
"""They set up environments, run this test, or have a test of their own."""
SLOW = (
    "lossnets sweep examples/plans/",
    "lossnets pgn evaluate ",
    "python benchmarks/",
    "lossnets profile --loss 'vgg16",
)
"""Minutes long: run by a test of their own; on the page a small sweep stands in for a plan."""
ANSWERS = {"lossnets recommend": (0, 3)}
"""Exit status by which a command answers: a refusal of `recommend` is an answer."""
STAND_IN = """\
name: stand-in
losses: [pixel:mse, pixel:l1]
benchmarks:
  - {benchmark: similarity, data: sample}
  - {benchmark: super-resolution, data: sample, losses: pixel:mse}
profile: smoke
"""

SITE_BLOCKS = {"{toctree}", "{eval-rst}"}

_BLOCK = re.compile(r"(?:<!-- ([^\n]+) -->\n)?^```(\w+|\{[\w-]+\})\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    remark: str
    language: str
    text: str
    line: int  # of its first line of text, counted from 1


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(m[1] or "", m[2], m[3], text[: m.start(3)].count("\n") + 1) for m in _BLOCK.finditer(text)]


def commands_of(block: Block) -> list[tuple[str, list[str]]]:
    """(command, lines of output below it) of a console block."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:].strip(), []))
        elif line.strip():
            found[-1][1].append(line)
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the repository holds for readers."""
    for folder in ("examples", "benchmarks", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def _no_trace() -> Iterator[None]:
    """What a page registers, random states, threads and the path of imports are put back afterwards."""
    known, threads, path = dict(catalogue._USER), torch.get_num_threads(), list(sys.path)
    benchmark_names()  # those that are there anyway
    benchmarks = dict(base._REGISTRY)
    with torch.random.fork_rng(devices=[]):
        yield
    torch.set_num_threads(threads)
    sys.path[:] = path
    base._REGISTRY.clear()
    base._REGISTRY.update(benchmarks)
    if known != catalogue._USER:
        catalogue._USER.clear()
        catalogue._USER.update(known)
        catalogue.network_spec.cache_clear()
        _blueprint.cache_clear()


# --- running a page ---------------------------------------------------------------------------------


def run_page(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__docs__"}
    for block in blocks_of(page):
        if block.remark == "not run":
            continue
        if block.remark.startswith("file: "):
            Path(block.remark.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            run_python(page, block, namespace)
        elif block.language == "console":
            for command, shown in commands_of(block):
                run_command(command, shown)


def run_python(page: Path, block: Block, namespace: dict[str, Any]) -> None:
    """Execute; a traceback shows line numbers of the page."""
    lines = block.text.splitlines()

    def checked_print(*values: Any, **options: Any) -> None:
        line = lines[sys._getframe(1).f_lineno - block.line]
        _, arrow, promised = line.partition("# -> ")
        told = " ".join(map(str, values))
        if arrow:
            assert told == promised, f"{page.name}: {line.strip()!r} prints {told!r}"
        builtins.print(*values, **options)

    namespace["print"] = checked_print
    exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)


def run_command(command: str, shown: list[str], *, slow: bool = False) -> None:
    if f"{command} ".startswith(LEFT_OUT):
        return
    if command.startswith(SLOW) and not slow:
        if not command.startswith("lossnets sweep"):
            return
        Path("stand-in.yaml").write_text(STAND_IN, encoding="utf-8")
        command = re.sub(r"examples/plans/\S+", "stand-in.yaml", command)
    if command.startswith("lossnets profile") and not slow:
        command += " --rounds 1"  # the last one counts
    program, *arguments = [word for part in shlex.split(command, comments=True) for word in braces(part)]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = {"lossnets": main, "python": run_script}[program](arguments)
    allowed = ANSWERS.get(" ".join([program, *arguments[:1]]), (0,))
    assert status in allowed, f"$ {command}\n{out.getvalue()}"
    printed = [tokens(line) for line in out.getvalue().splitlines()]
    for line in shown:
        assert any(same(tokens(line), other) for other in printed), (
            f"$ {command}\ndoes not print\n{line}\nbut\n{out.getvalue()}"
        )


def braces(word: str) -> list[str]:
    """``a{b,c}`` -> ``ab``, ``ac``, as a shell does it."""
    found = re.fullmatch(r"(.*?)\{([^{}]*,[^{}]*)\}(.*)", word)
    return (
        [one for choice in found[2].split(",") for one in braces(found[1] + choice + found[3])]
        if found
        else [word]
    )


def run_script(arguments: list[str]) -> int:
    before = sys.argv
    sys.argv = arguments
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    finally:
        sys.argv = before
    return 0


def tokens(line: str) -> list[str]:
    return [word for word in line.split() if not set(word) <= set("│┃─━┏┓┗┛└┘┡┩╇╈┳┻┴┬")]


def same(shown: list[str], printed: list[str]) -> bool:
    return len(shown) == len(printed) and all(map(_same_word, shown, printed))


def _same_word(a: str, b: str) -> bool:
    try:
        return a == b or math.isclose(float(a), float(b), rel_tol=1e-3)
    except ValueError:
        return False


@pytest.mark.usefixtures("place", "_no_trace")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_everything_on_the_page_runs(page: Path) -> None:
    run_page(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_has_few_exceptions_and_known_languages(page: Path) -> None:
    found = blocks_of(page)
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(found), "a block was not understood"
    assert sum(block.remark == "not run" for block in found) <= 1
    assert {block.language for block in found} <= {"python", "console", "yaml", "csv"} | SITE_BLOCKS
    assert all(b.remark for b in found if b.language in ("yaml", "csv")), "say which file it is, or 'not run'"


# --- can this test fail? ----------------------------------------------------------------------------


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("```python\nprint(1 + 1)  # -> 3\n```\n", AssertionError),
        ("```python\nprint(undefined)\n```\n", NameError),
        ("```console\n$ lossnets networks vgg16x\n```\n", AssertionError),
        ("```console\n$ lossnets taps vgg11\nvgg11: 3 taps\n```\n", AssertionError),
        ("```console\n$ rm -rf nothing\n```\n", KeyError),
    ],
)
def test_a_wrong_page_is_noticed(content: str, error: type[Exception], place: Path) -> None:
    (place / "page.md").write_text(content)
    with pytest.raises(error):
        run_page(place / "page.md")


def test_a_right_page_is_not(place: Path) -> None:
    (place / "page.md").write_text(
        "<!-- file: a.csv -->\n```csv\nx\n```\n"
        "```python\nfrom pathlib import Path\nprint(Path('a.csv').read_text().strip())  # -> x\n```\n"
        "<!-- not run -->\n```python\n1 +\n```\n"
        f"```console\n$ make test\n$ lossnets --version  # which\nlossnets {app.__version__}\n```\n"
    )
    run_page(place / "page.md")


# --- examples of --help -----------------------------------------------------------------------------


def help_examples() -> list[str]:
    """Every example line of every command's help."""
    functions: list[Any] = [app.lossnets]
    for entry in app.COMMANDS.values():
        target = getattr(importlib.import_module(f"lossnets.cli.{entry.module}"), entry.attribute)
        if entry.module == "pgn":  # its commands are imported when they are called
            functions += [pgn.load(name).callback for name in pgn.COMMANDS]
        elif isinstance(target, typer.Typer):
            functions += [command.callback for command in target.registered_commands]
        else:
            functions.append(target)
    return [
        line for f in functions for line in re.findall(r"^\s*(?:Example: )?(lossnets \S.*)$", f.__doc__, re.M)
    ]


@pytest.fixture
def files(place: Path) -> Path:
    """The files that the examples name."""
    image = torch.rand(3, 64, 64)
    for name in ("a.png", "b.png", "original.png", "compressed.png", "blurred.png", "noisy.png"):
        write_image(place / name, (image + 0.1 * torch.rand(3, 64, 64)).clamp(0, 1))
    write_image(place / "photograph.png", torch.rand(3, 128, 128))
    for folder, count in (("originals", 2), ("compressed", 2), ("photographs", 3), ("held-out", 8)):
        (place / folder).mkdir()
        for k in range(count):
            write_image(place / folder / f"{k}.png", torch.rand(3, 64, 64))
    return place


def test_every_command_has_an_example() -> None:
    named = {example.split()[1] for example in help_examples()}
    assert named == set(app.COMMANDS)


@pytest.mark.parametrize("example", [e for e in help_examples() if not e.startswith(SLOW)])
def test_the_examples_of_help_run(example: str, files: Path) -> None:
    for store in ("lossnets-demo/results.sqlite", "mine.sqlite"):
        if store in example:
            (files / store).parent.mkdir(exist_ok=True)
            run_command(f"{SLOW[0]}demo.yaml --store {store}", [])
    if "colleague.json" in example:
        run_command("lossnets results --store mine.sqlite --json colleague.json", [])
    run_command(example, [])


def slow_commands() -> list[str]:
    """Every slow command of pages and help, once."""
    found = dict.fromkeys(example for example in help_examples() if example.startswith(SLOW))
    for page in PAGES:
        for block in blocks_of(page):
            if block.language == "console" and block.remark != "not run":
                found |= dict.fromkeys(c for c, _ in commands_of(block) if c.startswith(SLOW))
    return list(found)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("files", "_no_trace")
@pytest.mark.parametrize("command", slow_commands())
def test_the_slow_commands_run(command: str) -> None:
    if "pictures/" in command:
        run_command("python examples/make_images.py pictures", [])
    run_command(command, [], slow=True)


# --- links and tables -------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (page.parent / path) if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert not dead


def table_rows(page: str) -> list[list[str]]:
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    rows = [re.split(r"(?<!\\)\|", line.strip("| ")) for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows]


def test_the_table_of_presets_is_the_list_of_presets() -> None:
    known = {preset.name: preset for preset in list_presets()}
    shown = {row[0].strip("`"): row for row in table_rows("losses.md") if row[0].strip("`") in known}
    assert list(shown) == list(known)
    for name, row in shown.items():
        assert row[1] == f"`{parse_loss(known[name].loss)}`"
        author, year = row[2].split()[0], re.search(r"20\d\d|arXiv \S+", row[2])
        assert known[name].citation.startswith(author)
        assert year is not None
        assert year[0] in known[name].citation


def test_the_table_of_points_is_the_study() -> None:
    shown: dict[str, str] = {}
    for row in table_rows("networks.md"):
        if len(row) == 5 and row[0].startswith("`"):
            shown |= {row[0].strip("`"): row[1], row[3].strip("`"): row[4]}
    assert set(shown) == set(study_networks())
    for name, points in shown.items():
        where, *rest = points.split()
        if where == "features":
            plan = blueprint(name)
            assert [plan.resolve(point).name for point in rest] == list(plan.spec.points)
        else:
            assert (where, *rest) == network_spec(name).points


def test_the_profiles_are_those_of_the_code() -> None:
    shown = {row[0].strip("`"): row[1:] for row in table_rows("similarity.md") if row[0].strip("`") in SIZES}
    words = {None: {"all", "as they are"}}
    for name, size in SIZES.items():
        items, side, draws = shown[name]
        assert items in words.get(size.per_split, {str(size.per_split)})
        assert side in words.get(size.resize, {str(size.resize)})
        assert draws == str(size.resamples)


def test_the_sizes_of_the_sample_are_those_of_the_code() -> None:
    said = (ROOT / "docs" / "similarity.md").read_text(encoding="utf-8")
    small, smoke = read_sample("small"), read_sample("smoke")
    for data, name in ((small, "small"), (smoke, "smoke")):
        side = data.images.load(data.items[0].ref).shape[-1]
        assert re.search(rf"\b{len(data)} (triplets )?of {side}×{side} at `{name}`", said)


def in_code(page: str) -> str:
    """Everything on a page that stands in backquotes or blocks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return " ".join(re.findall(r"`[^`]+`|```.*?```", text, re.DOTALL))


def test_no_word_of_the_grammar_is_missing() -> None:
    said = in_code("losses.md")
    words = [*COMPARISONS, *(f"-{metric}" for metric in METRICS if metric != "squared_l2"), *PIXEL_LOSSES]
    words += [f"{option}=" for option in OPTIONS]
    words += list(PerceptualLoss.__init__.__kwdefaults__ or ())
    assert [word for word in words if word not in said] == []


def test_no_key_of_a_plan_is_missing() -> None:
    keys = [*PlanFile.model_fields, *BenchmarkEntry.model_fields]
    said = in_code("similarity.md")
    assert [key for key in keys if f"`{key}`" not in said and f"{key}:" not in said] == []


@pytest.mark.parametrize("name", benchmark_names())
def test_nothing_of_a_benchmark_is_missing(name: str) -> None:
    """Its kind of data, its headline score and its settings stand on the page of its family."""
    family, kind = next(
        (page, name.removeprefix(f"{page.replace('_', '-')}-"))
        for page in (
            "similarity",
            "super_resolution",
            "delineation",
            "autoencoding",
            "image_prior",
            "inversion",
        )
        if name.startswith(page.replace("_", "-"))
    )
    said = in_code(f"{family}.md")
    cls = benchmark_class(name)
    words = [kind, cls.scores[0].name, *inspect.signature(cls).parameters]
    assert [word for word in words if not re.search(rf"\b{re.escape(word)}\b", said)] == []
