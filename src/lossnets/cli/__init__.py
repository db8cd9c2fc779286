"""The ``lossnets`` command: parses, calls, prints; no logic. Light: nothing heavy is imported here."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence

from lossnets.errors import LossnetsError, require

EXIT_ERROR = 2
EXIT_REFUSED = 3
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0: done; 1: done, with failures; 2: an error that is the user's to mend, in one message on
    stderr (with LOSSNETS_DEBUG=1 the whole traceback); 3: ``recommend`` refused, with the reason on
    stdout; 130: interrupted.
    """
    with _tolerant():
        return _run(arguments)


@contextlib.contextmanager
def _tolerant() -> Iterator[None]:
    """Let stdout show names of files that its encoding does not have, as `home.printable` writes them."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        stream.reconfigure(errors=before)


def _run(arguments: Sequence[str] | None) -> int:
    warnings = _Warnings(logging.WARNING)
    logging.getLogger("lossnets").addHandler(warnings)
    try:
        require("typer", "bench", "the lossnets command")
        require("rich", "bench", "the lossnets command")
        from lossnets.cli.app import command

        command()(args=None if arguments is None else list(arguments), prog_name="lossnets")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except LossnetsError as error:
        if os.environ.get("LOSSNETS_DEBUG") == "1":
            raise
        return _tell(f"error: {error}", EXIT_ERROR)
    except KeyboardInterrupt:
        return _tell("interrupted", EXIT_INTERRUPTED)
    finally:
        logging.getLogger("lossnets").removeHandler(warnings)
    return 0


class _Warnings(logging.Handler):
    """The library's warnings, one line each on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{record.levelname.lower()}: {record.getMessage()}\n")


def _tell(message: str, status: int) -> int:
    red = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    sys.stderr.write(f"\033[31m{message}\033[0m\n" if red else f"{message}\n")
    return status
