"""One card per data set: what it is, where it comes from, its licence, how to get it, what must be there."""

from __future__ import annotations

from pathlib import Path

from lossnets.datasets.cards import CARDS
from lossnets.datasets.facts import Archive, Content, DataSetCard
from lossnets.errors import DataError, unknown_name

__all__ = ["Archive", "Content", "DataSetCard", "card", "cards", "part_folder"]

_CARDS = {card.name: card for card in CARDS}


def card(name: str) -> DataSetCard:
    """The card of a data set.

    Raises:
        UnknownNameError: there is no such card.

    >>> card("bapps").judged_by
    'people'
    """
    if name not in _CARDS:
        raise unknown_name("data set", name, _CARDS, see="lossnets data list")
    return _CARDS[name]


def cards() -> tuple[DataSetCard, ...]:
    """All cards, in a fixed order."""
    return tuple(_CARDS.values())


def part_folder(name: str, root: str | Path, part: str) -> Path:
    """The folder that holds the images of a part ("train", "test", ...), in whichever layout it is there.

    Raises:
        DataError: its files are not there.
        UnknownNameError: the data set has no such part.
    """
    the_card = card(name)
    contents = [content for content in the_card.contents if content.part == part]
    if not contents:
        raise unknown_name(f"part of {name}", part, the_card.parts)
    pattern, files = contents[0].found(Path(root))
    if not files:
        raise DataError(
            f"{name}: the part {part!r} is not in {str(root)!r}, expected {contents[0].count} files "
            f"{pattern}. {the_card.how_to_get}"
        )
    return files[0].parent
