"""Short texts for loss names: what tells them apart stays, everything else goes into the tooltip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

LIMIT = 34
_BARE = ("pixel", "lpips", "pgn")  # families whose name begins FAMILY:NAME
_FILES = (".pth", ".pt", ".safetensors", ".npz")


def short_name(name: str, among: Iterable[str] = (), *, limit: int = LIMIT) -> str:
    """One loss name -> a short text that no other name of ``among`` has.

    >>> short_name("vgg16/relu1_2:unit-spatial-sum:weights=data/vgg16_hed.safetensors")
    'vgg16/relu1_2:vgg16_hed'
    >>> short_name("vgg16/relu1_2:weights=random-1", ["vgg16/relu1_2:weights=data/hed.pth"])
    'vgg16/relu1_2:random-1'
    """
    return short_names([name, *among], limit=limit)[name]


def short_names(names: Iterable[str], *, limit: int = LIMIT) -> dict[str, str]:
    """Loss names -> short texts, no two the same, in the order given.

    First the network and its taps (or the family and its member); names that this does not tell apart get
    those options in which they differ. A file of weights is always named, without folder and ending, unless
    it is named like the network. What is longer than ``limit`` characters loses its middle, unless that
    would make two texts the same.
    """
    kept = list(dict.fromkeys(map(str, names)))
    groups: dict[str, list[str]] = defaultdict(list)
    for name in kept:
        groups[_split(name)[0]].append(name)
    texts = {name: _with_differences(name, groups[_split(name)[0]]) for name in kept}
    _replace_doubles(texts, {name: name for name in kept})
    cut = {name: _cut(text, limit) for name, text in texts.items()}
    _replace_doubles(cut, texts)
    return {name: cut[name] for name in kept}


def _replace_doubles(texts: dict[str, str], longer: dict[str, str]) -> None:
    """Put the longer text wherever a shorter one stands for several names."""
    shown = list(texts.values())
    for name, text in list(texts.items()):
        if shown.count(text) > 1:
            texts[name] = longer[name]


def options_of(name: str) -> str:
    """What a loss name says behind the network and its taps, for people.

    >>> options_of("vgg16/relu1_2:gram:weights=data/vgg16_hed.safetensors")
    'gram, vgg16_hed'
    """
    return ", ".join(_option(option) for option in _split(name)[1])


def _split(name: str) -> tuple[str, list[str]]:
    """The stem (network and taps, or family and member) and the options behind it."""
    first, *rest = name.split(":")
    if first in _BARE and rest:
        return f"{first}:{rest[0]}", rest[1:]
    return first, rest


def _with_differences(name: str, group: Sequence[str]) -> str:
    """The stem and those options that not all of the group have."""
    stem, options = _split(name)
    shared = set.intersection(*(set(_split(other)[1]) for other in group)) if len(group) > 1 else set(options)
    own = [_option(option) for option in options if option not in shared or _is_telling(stem, option)]
    return ":".join([_without_folder(stem), *own])


def _without_folder(stem: str) -> str:
    """A gradient network that goes by its file: ``pgn:nets/mine.safetensors`` -> ``pgn:mine``."""
    family, colon, member = stem.partition(":")
    path = PurePosixPath(unquote(member))
    return f"{family}:{path.stem}" if colon and family in _BARE and path.suffix in _FILES else stem


def _is_telling(stem: str, option: str) -> bool:
    """Other weights than the network's name promises are part of every text: they are another loss."""
    return option.startswith("weights=") and _option(option) != stem.partition("/")[0]


def _option(option: str) -> str:
    """An option without what goes without saying: ``weights=data/vgg16_hed.safetensors`` -> ``vgg16_hed``."""
    key, equals, value = option.partition("=")
    if not equals:
        return option
    if key in ("weights", "head"):
        path = PurePosixPath(value)
        return path.stem if path.suffix in _FILES else path.name or value
    return option


def _cut(text: str, limit: int) -> str:
    """At most ``limit`` characters: the middle of a list of taps goes first, then the middle of anything."""
    if len(text) <= limit:
        return text
    network, slash, rest = text.partition("/")
    taps = rest.split(",")
    if slash and len(taps) > 2:
        shortened = f"{network}/{taps[0]},…,{taps[-1]}"
        if len(shortened) <= limit:
            return shortened
        shortened = f"{network}/{taps[0]} + {len(taps) - 1} taps"
        if len(shortened) <= limit:
            return shortened
    head = (limit - 1) * 3 // 5
    return f"{text[:head]}…{text[-(limit - 1 - head) :]}"
