"""``lossnets sheet`` and the files of a sweep that trains, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossnets.cli import main
from lossnets.images import read_image
from lossnets.runs.folders import run_folder, runs_folder
from lossnets.runs.store import Store

Captured = pytest.CaptureFixture[str]

PLAN = """\
name: test
losses: [pixel:mse, pixel:l1]
benchmarks:
  - benchmark: delineation
    data: sample
    losses: [pixel:bce, pixel:mse]
  - benchmark: similarity
    data: sample
profile: smoke
store: results.sqlite
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "plan.yaml").write_text(PLAN)
    assert main(["sweep", str(folder / "plan.yaml")]) == 0
    return folder / "results.sqlite"


def test_each_run_has_its_folder(swept: Path) -> None:
    with Store(str(swept), create=False, read_only=True) as store:
        places = runs_folder(store)
        records = store.records()
    assert places == swept.with_suffix(".runs")
    for record in records:
        folder = run_folder(places, record.config)
        assert (folder / "log.csv").is_file() == record.config.benchmark.startswith("delineation")
        assert str(swept.parent) not in str(record.facts)


def test_a_second_sweep_trains_nothing(swept: Path, capsys: Captured) -> None:
    models = {path: path.stat().st_mtime_ns for path in swept.with_suffix(".runs").rglob("model.safetensors")}
    assert len(models) == 2
    assert main(["sweep", str(swept.with_name("plan.yaml"))]) == 0
    assert "4 runs: 4 skipped (done before)" in capsys.readouterr().err
    assert models == {path: path.stat().st_mtime_ns for path in models}


def test_a_sheet_is_drawn(swept: Path, tmp_path: Path, capsys: Captured) -> None:
    page = tmp_path / "sheet.png"
    assert main(["sheet", "--store", str(swept), "-o", str(page)]) == 0
    assert "2 runs of delineation-sample drawn to" in capsys.readouterr().err
    wide = read_image(page).shape[2]
    assert main(["sheet", "--store", str(swept), "-o", str(page), "--loss", "*bce", "--side", "192"]) == 0
    assert wide - read_image(page).shape[2] == 192 + 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmark", "super-resolution-sample"], "'super-resolution-sample' is not known"),
        (["--seed", "7"], "no run has seed 7"),
        (["--loss", "nothing*"], "no run matches --loss"),
        (["--benchmark", "similarity-sample"], "no pictures that all of these runs have"),
    ],
)
def test_what_is_not_there_is_named(
    swept: Path, tmp_path: Path, capsys: Captured, arguments: list[str], message: str
) -> None:
    assert main(["sheet", "--store", str(swept), "-o", str(tmp_path / "s.png"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "s.png").exists()
