"""Runs come back from every kind of file as they were stored; whatever was changed on the way is refused."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossnets.analysis import (
    Measure,
    Results,
    Setting,
    compare_losses,
    costs_for,
    grid,
    leaderboards,
    load_results,
    loss_facts,
    rank_table,
    shipped_results,
    variance_shares,
)
from lossnets.analysis.contenders import contenders
from lossnets.analysis.evidence import shared_losses
from lossnets.analysis.results import CELL_COLUMNS, SCORE_COLUMNS
from lossnets.analysis.settings import labels_of, task_of
from lossnets.errors import ConfigError, DataError, StoreError, UnknownNameError
from lossnets.runs.export import read_runs, render, render_runs, run_objects, score_rows
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Failure, Outcome, RunRecord, ScoreRecord
from lossnets.runs.store import Store

from .handmade import made, runs, several
from .simulate import simulated

SORTED = "vgg16/relu3_3:unit-sort"
ENVIRONMENT = {
    "python": "3.10", "torch": "2.13.0", "device": "cpu", "threads": 2, "peak_memory_bytes": 12345,
    "commit": None,
}  # fmt: skip
CONFIG = RunConfig(
    "vgg16/relu3_3", "vgg16/relu3_3|sha256:ab", "delineation-folders", "röads, east", "f1", seed=3,
    options={"group": "a,b", "resize": None, "scale": 0.1},
)  # fmt: skip
SCORES = (
    ScoreRecord("quality", 0.1 + 0.2, "fraction", low=0.25, high=1 / 3, n=9, note='he said "no",\nand left'),
    ScoreRecord("quality", None, "fraction", split="east|1", note="no pixel is road"),
    ScoreRecord("gap", -1e-17, "px", higher_is_better=False, n=0),
    ScoreRecord("quality@bicubic", 0.0, "fraction"),
)
DONE = Outcome(
    CONFIG, SCORES, seconds=1.5, group_size=2, environment=ENVIRONMENT, facts={"items": 9, "resize": None}
)
FAILED = Outcome(
    replace(CONFIG, seed=4), failure=Failure("DataError", 'a: b, "c"\nd'), environment=ENVIRONMENT
)
BARE = Outcome(replace(CONFIG, seed=5, options={}), (SCORES[2],))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A store with a run that is done, one that failed, one without an environment, and one that runs."""
    path = tmp_path / "results.sqlite"
    with Store(path) as store:
        for outcome in (DONE, FAILED, BARE):
            claim = store.claim(outcome.config)
            assert claim is not None
            store.finish(claim, outcome)
        assert store.claim(replace(CONFIG, seed=6)) is not None
    return path


def plain(record: RunRecord, *, csv: bool = False) -> RunRecord:
    """A record without what no export has: the time of its claim; in CSV nothing is empty text, not None."""
    environment = {k: v for k, v in record.environment.items() if v is not None or not csv}
    return replace(record, started=0.0, item_names=(), environment=environment, facts=dict(record.facts))


EXPORTS: dict[str, Callable[[Any], str]] = {
    "rows.csv": lambda records: render(score_rows(records), "csv"),
    "rows.json": lambda records: render(score_rows(records), "json"),
    "runs.json": render_runs,
}


@pytest.mark.parametrize("name", EXPORTS)
def test_results_come_back_as_they_were_stored(stored: Path, name: str) -> None:
    results = load_results(stored)
    assert [record.status for record in results.records].count("running") == 1
    path = stored.with_name(name)
    path.write_text(EXPORTS[name](results.records), encoding="utf-8", newline="")
    again = load_results(path)
    is_csv = path.suffix == ".csv"
    assert [plain(r) for r in again.records] == [plain(r, csv=is_csv) for r in results.records]
    assert again.source == str(path)
    again.cells  # noqa: B018  # made without an error
    for frame in ("scores", "cells"):
        left, right = getattr(again, frame), getattr(results, frame)
        assert left.equals(right)


