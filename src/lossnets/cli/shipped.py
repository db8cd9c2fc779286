"""Results for commands that do not need the user's own: a store, a file, or what ships with lossnets."""

from __future__ import annotations

from lossnets.analysis import Results, load_results, shipped_results
from lossnets.home import is_file
from lossnets.runs.plan import DEFAULT_STORE

SHIPPED = "shipped"


def results_of(store: str | None) -> tuple[Results, str]:
    """The results that are asked for, and one line that says whose they are.

    Args:
        store: path or URL of a store, exported ``.json`` or ``.csv`` file, or ``shipped``; None: the store
            in this folder, if there is one, else the shipped results.
    """
    if store is None and is_file(DEFAULT_STORE):
        store = DEFAULT_STORE
    if store is not None and store != SHIPPED:
        results = load_results(store)
        return results, f"Results: {results.source}"
    results = shipped_results()
    why = "" if store == SHIPPED else f" (there is no {DEFAULT_STORE} here, and no --store was given)"
    return results, f"Results: {results.source}{why}"
