"""YAML with line numbers: plain values, plus the line of each key for error messages."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from lossnets.errors import ConfigError

Path_ = Sequence[str | int]


class YamlFile:
    r"""A YAML text as plain values (``values``), with the line of every key.

    Args:
        text: the YAML.
        name: of the file, for messages.

    Raises:
        ConfigError: not YAML, not a mapping at the top, a key that stands twice, or a value that holds
            itself.

    >>> YamlFile("a: 1\nb: [x, y]", "plan.yaml").line(["b", 1])
    2
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        try:
            self._root = yaml.compose(text, Loader=yaml.SafeLoader)
            self.values: Any = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{name}, line {line}: this is not YAML: {error.problem}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{name} is not YAML: {error}") from None
        except RecursionError:
            raise ConfigError(f"{name} is nested too deeply; a plan needs a few levels") from None
        except ValueError as error:  # e.g. a date that does not exist
            raise ConfigError(f"{name} holds a value that is none: {error}") from None
        if not isinstance(self.values, dict):
            raise ConfigError(f"{name} must hold keys and values (name: ..., losses: ...); got {text[:60]!r}")
        self._refuse_doubles(self._root, (), set())

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """Read a file.

        Raises:
            ConfigError: it cannot be read, is not UTF-8, or is not what `YamlFile` takes.
        """
        try:
            return cls(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            raise ConfigError(f"there is no file {path}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} must be UTF-8 text: {error.reason} at byte {error.start}") from None
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None

    def line(self, path: Path_) -> int:
        """Line (from 1) of the deepest part of ``path`` that the text has."""
        node, line = self._root, 1
        for part in path:
            step = _child(node, part)
            if step is None:
                break
            line, node = step
        return line

    def _refuse_doubles(self, node: yaml.Node | None, above: tuple[int, ...], done: set[int]) -> None:
        """Refuse keys that stand twice, and what holds itself by way of an alias."""
        if node is None or id(node) in done:
            return
        if id(node) in above:
            raise ConfigError(
                f"{self.name}, line {node.start_mark.line + 1}: this holds itself by way of an alias (*); "
                "write it out"
            )
        above = (*above, id(node))
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._refuse_doubles(item, above, done)
        elif isinstance(node, yaml.MappingNode):
            seen: dict[Hashable, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in seen:
                    raise ConfigError(
                        f"{self.name}, line {line}: key {key.value!r} stands already in line "
                        f"{seen[key.value]}; remove one of them"
                    )
                seen[key.value] = line
                self._refuse_doubles(value, above, done)
        done.add(id(node))


def _child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None