def test_an_open_store_and_its_path_are_the_same_results(stored: Path) -> None:
    with Store(stored) as store:
        assert load_results(store).records == load_results(stored).records


def test_shipped_results_come_back_too() -> None:
    results = shipped_results()
    text = render_runs(results.records)
    assert read_runs(text, "json", "x") == list(results.records)
    assert results.source == "the results that ship with lossnets"
    assert {setting.task for setting in results.settings} == {
        "similarity",
        "super-resolution",
        "delineation",
        "autoencoding",
    }


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_text_and_any_number_survive(text: str, value: float) -> None:
    config = replace(CONFIG, loss=f"x{text}x", data=text)
    record = RunRecord(config, "done", scores=(ScoreRecord("s", value, note=text),))
    for form, made_text in (("csv", EXPORTS["rows.csv"]([record])), ("json", render_runs([record]))):
        assert read_runs(made_text, form, "x") == [record]  # type: ignore[arg-type]


def test_a_file_that_a_spreadsheet_saved_with_a_mark_in_front_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(EXPORTS["rows.csv"](made({"a": [1.0]}).records), encoding="utf-8-sig")
    assert load_results(path).records[0].config.loss == "a"


# --- what is refused -----------------------------------------------------------------------------------


def nested(change: Callable[[dict[str, Any]], object]) -> str:
    rows = run_objects([RunRecord(CONFIG, "done", scores=SCORES)])
    change(rows[0])
    return json.dumps(rows)


