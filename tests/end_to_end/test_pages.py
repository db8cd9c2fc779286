"""What the pages say of numbers: tables and pictures are those of the results, definitions miss nothing."""

from __future__ import annotations

import importlib.util
import re
import shutil
import typing
from pathlib import Path
from types import ModuleType

import pytest

from lossnets.analysis import TASKS, Results, Setting, compare_losses, grid, shipped_results
from lossnets.analysis.comparisons import PAIR_COLUMNS
from lossnets.analysis.findings import verdicts
from lossnets.analysis.leaderboard import State
from lossnets.analysis.recommendation import RULES
from lossnets.benchmarks import benchmark_class, benchmark_names

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)  # as for a script: its folder is where it imports from
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made() -> ModuleType:
    return load(DOCS / "make_pages.py")


@pytest.fixture(scope="module")
def results() -> Results:
    return shipped_results()


def setting_of(results: Results, task: str) -> Setting:
    return next(setting for setting in results.settings if setting.task == task)


# --- tables and pictures ----------------------------------------------------------------------------


def test_tables_and_pictures_are_up_to_date(made: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    status = made.main(["--check"])
    assert status == 0, capsys.readouterr().err + "run: python docs/make_pages.py"


def test_every_table_has_a_place_and_every_place_a_table(made: ModuleType) -> None:
    places = [m[1] for page in made.pages() for m in made.MADE.findall(page.read_text(encoding="utf-8"))]
    assert sorted(places) == sorted(made.TABLES)


def test_every_picture_is_on_a_page(made: ModuleType) -> None:
    shown = {
        name for page in DOCS.glob("*.md") for name in re.findall(r"pictures/([\w.-]+)\)", page.read_text())
    }
    assert set(made.PICTURES) <= shown
    assert all((DOCS / "pictures" / name).stat().st_size < 600_000 for name in made.PICTURES)


@pytest.fixture
def copy(tmp_path: Path) -> ModuleType:
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("results", "__pycache__"))
    return load(tmp_path / "docs" / "make_pages.py")


def test_a_changed_number_is_noticed_and_mended(copy: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    page = copy.DOCS / "choosing.md"
    before = page.read_text(encoding="utf-8")
    found = re.search(r"made: board-super-resolution -->.*?(\d\d\.\d)", before, re.DOTALL)
    assert found is not None
    page.write_text(before[: found.start(1)] + "99.9" + before[found.end(1) :], encoding="utf-8")
    (copy.DOCS / "pictures" / "made.json").write_text("{}")
    assert copy.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "choosing.md: board-super-resolution" in said
    assert "pictures/ranks.png" in said
    page.write_text(copy.refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
    assert copy.same(page.read_text(encoding="utf-8"), before)


def test_numbers_may_differ_by_rounding_and_by_no_more(made: ModuleType) -> None:
    assert made.same("| a | 25.0 [24.1, 26.2] |", "| a | 25.1 [24.1, 26.2] |")
    assert not made.same("| a | 25.0 |", "| a | 26.0 |")
    assert not made.same("| a | 25.0 |", "| b | 25.0 |")
    assert not made.same("| a | 25.0 |", "| a |  |")


def test_options_that_do_not_exist_are_refused(made: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert made.main(["--chek"]) == 2
    assert "--check" in capsys.readouterr().err


# --- definitions ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def definitions() -> str:
    return (DOCS / "definitions.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", benchmark_names())
def test_no_score_is_missing(name: str, definitions: str) -> None:
    task = next(task for task in TASKS if name.startswith(task))
    _, _, rest = definitions.partition(f"<!-- made: scores-{task} -->")
    rows = rest.partition("<!-- end -->")[0].splitlines()
    for kind in benchmark_class(name).scores:
        (row,) = (row for row in rows if row.startswith(f"| `{kind.name}` |"))
        assert kind.meaning in row
        assert f"| {'higher' if kind.higher_is_better else 'lower'} |" in row
        assert f"| {kind.unit} |" in row


def test_no_word_of_the_analysis_is_missing(definitions: str, results: Results) -> None:
    for word, rule in RULES.items():
        assert f"| *{word}* | {rule} |" in definitions
    for verdict in verdicts(results):
        assert verdict.sentence in definitions
        assert verdict.rule.replace("|", "\\|") in definitions
    for state in typing.get_args(State):
        assert f"| `{state}` |" in definitions
    for basis in ("seeds", "items", "one seed"):
        assert f"| `{basis}` |" in definitions
    assert "basis" in PAIR_COLUMNS


# --- sentences that lean on the results -------------------------------------------------------------


def test_the_last_point_is_the_worst_for_super_resolution(results: Results) -> None:
    values = grid(results, setting_of(results, "super-resolution")).dropna()
    assert len(values) >= 2
    assert (values.idxmin(axis=1) == 4).all()


def test_middle_and_late_points_are_better_for_autoencoding(results: Results) -> None:
    values = grid(results, setting_of(results, "autoencoding")).dropna()
    assert len(values) >= 2
    assert (values[[3, 4]].min(axis=1) > values[[1, 2]].mean(axis=1)).all()


def test_nothing_is_better_than_cross_entropy_in_delineation(results: Results) -> None:
    for setting in (s for s in results.settings if s.task == "delineation"):
        pairs = compare_losses(results, setting)
        assert not (pairs["significant"] & (pairs["worse"] == "pixel:bce")).any()
        cells = results.cells[results.cells["setting"] == results.labels[setting]].set_index("loss")
        values = cells.loc[cells["state"] == "ranked", "value"]
        assert (values < 0.7 * values["pixel:bce"]).sum() >= 2  # "several are far worse"


def test_several_points_together_are_near_the_best_one(results: Results) -> None:
    for setting in (s for s in results.settings if s.task == "similarity"):
        cells = results.cells[results.cells["setting"] == results.labels[setting]]
        cells = cells[(cells["state"] == "ranked") & ~cells["loss"].str.contains("random")]
        best = cells.groupby(["architecture", cells["taps"] > 1])["value"].max().unstack()
        assert (best[True] > best[False] - 0.03).all()
