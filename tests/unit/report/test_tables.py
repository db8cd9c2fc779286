"""The leaderboard's data, files to take home, and texts on the page."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from lossnets.analysis import Results, load_results
from lossnets.errors import DataError
from lossnets.report.assets import pack, policy, unpack
from lossnets.report.downloads import cells_csv, downloads, latex, latex_tables
from lossnets.report.drawings import table, text
from lossnets.report.leaderboard import ROW, leaderboard, script_json
from lossnets.report.parts import Note, attempt, slug
from lossnets.report.provenance import provenance
from lossnets.report.summary import summary

from .hostile import TEXTS, broken, hostile, run


def three() -> Results:
    """Two losses with values (one of them with a failed seed), one that failed, one without a value."""
    return Results((
        run("vgg16/relu1_2", 0.5), run("vgg16/relu1_2", 0.7, seed=1), run("pixel:mse", 0.4),
        broken("pixel:mse", "disk full", seed=1), broken("vgg16/relu2_2", "no weights"),
        run("pixel:bce", None, note="no edges"),
    ))  # fmt: skip


def test_rows_are_the_cells_with_nothing_for_what_is_missing() -> None:
    made = leaderboard(three())
    rows = {row[ROW.index("loss")]: dict(zip(ROW, row, strict=True)) for row in made["rows"]}
    first = rows["vgg16/relu1_2"]
    assert (first["rank"], first["network"], first["seeds"], first["state"]) == (1, "vgg16", 2, "ranked")
    assert first["value"] == pytest.approx(0.6)
    assert first["sd"] == pytest.approx(0.02**0.5)
    assert first["runs"] == [0, 1]
    assert rows["pixel:mse"]["failed"] == 1
    assert rows["pixel:mse"]["sd"] is None
    failed = rows["vgg16/relu2_2"]
    assert (failed["state"], failed["value"], failed["rank"]) == ("failed", None, None)
    assert "no weights" in failed["note"]
    assert rows["pixel:bce"]["state"] == "undefined"
    assert made["settings"][0]["task"] == "autoencoding"


def test_embedded_json_cannot_end_its_element() -> None:
    made = script_json(leaderboard(hostile()))
    assert "<" not in made
    assert {row[ROW.index("loss")] for row in json.loads(made)["rows"]} >= set(TEXTS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json({"value": float("nan")})


@pytest.mark.parametrize("text", [*TEXTS, "", "x" * 100_000])
def test_packed_text_holds_no_markup(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9+/=]*", pack(text))
    assert unpack(pack(text)) == text
    assert pack(text) == pack(text)


def test_the_policy_changes_with_the_script() -> None:
    assert policy("a") != policy("b")
    assert "'unsafe-inline'" not in policy("a").split("script-src")[1].split(";")[0]


def test_csv_says_what_the_cells_say() -> None:
    results = hostile()
    rows = list(csv.DictReader(io.StringIO(cells_csv(results))))
    assert [row["loss"] for row in rows] == results.cells["loss"].tolist()
    values = [float(row["value"] or "nan") for row in rows]
    assert values == pytest.approx(results.cells["value"].astype(float).tolist(), rel=1e-15, nan_ok=True)
    assert {row["state"] for row in rows if row["value"] == ""} == {"missing", "failed"}


def test_runs_are_read_back_as_they_were(tmp_path: Path) -> None:
    results = hostile()
    files = {file.name: file for file in downloads(results)}
    assert list(files) == ["leaderboard.csv", "scores.csv", "tables.tex", "runs.json"]
    path = tmp_path / "runs.json"
    path.write_bytes(unpack(files["runs.json"].packed).encode())
    assert path.stat().st_size == files["runs.json"].size
    again = load_results(path)
    assert [r.config for r in again.records] == [r.config for r in results.records]
    assert [r.scores for r in again.records] == [r.scores for r in results.records]


@pytest.mark.parametrize("name", TEXTS)
def test_no_name_means_anything_to_latex(name: str) -> None:
    shown = latex(name)
    for word in (r"\textbackslash{}", r"\textasciicircum{}", r"\textasciitilde{}", r"\textless{}",
                 r"\textgreater{}", r"\textbar{}", r"\{", r"\}", r"\$", r"\&",
                 r"\#", r"\%", r"\_"):  # fmt: skip
        shown = shown.replace(word, "")
    assert not set(shown) & set("\\{}$&#%_^~\n")


def test_latex_tables_have_their_columns() -> None:
    made = latex_tables(three())
    assert made.count(r"\toprule") == made.count(r"\bottomrule") == made.count(r"\begin{table}") == 1
    body = made.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 4
    assert all(len(re.findall(r"(?<!\\)&", line)) == 4 and line.endswith(r"\\") for line in body)
    assert body[0] == r"1 & \texttt{vgg16/relu1\_2} & 0.6 & 0.49 to 0.71 & 2 \\"
    assert "failed & " in made


def test_a_part_that_fails_leaves_the_rest() -> None:
    def refused():  # type: ignore[no-untyped-def]
        yield Note("before")
        raise DataError("too few networks")

    def wrong():  # type: ignore[no-untyped-def]
        yield Note("before")
        raise ZeroDivisionError("a bug")

    assert [part.text for part in attempt(refused, "The ranks")] == [
        "before", "The ranks cannot be shown for these results: too few networks",
    ]  # fmt: skip
    assert "ZeroDivisionError: a bug" in attempt(wrong, "The ranks")[1].text
    assert "nothing to show" in attempt(lambda: iter(()), "The ranks")[0].text


def test_texts_of_values() -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": ["x", None], "b": [0.123456, float("nan")], "c": [True, False]})
    made = table("t", frame, {"a": "A", "b": "B", "c": "C"}, numeric=["b"])
    assert made.rows == [["x", "0.123", "yes"], ["–", "–", "no"]]
    assert made.columns == [("A", False), ("B", True), ("C", False)]
    assert text({"n": 3, "w": [1.0, 2.5]}) == "n: 3, w: 1, 2.5"
    assert text(pd.NA) == "–"
    assert slug("../../<b>") == "b"
    assert slug("猫") == "part"


def test_the_summary_counts_and_warns() -> None:
    made = summary(three())
    tiles = {label: value for value, label in made.tiles}
    assert tiles == {
        "runs": "6", "failed": "2", "losses of 1 network": "4", "settings of 1 task": "1",
        "seeds for each trained loss": "1 to 2",
    }  # fmt: skip
    notes = " ".join(note.text for note in made.notes)
    assert "1 of 2 trained results rest on one seed" in notes
    assert "1 failed in every run" in notes
    assert "1 with a score that is not defined" in notes
    assert "lost some of the seeds to failures" in notes


def test_the_summary_names_the_leading_loss() -> None:
    values = {"vgg16/relu1_2": 0.9, "vgg16/relu2_2": 0.5, "pixel:mse": 0.2}
    records = [
        run(loss, value + seed / 1000, seed=seed, data=data)
        for loss, value in values.items() for seed in range(3) for data in ("one", "two")
    ]  # fmt: skip
    (answer,) = summary(Results(tuple(records))).answers
    assert (answer.advice, answer.loss, answer.word) == ("Take", "vgg16/relu1_2", "high")
    assert answer.qualities[0] == "accuracy 0.901 (0.89 to 0.912) on one, 3 seeds"
    assert answer.others == "No other loss is as good."
    alike = [run(loss, 0.5 + (seed - 1) / 10, seed=seed) for loss in values for seed in range(3)]
    (refused,) = summary(Results(tuple(alike))).answers
    assert (refused.advice, refused.loss, refused.word) == ("No loss stands out", "", "refused")
    assert "do not tell the losses apart" in refused.why
    assert refused.qualities[0].startswith("Best value on d: ")


def test_provenance_has_hashes_versions_and_failures() -> None:
    parts = list(provenance(three()))
    facts = dict(next(part for part in parts if hasattr(part, "folded") and hasattr(part, "title")).rows)  # type: ignore[union-attr]
    assert facts["Fingerprint of the data"] == "sha256:d"
    assert facts["Runs"] == "4 done, 2 failed"
    assert "accuracy in fraction, higher is better" in facts["Ranked by"]
    rows = [row for part in parts for row in getattr(part, "rows", ())]
    assert any("disk full" in row for row in rows)
