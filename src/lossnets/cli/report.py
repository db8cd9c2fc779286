"""``lossnets report``: one self-contained HTML page of stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lossnets.analysis import Results, load_costs, load_results
from lossnets.cli.console import note
from lossnets.cli.shipped import SHIPPED, results_of
from lossnets.errors import ConfigError
from lossnets.home import atomic_write, is_folder, text_bytes
from lossnets.report import TITLE, build_report
from lossnets.report.pictures import folder_beside


def report(
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file.")],
    store: Annotated[
        list[str] | None,
        typer.Option(
            help="Results: a store, an exported file, or 'shipped'; repeat to merge. "
            "Default: results.sqlite if here."
        ),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Costs that 'lossnets profile' wrote. Default: the known ones.")
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = TITLE,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show the pictures that runs left.")
    ] = True,
) -> None:
    """Write results as one HTML page: tables, figures, verdicts, pictures, downloads; it needs no network.

    \b
    Examples:
      lossnets report -o report.html
      lossnets report -o report.html --store mine.sqlite --store colleague.json --title "Both of us"
    """  # noqa: D301  # the escape keeps the line break of the example
    costs = None if profile is None else load_costs(profile)
    results, whose = _results(store or [])
    names = store or [results.source]
    _check(output, names)
    note(whose)
    places = [folder for name in names if (folder := folder_beside(name)) is not None]
    page = build_report(
        results, costs=costs, pictures=places if pictures else False, title=title, origin=whose
    )
    content = text_bytes(page)
    with atomic_write(output, error=ConfigError) as file:
        file.write(content)
    note(f"{len(results.records):,} runs in {output}, {len(content) / 1e6:.1f} MB; open it in a browser")


def _check(output: Path, stores: list[str]) -> None:
    """Refuse early what would fail after a while, or destroy results."""
    if is_folder(output):
        raise ConfigError(f"--output must be a file such as report.html; {str(output)!r} is a folder.")
    if not is_folder(output.absolute().parent):
        raise ConfigError(
            f"{output} cannot be written: there is no folder {str(output.parent)!r}; make it first."
        )
    if any(output.resolve() == Path(name).resolve() for name in stores):
        raise ConfigError(
            f"--output {str(output)!r} is one of the results; choose another, e.g. report.html."
        )


def _results(stores: list[str]) -> tuple[Results, str]:
    if len(stores) < 2:
        return results_of(stores[0] if stores else None)
    if SHIPPED in stores:
        raise ConfigError("--store shipped cannot be merged with others; give it alone, or leave it out.")
    results = load_results(*stores)
    return results, f"Results: {results.source}"
