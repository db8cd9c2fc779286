"""What a plan will take: counted by hand, measured on this machine, and never from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lossnets.home import home
from lossnets.runs import forecast as module
from lossnets.runs.forecast import Clock, forecast
from lossnets.runs.plan import parse_plan, read_plan

PAPER = Path(__file__).parents[3] / "examples" / "plans" / "paper.yaml"
PLAN = """\
name: a
losses: [pixel:mse, squeezenet1_1/features.1]
benchmarks:
  - benchmark: autoencoding-sample
  - benchmark: similarity-sample
  - {benchmark: similarity, data: {kind: bapps-jnd}, losses: pixel:mse}
seeds: [0, 1]
profile: smoke
"""


class Fixed(Clock):
    """Every loss takes 2 s a megapixel, its encoding 1 s, and every model 0.5 s an image."""

    def step(self, name: str, folder: str) -> float:
        return 2.0

    def encode(self, name: str, folder: str) -> float:
        return 1.0

    def model(self, key: str, bare_step: object, name: str) -> float:
        return 0.5


def test_time_is_counted_from_throughput(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Clock", Fixed)
    found = forecast(parse_plan(PLAN))
    assert [entry.runs for entry in found.entries] == [4, 4, 2]
    autoencoding = found.entries[0]
    load = autoencoding.entry.benchmark.load().workload("smoke")
    images = load.steps * load.step_images
    assert autoencoding.seconds == pytest.approx(4 * images * (0.5 + 3.0 * load.side**2 / 1e6))
    assert autoencoding.disk_bytes == 4 * (load.model_bytes + 2_000_000)
    jnd = found.entries[2]
    assert jnd.seconds == pytest.approx(2 * 48 * 0.064**2 * 2)  # 2 splits x 24 published pairs at smoke
    assert found.runs == 10
    assert found.seconds == pytest.approx(sum(entry.seconds for entry in found.entries))


def test_what_is_missing_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Clock", Fixed)
    data, weights = forecast(parse_plan(PLAN)).missing
    assert (data.kind, weights.kind) == ("data", "weights")
    assert (data.name, data.how) == ("bapps", "lossnets data fetch bapps")
    assert data.megabytes == pytest.approx(1300, rel=0.2)
    assert (weights.name, weights.how) == ("squeezenet1_1", "lossnets weights fetch squeezenet1_1")
    assert weights.megabytes is not None


def test_measured_figures_are_kept_and_used_again() -> None:
    plan = parse_plan(PLAN)
    told: list[str] = []
    first = forecast(plan, tell=told.append)
    assert any("squeezenet1_1/features.1" in line for line in told)
    assert first.seconds is not None
    assert first.seconds > 0
    kept = json.loads((home() / "throughput.json").read_text())
    assert len(kept) == 1
    again: list[str] = []
    assert forecast(plan, tell=again.append).seconds == first.seconds
    assert again == []


def test_a_damaged_file_of_figures_is_measured_again() -> None:
    home().mkdir(parents=True)
    (home() / "throughput.json").write_text("{")
    assert Clock("cpu", print).step("pixel:mse", ".") > 0


def test_the_study_is_counted_without_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Clock", Fixed)
    found = forecast(read_plan(PAPER))
    assert [entry.runs for entry in found.entries] == [72, 72, *[57 * 3] * 5]
    assert found.seconds is not None
    assert found.seconds > 1e6
    missing = {(item.kind, item.name) for item in found.missing}
    assert sum(kind == "weights" for kind, _ in missing) == 14
    assert {name for kind, name in missing if kind == "data"} == {
        "bapps", "coco2014", "set5", "set14", "bsds300", "massachusetts-roads", "stl10", "svhn"
    }  # fmt: skip


def test_data_whose_place_is_given_are_not_to_be_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "Clock", Fixed)
    text = (
        "name: a\nlosses: pixel:mse\nprofile: paper\nbenchmarks:\n"
        "  - {benchmark: super-resolution, data: {kind: study, set5: five}}\n"
        "  - {benchmark: autoencoding, data: {kind: stl10, root: stl}}\n"
    )
    found = forecast(parse_plan(text, folder=tmp_path)).missing
    assert [item.name for item in found[:3]] == ["coco2014", "set14", "bsds300"]
    assert str(tmp_path / "stl") in found[3].how
