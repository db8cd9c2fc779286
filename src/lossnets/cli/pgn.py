"""``lossnets pgn train | evaluate | explain``: perceptual gradient networks; each is imported when called."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperCommand

from lossnets.cli.app import Entry, LazyGroup
from lossnets.errors import unknown_name

COMMANDS = {
    "train": Entry("pgn_train", "train", "Train a gradient network for a loss; resumable."),
    "evaluate": Entry("pgn_evaluate", "evaluate", "Say whether a gradient network is worth using."),
    "explain": Entry("pgn_explain", "explain", "Draw what a gradient network wants changed."),
}


def load(name: str) -> Any:
    """Import a command and make it callable.

    Raises:
        UnknownNameError: there is no such command.
    """
    if name not in COMMANDS:
        raise unknown_name("command", f"pgn {name}", [f"pgn {known}" for known in COMMANDS])
    entry = COMMANDS[name]
    function = getattr(importlib.import_module(f"lossnets.cli.{entry.module}"), entry.attribute)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    single.command(name)(function)
    return typer.main.get_command(single)


class _Members(dict[str, Any]):
    """Name -> command, imported when it is looked up: who lists all of them, as the documentation does."""

    def __getitem__(self, name: str) -> Any:
        return load(name)


class PgnGroup(LazyGroup):
    """The commands of the table above."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.commands = _Members(dict.fromkeys(COMMANDS))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """A stand-in with the help line; `resolve_command` gives the real one."""
        entry = COMMANDS.get(cmd_name)
        return entry and TyperCommand(cmd_name, help=entry.help, rich_markup_mode=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ARG002
        """The command that the user named, imported."""
        return args[0], load(args[0]), args[1:]


app = typer.Typer(
    cls=PgnGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def pgn() -> None:
    """Perceptual gradient networks: small networks that predict the gradient of a loss.

    \b
    Example:
      lossnets pgn train --loss efficientnet_lite0/blocks.3 --images photographs --out mine.safetensors --profile smoke
    """  # noqa: D301, E501  # the escape keeps the line break of the example
