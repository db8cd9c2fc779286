"""The list of commands.md: every command with its help and options, from the command line itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from lossnets.cli import app
from making.tables import rows_of, table


def _commands() -> Iterator[tuple[str, Any]]:
    """(full name, command) of all; those of a group one by one."""
    for name in app.COMMANDS:
        command = app.load(name)
        members = getattr(command, "commands", None)
        if members is None:
            yield f"lossnets {name}", command
        else:
            yield from ((f"lossnets {name} {member}", members[member]) for member in members)


@table("commands")
def commands() -> str:
    """A heading, the help and a table of options for each command."""
    return "\n".join(f"## {name}\n\n{_help(command)}\n\n{_options(command)}" for name, command in _commands())


def _help(command: Any) -> str:
    """The command's docstring: prose as it is, examples as code."""
    text = inspect.cleandoc(command.callback.__doc__ or "").replace("\b", "")
    parts = []
    for part in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in part.strip().splitlines()]
        if lines and re.fullmatch(r"Examples?:", lines[0]):
            part = "\n".join(f"    {line}" for line in lines[1:])
        parts.append(_in_code(part) if not part.startswith("    ") else part)
    return "\n\n".join(parts)


def _in_code(text: str) -> str:
    """Stars and angle brackets of prose are no Markdown."""
    return re.sub(r"([*<_])(?=\S)", r"\\\1", text)


def _options(command: Any) -> str:
    rows = [_row(parameter) for parameter in command.params if "--help" not in parameter.opts]
    return rows_of(["argument or option", "meaning", "default"], rows) if rows else ""


def _row(parameter: Any) -> list[str]:
    """An argument or option: name, help, default; a value of an enumeration by its value."""
    argument = parameter.param_type_name == "argument"
    name = parameter.name.upper() if argument else ", ".join([*parameter.opts, *parameter.secondary_opts])
    default = getattr(parameter.default, "value", parameter.default)
    known = default not in (None, False, ()) and not callable(default)
    return [f"`{name}`", parameter.help or "", f"`{default}`" if known else "required" * parameter.required]
