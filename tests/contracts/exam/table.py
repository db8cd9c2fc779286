"""The table of docs/exam.md: one row a situation, one column a loss."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "exam.md"
_START, _END = "<!-- exam -->", "<!-- /exam -->"
_SIGNS = {"right": "✓", "refused": "refused", "–": "–"}
_WORDS = {sign: word for word, sign in _SIGNS.items()}


def read_rows() -> dict[str, dict[str, str]]:
    """{loss: {situation: outcome}} as the page has it."""
    if not PAGE.is_file() or _START not in PAGE.read_text("utf-8"):
        return {}
    text = PAGE.read_text("utf-8").split(_START)[1].split(_END)[0]
    names = re.findall(r"^\d+\. `(.*)`$", text, re.MULTILINE)
    rows: dict[str, dict[str, str]] = {name: {} for name in names}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == len(names) + 1 and cells[1] in _WORDS:
            for name, cell in zip(names, cells[1:], strict=True):
                rows[name][cells[0]] = _WORDS[cell]
    return rows


def write_page(found: dict[str, dict[str, str]], situations: list[str], losses: list[str]) -> None:
    """Put outcomes into the page's table, beside those that it has."""
    rows = read_rows()
    for name, row in found.items():
        rows[name] = {**rows.get(name, {}), **row}
    known = [name for name in losses if name in rows]
    listed = [f"{k}. `{name}`" for k, name in enumerate(known, 1)]
    head = "| situation | " + " | ".join(str(k) for k in range(1, len(known) + 1)) + " |"
    lines = [
        f"| {name} | " + " | ".join(_SIGNS.get(rows[loss].get(name, "–"), "–") for loss in known) + " |"
        for name in situations
    ]
    count = sum(len(rows[name]) for name in known)
    refused = sum(list(rows[name].values()).count("refused") for name in known)
    none = sum(list(rows[name].values()).count("–") for name in known)
    summary = f"{count} pairs: {count - refused - none} right, {refused} refused, {none} not applicable."
    body = "\n".join([summary, "", *listed, "", head, "|---|" + "---|" * len(known), *lines])
    page = PAGE.read_text("utf-8")
    before, rest = page.split(_START)
    PAGE.write_text(f"{before}{_START}\n\n{body}\n\n{_END}{rest.split(_END)[1]}", "utf-8")