TAMPERED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "loss": (lambda row: row.update(loss="vgg16/relu5_3"), "its identity does not fit"),
    "seed": (lambda row: row.update(seed=9), "its identity does not fit"),
    "options": (lambda row: row.update(options={}), "its identity does not fit"),
    "identity": (lambda row: row.update(identity="0" * 64), "its identity does not fit"),
    "no identity": (lambda row: row.pop("identity"), "no key 'identity'"),
    "status": (lambda row: row.update(status="great"), "status 'great'"),
    "NaN": (
        lambda row: row["scores"][0].update(value=float("nan")),
        "value must be a finite number; got nan",
    ),
    "text": (lambda row: row["scores"][0].update(value="much"), "value must be a finite number; got 'much'"),
    "a score without a name": (lambda row: row["scores"][0].pop("score"), "no key 'score'"),
    "a score twice": (lambda row: row["scores"].append(row["scores"][0]), "has a score twice"),
    "scores are text": (lambda row: row.update(scores="quality"), "are no list"),
    "scores are texts": (lambda row: row.update(scores=["quality"]), "no list of objects"),
    "seed is text": (lambda row: row.update(seed="one"), "seed must be a whole number; got 'one'"),
    "no seed": (lambda row: row.update(seed=None), "seed must be a whole number; got None"),
    "half a seed": (lambda row: row.update(seed=0.5), "seed must be a whole number; got 0.5"),
    "items are text": (lambda row: row["scores"][0].update(n="many"), "n must be a whole number; got 'many'"),
    "a value is true": (lambda row: row["scores"][0].update(value=True), "value must be a finite number"),
    "endless seconds": (lambda row: row.update(seconds="1e400"), "seconds must be a finite number"),
    "an interval upside down": (
        lambda row: row["scores"][0].update(low=0.9, high=0.1),
        "begins at 0.9, above its end 0.1",
    ),
    "facts are a list": (lambda row: row.update(facts=[1]), "options and facts must be objects"),
    "direction": (lambda row: row["scores"][0].update(higher_is_better="maybe"), "higher_is_better 'maybe'"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_changed_runs_are_refused(what: str) -> None:
    change, message = TAMPERED[what]
    with pytest.raises(DataError, match=message) as caught:
        read_runs(nested(change), "json", "mine.json")
    assert "mine.json is not an export of results" in str(caught.value)
    assert "lossnets results --store STORE --json FILE" in str(caught.value)


def test_a_run_that_is_there_twice_is_refused() -> None:
    rows = run_objects(made({"a": [1.0]}).records)
    with pytest.raises(DataError, match=r"the run of a on autoencoding-folders \(seed 0\) is there 2 times"):
        read_runs(json.dumps(rows + rows), "json", "x")
    flat = score_rows(made({"a": [1.0]}).records)
    with pytest.raises(DataError, match="has a score twice"):
        read_runs(json.dumps(flat + flat), "json", "x")


def test_rows_of_one_run_that_differ_are_refused() -> None:
    rows = score_rows([RunRecord(CONFIG, "done", scores=SCORES)])
    rows[1]["loss"] = "pixel:mse"
    with pytest.raises(DataError, match="differ in loss: 'vgg16/relu3_3' and 'pixel:mse'"):
        read_runs(json.dumps(rows), "json", "x")


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[", "null", '"x"', "[" * 100_000])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="x is not an export of results"):
        read_runs(text, "json", "x")


@pytest.mark.parametrize("text", ["", "a,b\n", "a,b\n1,2\n", "identity\n1\n", 'a,"b\n'])
def test_other_csv_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="x is not an export of results"):
        read_runs(text, "csv", "x")


def test_seeds_of_any_size_come_back_as_they_were() -> None:
    run = RunRecord(replace(CONFIG, seed=2**63 + 1), "done", scores=SCORES)
    for name, form in (("rows.csv", "csv"), ("runs.json", "json")):
        text = EXPORTS["rows.csv"]([run]) if form == "csv" else render_runs([run])
        assert read_runs(text, form, name)[0].config.seed == 2**63 + 1  # type: ignore[arg-type]


def test_a_csv_row_with_a_field_too_many_or_too_few_is_refused() -> None:
    text = EXPORTS["rows.csv"]([RunRecord(CONFIG, "done", scores=SCORES[2:3])])
    with pytest.raises(DataError, match="more fields than the heading"):
        read_runs(text.rstrip("\n") + ",surplus\n", "csv", "x")
    short = list(csv.reader(io.StringIO(text)))[1][:5]
    with pytest.raises(DataError, match="is not an export"):
        read_runs(text.splitlines()[0] + "\n" + ",".join(short) + "\n", "csv", "x")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_results(tmp_path / "none.json")
    with pytest.raises(StoreError):
        load_results(tmp_path / "none.sqlite")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        load_results(tmp_path / "bytes.csv")
    with pytest.raises(DataError, match="needs a source"):
        load_results()


# --- merging -------------------------------------------------------------------------------------------


def test_the_first_source_counts_and_a_done_run_beats_one_that_is_not() -> None:
    first, second = runs({"a": [1.0]}), runs({"a": [2.0]})
    assert load_results(first, second).records[0].scores[0].value == 1.0
    values: Any = {"a": ["failed"]}
    assert load_results(runs(values), second).records[0].scores[0].value == 2.0
    assert load_results(second, runs(values)).records[0].status == "done"
    assert load_results(first, second).source == "runs, runs"


@pytest.mark.parametrize("wrong", [None, 5, ["a.json", "b.json"], b"a.json", {"a.json": 1}, [None]])
def test_what_is_no_source_is_refused(wrong: Any) -> None:
    with pytest.raises(DataError, match="load_results takes paths, open stores and iterables of RunRecord"):
        load_results(wrong)


def test_a_run_twice_is_no_result() -> None:
    with pytest.raises(DataError, match="holds a run twice"):
        Results((*runs({"a": [1.0]}), *runs({"a": [2.0]})), "mine")


# --- settings and labels -------------------------------------------------------------------------------


def setting(**rest: Any) -> Setting:
    values = {"benchmark": "delineation-folders", "data": "roads", "fingerprint": "abcdef1"}
    return Setting(**(values | {"profile": "small", "variant": "baseline", "options": "{}"} | rest))


@pytest.mark.parametrize(
    ("other", "behind"),
    [
        ({"data": "roadz"}, ("", "")),
        ({"variant": "lin"}, ("", "")),
        ({"benchmark": "delineation-roads"}, (" delineation-folders", " delineation-roads")),
        ({"options": '{"a":1}'}, (" delineation-folders {}", ' delineation-folders {"a":1}')),
        ({"fingerprint": "123"}, (" delineation-folders {} #abcdef", " delineation-folders {} #123")),
    ],
)
def test_labels_tell_settings_apart(other: dict[str, Any], behind: tuple[str, str]) -> None:
    settings = [setting(), setting(**other)]
    labels = labels_of(settings)
    assert [labels[one].removeprefix(one.label) for one in settings] == list(behind)
    assert len(set(labels.values())) == 2


def test_labels_are_unique_even_where_all_that_is_shown_is_the_same() -> None:
    settings = [setting(fingerprint=f"sha256:abcdef{i}") for i in range(3)]
    labels = labels_of(settings)
    assert len(set(labels.values())) == 3
    assert labels[settings[0]].endswith("#abcdef")
    assert labels[settings[2]].endswith("#abcdef (3)")
    assert labels_of([*settings, *settings]) == labels


def test_labels_stand_for_settings_everywhere_and_others_settings_are_refused() -> None:
    results, other = made({"a": [1.0, 2.0], "b": [2.0, 1.0]}), made({"a": [1.0]}, "delineation").settings[0]
    (label,), (setting,) = results.labels.values(), results.settings
    for function in (
        results.table,
        lambda s: results.board(s),
        lambda s: compare_losses(results, s),
        lambda s: grid(results, s),
        lambda s: variance_shares(results, s).frame,
    ):
        assert str(function(label)) == str(function(setting))
        for unknown in (other, "nowhere", 5):
            with pytest.raises(UnknownNameError, match="setting in these results"):
                function(unknown)  # type: ignore[arg-type]


def test_one_name_is_one_loss_not_its_letters() -> None:
    results = made({"pixel:mse": [1.0, 2.0], "pixel:l1": [2.0, 1.0]})
    assert {r.config.loss for r in results.only(losses="pixel:mse").records} == {"pixel:mse"}
    assert costs_for("pixel:mse")["loss"].tolist() == ["pixel:mse"]
    with pytest.raises(UnknownNameError, match="'pixel:l3' is not known"):
        compare_losses(results, results.settings[0], losses="pixel:l3")


@pytest.mark.parametrize("alpha", [None, "0.05", 0, 1, math.nan])
def test_alpha_of_any_other_kind_is_refused(alpha: Any) -> None:
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        rank_table(made({"a": [1.0]}), alpha=alpha)


def test_a_file_that_is_called_random_is_not_random_weights() -> None:
    facts = loss_facts("vgg16/relu3_3:weights=random_crops.pth")
    assert facts.architecture == "vgg16 (random_crops)"
    assert loss_facts("vgg16/relu3_3:weights=random-3").architecture == "vgg16 (random)"


def test_a_setting_is_found_by_its_label() -> None:
    results = several({"delineation": {"a": [1.0]}, "autoencoding": {"a": [1.0]}})
    for one, label in results.labels.items():
        assert results.setting(label) == one
    with pytest.raises(UnknownNameError, match="setting in these results 'delineation' is not known"):
        results.setting("delineation")


def test_tasks_and_training() -> None:
    assert task_of("super-resolution-folders") == "super-resolution"
    assert task_of("similarity") == "similarity"
    assert task_of("similarities") == "similarities"
    assert setting().trains
    assert not setting(benchmark="similarity-triplets").trains
    assert setting(benchmark="similarity-triplets", variant="lin").trains
    assert setting(benchmark="of somebody else").trains


# --- frames --------------------------------------------------------------------------------------------


def test_states_stay_visible_in_the_cells() -> None:
    values: Any = {"a": [1.0, 2.0, "failed"], "b": ["failed"], "c": [None], "d": ["running"], "e": [0.5]}
    results = several({"autoencoding": values, "autoencoding/other": {"a": [1.0], "f": [2.0]}})
    cells = results.cells
    assert tuple(cells.columns) == CELL_COLUMNS
    own = cells[cells["data"] == "autoencoding"].set_index("loss")
    assert own["state"].to_dict() == {
        "a": "ranked", "e": "ranked", "c": "undefined", "d": "running", "b": "failed", "f": "missing",
    }  # fmt: skip
    assert own.loc["a", ["value", "seeds", "failed", "rank"]].tolist() == [1.5, 2, 1, 1]
    assert own.loc["a", "sd"] == pytest.approx(np.std([1.0, 2.0], ddof=1))
    assert np.isnan(own.loc["e", "sd"])  # one seed
    assert own.loc["c", "note"] == "one item only"
    assert own.loc["b", "note"] == "DataError: broken.png"
    assert own.loc[["b", "c", "d", "f"], "value"].isna().all()


def test_every_run_has_a_row_of_scores() -> None:
    values: Any = {"a": [1.0], "b": ["failed"], "c": ["running"]}
    frame = made(values).scores.set_index("loss")
    assert tuple(made(values).scores.columns) == SCORE_COLUMNS
    assert frame["status"].to_dict() == {"a": "done", "b": "failed", "c": "running"}
    assert frame["note"].to_dict() == {"a": "", "b": "DataError: broken.png", "c": "running"}
    assert frame["value"].isna().to_dict() == {"a": False, "b": True, "c": True}


def test_tables_are_losses_by_seeds() -> None:
    values: Any = {"a": [1.0, "failed", 3.0], "b": ["absent", None, 5.0]}
    results = made(values)
    frame = results.table(results.settings[0])
    np.testing.assert_array_equal(frame, [[1.0, np.nan, 3.0], [np.nan, np.nan, 5.0]])
    assert frame.index.tolist() == ["a", "b"]
    assert frame.columns.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match=r"has no score psnr; see Results\.scores"):
        results.table(results.settings[0], "psnr")
    with pytest.raises(DataError, match="has no score at all"):
        made({"a": ["failed"]}).table(results.settings[0])


def test_one_name_with_two_signatures_is_two_losses() -> None:
    results = Results((*runs({"a": [1.0], "b": [3.0]}), *runs({"a": [2.0]}, signature="a|2")))
    (where,) = results.settings
    assert results.table(where).index.tolist() == ["a |a|1", "b", "a |a|2"]
    assert results.names(where)[("a|2", "a")] == "a |a|2"
    assert results.cells[["loss", "signature", "value"]].values.tolist() == [
        ["b", "b|1", 3.0],
        ["a", "a|2", 2.0],
        ["a", "a|1", 1.0],
    ]


def test_scores_and_measures_by_name() -> None:
    record = RunRecord(CONFIG, "done", scores=SCORES)
    results = Results((record,))
    (where,) = results.settings
    assert results.headlines == {where: Measure("quality", "fraction", True, "overall")}
    assert results.measure(where) == results.headlines[where]
    assert results.measure(where, "gap") == Measure("gap", "px", False, "overall")
    assert results.measure(where, split="east|1") == Measure("quality", "fraction", True, "east|1")
    assert results.measure(where, "none") is None
    assert set(results.scores["score"]) == {"quality", "gap"}  # no reference
    assert results.cells["state"].tolist() == ["ranked", "reference"]
    board = results.board(where, "gap")
    assert board is not None
    assert board.rows[0].value == -1e-17
    assert results.board(where, "none") is None
    assert results.scored(where, "gap")["vgg16/relu3_3"][3] == SCORES[2]


def test_only_some_runs() -> None:
    results = several({"delineation": {"a": [1.0], "b": [2.0]}, "autoencoding": {"a": [1.0]}})
    assert len(results.only(task="delineation").records) == 2
    assert len(results.only(losses=["a"]).records) == 2
    assert len(results.only(task="delineation", losses=["b"], profile="small").records) == 1
    for wrong in ({"task": "delineate"}, {"profile": "paper"}, {"losses": ["c"]}):
        with pytest.raises(UnknownNameError, match="in runs"):
            results.only(**wrong)  # type: ignore[arg-type]


def test_the_main_design_is_that_of_most_losses() -> None:
    names = ("vgg11/features.1", "vgg11/features.4", "vgg11/features.9:unit-spatial-sum", "pixel:mse")
    results = made({name: [1.0] for name in names})
    assert results.main_design(results.settings[0]) == ""
    assert results.cells.set_index("loss")["main"].to_dict() == {
        "vgg11/features.1": True,
        "vgg11/features.4": True,
        "vgg11/features.9:unit-spatial-sum": False,
        "pixel:mse": True,
    }


# --- facts of losses -----------------------------------------------------------------------------------


def test_facts_of_a_loss_of_the_study() -> None:
    facts = loss_facts("vgg16_bn/features.12:unit-spatial-sum")
    assert (facts.architecture, facts.tap, facts.position, facts.points) == ("vgg16_bn", "features.12", 2, 4)
    assert (facts.contender, facts.design, facts.batch_norm) == (
        "vgg16_bn/features.12",
        "unit-spatial-sum",
        True,
    )
    assert facts.top1 == pytest.approx(73.36)
    assert facts.stride == 2
    assert facts.depth is not None
    assert 0 < facts.depth < 1
    assert loss_facts("vgg16/relu3_3").position == loss_facts("vgg16/features.15").position == 3


def test_facts_of_what_has_no_network_or_is_not_known() -> None:
    pixel = loss_facts("pixel:mse")
    assert (pixel.family, pixel.architecture, pixel.contender) == ("pixel", None, "pixel:mse")
    unknown = loss_facts("mynet/stage4:unit-spatial-sum:weights=mine.pt")
    assert (unknown.architecture, unknown.tap, unknown.design) == (
        "mynet (mine)",
        "stage4",
        "unit-spatial-sum",
    )
    assert unknown.position is None
    several_taps = loss_facts("vgg16/relu1_2,relu3_3")
    assert (several_taps.taps, several_taps.position) == (2, None)


@given(st.text(max_size=25))
def test_any_text_has_facts(text: str) -> None:
    facts = loss_facts(text)
    assert facts.loss == text
    assert isinstance(facts.contender, str)


# --- simulated results ---------------------------------------------------------------------------------


def test_simulated_results_are_what_was_asked_for() -> None:
    results = simulated(np.random.default_rng(0), architectures=2, seeds=2, missing=0.2, failed=0.2)
    assert {s.task for s in results.settings} == {
        "similarity",
        "super-resolution",
        "delineation",
        "autoencoding",
    }
    states = {record.status for record in results.records}
    assert states == {"done", "failed"}
    assert len(results.records) < 8 * (1 + 2 + 2 + 2)
    again = simulated(np.random.default_rng(0), architectures=2, seeds=2, missing=0.2, failed=0.2)
    assert again.records == results.records
    planted = simulated(
        np.random.default_rng(0),
        architectures=2,
        effects=[[1, 2, 3, 4], [5, 6, 7, 8]],
        higher_is_better=False,
    )
    assert planted.cells["rank"].tolist()[:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert planted.cells["position"].tolist()[:8] == [4, 3, 2, 1] * 2


def test_a_setting_in_which_everything_failed_is_not_lost() -> None:
    values: Any = {"a": ["failed", "failed"], "b": ["running"]}
    results = several({"autoencoding": {"a": [1.0], "c": [2.0]}, "autoencoding/other": values})
    cells = results.cells
    own = cells[cells["data"] == "other"].set_index("loss")
    assert own["state"].to_dict() == {"a": "failed", "b": "running", "c": "missing"}
    assert own["failed"].to_dict() == {"a": 2, "b": 0, "c": 0}
    assert own.loc["a", "note"] == "DataError: broken.png"
    assert own["value"].isna().all()
    assert own["rank"].isna().all()
    assert own["higher_is_better"].isna().all()
    assert set(own["score"]) == {""}
    assert set(cells[cells["data"] == "autoencoding"]["loss"]) == {"a", "b", "c"}


def of_version(
    version: int, values: list[float], where: str = "autoencoding", loss: str = SORTED
) -> list[RunRecord]:
    return runs({loss: values}, where, signature=f"{loss}|weights:x|numerics:{version}")


def test_two_versions_of_one_name_are_two_losses() -> None:
    """A store with results of the old and the new order: kept apart in every frame, board and export."""
    plain = runs({"pixel:mse": [0.5, 0.5]})
    both = Results((*of_version(1, [0.1, 0.2]), *of_version(2, [0.7, 0.9]), *plain))
    old = f"{SORTED} (numerics 1)"
    (setting,) = both.settings
    assert dict(zip(both.cells["loss"], both.cells["value"], strict=True)) == pytest.approx(
        {SORTED: 0.8, "pixel:mse": 0.5, old: 0.15}
    )
    assert list(both.table(setting).index) == [old, SORTED, "pixel:mse"]
    assert set(both.scores["loss"]) == {old, SORTED, "pixel:mse"}
    assert {row.loss: row.value for row in leaderboards(both.records)[0].rows}[old] == pytest.approx(0.15)
    assert grid(both, setting).loc["vgg16"].max() == pytest.approx(0.8)  # not the mean of both
    main = both.cells.set_index("loss")["main"]
    assert main[[SORTED, old]].tolist() == [True, False]
    assert both.only(losses=[SORTED]).records == tuple(of_version(2, [0.7, 0.9]))
    rows = score_rows(both.records)
    assert [row["value"] for row in rows if row["loss"] == SORTED] == [0.7, 0.9]


def test_versions_are_not_averaged_over_settings() -> None:
    places = "autoencoding", "super-resolution"
    records = [r for v, w in zip((1, 2), places, strict=True) for r in of_version(v, [0.5, 0.6], w)]
    records += [
        r for w in places for r in runs({"vgg16/relu1_2": [0.1, 0.2], "vgg16/relu2_2": [0.3, 0.4]}, w)
    ]
    mixed = Results(tuple(records))
    found = contenders(mixed, common=True)
    assert "vgg16/relu3_3" not in found.values.index
    assert {"vgg16 (numerics 1)/relu3_3", "vgg16/relu3_3"} <= set(found.left_out)


def test_old_versions_are_never_recommended() -> None:
    old = Results(tuple(of_version(1, [0.9, 0.9]) + runs({"pixel:mse": [0.5, 0.5], "pixel:l1": [0.1, 0.1]})))
    losses, left_out = shared_losses(old, list(old.settings))
    assert losses == ["pixel:mse", "pixel:l1"]
    assert [item.name for item in left_out] == [f"{SORTED} (numerics 1)"]
    assert "run it again" in left_out[0].why


@pytest.mark.parametrize("form", ["csv", "json"])
def test_old_versions_survive_an_export(form: str) -> None:
    records = of_version(1, [0.1]) + of_version(2, [0.7])
    again = read_runs(render(score_rows(records), form), form, "file")
    assert [r.identity for r in again] == [r.identity for r in records]
    assert [r.loss for r in again] == [f"{SORTED} (numerics 1)", SORTED]
    assert read_runs(render_runs(records), "json", "file")[0].config == records[0].config


def test_facts_of_an_old_version_are_those_of_its_name() -> None:
    new, old = loss_facts(SORTED), loss_facts(f"{SORTED} (numerics 1)")
    assert (old.position, old.depth, old.tap) == (new.position, new.depth, new.tap)
    assert old.contender == "vgg16 (numerics 1)/relu3_3"
    assert old.design != new.design
