"""Loss names whose number was defined otherwise once: results of two versions are never one loss's.

A loss name says what is computed today. A signature ends with the version that was computed
(``|numerics:1``). Where the two differ, results are shown under the name with the version behind it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lossnets.distances import parse_distance
from lossnets.errors import ConfigError
from lossnets.losses.base import NUMERICS_VERSION

_IN_SIGNATURE = re.compile(r"\|numerics:(\d+)$")
_SHOWN = re.compile(r"(?P<loss>.+) \(numerics (?P<version>\d+)\)")


@lru_cache(maxsize=4096)
def shown_name(loss: str, signature: str) -> str:
    """What results of a loss are called: its name, with the version where the name means another today.

    Args:
        loss: loss name.
        signature: of the loss that made the results; without a version in it, the name is all there is.

    >>> shown_name("vgg16/relu3_3:unit-sort", "vgg16/relu3_3:unit-sort|weights:x|numerics:1")
    'vgg16/relu3_3:unit-sort (numerics 1)'
    >>> shown_name("vgg16/relu3_3:unit-sort", "vgg16/relu3_3:unit-sort|weights:x|numerics:2")
    'vgg16/relu3_3:unit-sort'
    """
    found = _IN_SIGNATURE.search(signature)
    if found is None or int(found[1]) == _version_today(loss):
        return loss
    return f"{loss} (numerics {found[1]})"


def split_name(shown: str) -> tuple[str, str]:
    """What `shown_name` gave -> loss name, and the text behind it (empty where there is none).

    >>> split_name("vgg16/relu3_3:unit-sort (numerics 1)")
    ('vgg16/relu3_3:unit-sort', ' (numerics 1)')
    """
    found = _SHOWN.fullmatch(shown)
    return (found["loss"], shown[len(found["loss"]) :]) if found else (shown, "")


def _version_today(loss: str) -> int:
    return max(NUMERICS_VERSION, *map(_version_of, loss.split(":")))


def _version_of(option: str) -> int:
    try:
        return parse_distance(option).numerics
    except ConfigError:  # an option of another kind, or the network
        return NUMERICS_VERSION
