"""What a reader takes home: the leaderboard and all scores as CSV, the runs as JSON, tables for LaTeX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lossnets.analysis import Results, Setting
from lossnets.home import text_bytes
from lossnets.report.assets import pack
from lossnets.report.parts import interval, number
from lossnets.runs.export import render, render_runs, score_rows

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "\n": " ", "\r": " ", "–": "--", "±": r"$\pm$",
}  # fmt: skip


@dataclass(frozen=True)
class Download:
    """A file in the page.

    Attributes:
        name: of the file.
        kind: media type.
        about: what it holds, for people.
        packed: its text, see `assets.pack`.
        size: bytes of the file.
    """

    name: str
    kind: str
    about: str
    packed: str
    size: int


def downloads(results: Results) -> list[Download]:
    """The files of a page; ``runs.json`` comes last and is what the run details are read from."""
    texts = (
        ("leaderboard.csv", "text/csv", "The leaderboard: one row for each setting and loss.",
         cells_csv(results)),
        ("scores.csv", "text/csv", "Every score of every run, with options, facts, versions and hashes.",
         render(score_rows(results.records), "csv")),
        ("tables.tex", "application/x-tex", "One table for each setting; needs the package booktabs.",
         latex_tables(results)),
        ("runs.json", "application/json", "Every run, whole; lossnets reads it back (load_results).",
         render_runs(results.records)),
    )  # fmt: skip
    return [
        Download(name, kind, about, pack(text), len(text_bytes(text))) for name, kind, about, text in texts
    ]


def cells_csv(results: Results) -> str:
    """`Results.cells` as CSV text; missing values are empty."""
    text: str = results.cells.to_csv(index=False, lineterminator="\n")
    return text


def latex(text: str) -> str:
    r"""Text that LaTeX prints as it stands.

    >>> latex("a_b & 50 % \\x")
    'a\\_b \\& 50 \\% \\textbackslash{}x'
    """
    return "".join(_ESCAPES.get(character, character) for character in text)


def latex_tables(results: Results) -> str:
    """One ``table`` with ``booktabs`` rules for each setting that has a score, best loss first."""
    head = "% needs \\usepackage{booktabs}; made by lossnets\n"
    return head + "\n".join(
        _latex_table(results, setting) for setting in results.settings if setting in results.headlines
    )


def _latex_table(results: Results, setting: Setting) -> str:
    label, measure = results.labels[setting], results.headlines[setting]
    cells = results.cells
    rows = [_latex_row(cell) for cell in cells[cells["setting"] == label].to_dict("records")]
    unit = f" in {measure.unit}" if measure.unit else ""
    direction = "higher" if measure.higher_is_better else "lower"
    caption = f"{label}: {measure.score}{unit}, {direction} is better; mean over seeds, 95 % interval."
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{latex(caption)}}}",
        r"\begin{tabular}{rlrrr}", r"\toprule",
        rf"Rank & Loss & {latex(measure.score)} & 95\,\% interval & Seeds \\", r"\midrule",
        *rows, r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ])  # fmt: skip


def _latex_row(cell: dict[str, Any]) -> str:
    place = str(int(cell["rank"])) if cell["state"] == "ranked" else latex(cell["state"])
    texts = number(cell["value"]), interval(cell["low"], cell["high"]), str(cell["seeds"])
    return rf"{place} & \texttt{{{latex(cell['loss'])}}} & " + " & ".join(map(latex, texts)) + r" \\"
