"""The table of commands; each is imported when it is called, so that ``--help`` answers at once."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from lossnets.cli.console import note
from lossnets.errors import unknown_name
from lossnets.version import __version__


@dataclass(frozen=True)
class Entry:
    """Where a command is, and the line that ``lossnets --help`` shows.

    Attributes:
        module: of the package ``lossnets.cli``.
        attribute: a function with Typer's annotations, or a ``typer.Typer`` with subcommands.
        help: one line.
    """

    module: str
    attribute: str
    help: str


COMMANDS = {
    "networks": Entry("networks", "networks", "List loss networks, with size and accuracy."),
    "taps": Entry("networks", "taps", "List the extraction points of a network."),
    "distance": Entry("distance", "distance", "Distance between two images, or two folders of images."),
    "map": Entry("maps", "map_command", "Draw where two images differ, as a loss sees it."),
    "compare-images": Entry(
        "compare_images", "compare_images_command", "Show why losses disagree on several images."
    ),
    "weights": Entry("weights", "app", "List, fetch and verify weights."),
    "data": Entry("data", "app", "List, fetch and verify data sets."),
    "sweep": Entry("sweep", "sweep", "Run a plan of losses and benchmarks, resumable."),
    "pgn": Entry("pgn", "app", "Train, judge and explain perceptual gradient networks."),
    "sheet": Entry("sheet", "sheet_command", "Put pictures of several runs side by side."),
    "results": Entry("results", "results", "Show, filter and export stored results."),
    "profile": Entry("profile", "profile", "Measure time and memory of losses on this machine."),
    "recommend": Entry("recommend", "recommend_command", "Say which loss to take for a task, or refuse."),
    "report": Entry("report", "report", "Write results as one HTML page that needs no network."),
}


def load(name: str) -> Any:
    """Import a command and make it callable.

    Raises:
        UnknownNameError: there is no such command.
    """
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS, see="lossnets --help")
    entry = COMMANDS[name]
    target = getattr(importlib.import_module(f"lossnets.cli.{entry.module}"), entry.attribute)
    return typer.main.get_command(target if isinstance(target, typer.Typer) else _single(name, target))


def _single(name: str, function: Callable[..., Any]) -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(name)(function)
    return app


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and help, and imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """A stand-in with the help line; `resolve_command` gives the real one."""
        entry = COMMANDS.get(cmd_name)
        return entry and TyperCommand(cmd_name, help=entry.help, rich_markup_mode=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ARG002
        """The command that the user named, imported.

        Raises:
            UnknownNameError: there is none of that name; the message has the nearest ones.
        """
        return args[0], load(args[0]), args[1:]

    def invoke(self, ctx: Any) -> Any:
        """Run; Ctrl-C ends with status 130 whatever the version of Typer."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note("interrupted")
            raise typer.Exit(130) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lossnets {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def lossnets(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Deep perceptual loss: which network, at which layer, computed right, at what cost.

    Results go to stdout, everything else to stderr. Settings: LOSSNETS_HOME (where weights are
    kept), LOSSNETS_DATA (folders of data sets), LOSSNETS_OFFLINE=1 (never download),
    LOSSNETS_DEBUG=1 (full tracebacks).

    \b
    Example:
      lossnets distance a.png b.png --loss efficientnet_lite0/blocks.3 --loss pixel:mse
    """  # noqa: D301  # the escape keeps the line break of the example


def command() -> Callable[..., Any]:
    """The whole command line as one callable: ``command()(args=[...], prog_name="lossnets")``."""
    made: Callable[..., Any] = typer.main.get_command(app)
    return made


__all__: Sequence[str] = ("COMMANDS", "Entry", "LazyGroup", "app", "command", "load")
