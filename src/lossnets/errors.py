"""What can go wrong, as types: each names the argument, what is allowed, what came, and the way out.

Every class also derives from the built-in error that a Python user would expect (ValueError,
ImportError, ...), so that ``except ValueError`` keeps working in code that does not know lossnets.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable
from types import ModuleType

from .processes import undisturbed


class LossnetsError(Exception):
    """Base of every error that lossnets raises on purpose."""


class ConfigError(LossnetsError, ValueError):
    """A setting (argument, loss name, plan key) has a value that is not allowed."""


class UnknownNameError(ConfigError):
    """A name (network, tap, loss, data set, ...) is not known; the message holds the nearest ones."""


class ImageError(LossnetsError, ValueError):
    """An image tensor or file breaks the contract: type, shape, size, value range, readability."""


class EncodingError(LossnetsError, ValueError):
    """An encoded target is stale, foreign, or does not fit the images it is compared with."""


class WeightsError(LossnetsError, RuntimeError):
    """Weights are missing, out of reach, truncated, of the wrong hash, or do not fit the network."""


class DataError(LossnetsError, RuntimeError):
    """A data set is missing, incomplete or malformed."""


class DataChangedError(DataError):
    """The data of a run became others while it was at work; nothing of it counts."""


class StoreError(LossnetsError, RuntimeError):
    """The results store cannot be opened, read or written."""


class MissingExtraError(LossnetsError, ImportError):
    """A feature needs packages of an extra that is not installed; the message has the command."""


def unknown_name(kind: str, got: str, known: Iterable[str], *, see: str = "") -> UnknownNameError:
    """Build the error for an unknown name, with the nearest known ones.

    Args:
        kind: what was asked for, as a user would call it ("network", "tap of vgg16").
        got: the name as it came.
        known: all names that would have been accepted.
        see: where the full list is ("lossnets networks"); the list itself is shown when it is
            short or when there is no such place.

    >>> str(unknown_name("network", "vgg-16", ["vgg16", "vgg19"], see="lossnets networks"))
    "network 'vgg-16' is not known. Did you mean 'vgg16' or 'vgg19'? All of them: lossnets networks"
    """
    names = list(dict.fromkeys(known))
    lower = {name.lower(): name for name in names}
    near = [lower[n] for n in difflib.get_close_matches(got.lower(), lower, n=3, cutoff=0.6)]
    message = f"{kind} {got!r} is not known."
    if near:
        message += " Did you mean " + " or ".join(repr(n) for n in near) + "?"
    if see:
        message += f" All of them: {see}"
    elif names and len(names) <= 40:
        message += " Allowed: " + ", ".join(names)
    return UnknownNameError(message)


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module`` or say which extra brings it.

    Args:
        module: importable name, e.g. ``"sqlalchemy"``.
        extra: the extra of lossnets that installs it, e.g. ``"bench"``.
        purpose: what needs it, for the message, e.g. ``"the results store"``.

    Raises:
        MissingExtraError: the module is not installed.

    >>> require("json", "bench", "nothing").__name__
    'json'
    """
    try:
        known = sys.modules.get(module)
        if known is not None:
            return known
        with undisturbed():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise  # the module is there, and something that it imports is not
        raise MissingExtraError(
            f"{purpose} needs the package {module.split('.')[0]!r}, which is not installed. "
            f"Install it with: pip install 'lossnets[{extra}]'"
        ) from error
