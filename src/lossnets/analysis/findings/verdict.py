"""What is said of a finding of the study: supported, contradicted, or not decidable, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Word = Literal["supported", "contradicted", "not decidable"]
SUPPORTED: Word = "supported"
CONTRADICTED: Word = "contradicted"
UNDECIDED: Word = "not decidable"


@dataclass(frozen=True)
class Verdict:
    """One finding, held against results.

    Attributes:
        claim: key of the finding (``accuracy``, ``vgg``).
        sentence: the finding of the study.
        word: ``supported``, ``contradicted`` or ``not decidable``.
        because: one sentence with the numbers, or with what is lacking.
        rule: what would support and what would contradict.
        numbers: behind the word; plain values.
        settings: labels of the settings that were used.
        left_out: settings, networks and losses that were not, with the reason.
    """

    claim: str
    sentence: str
    word: Word
    because: str
    rule: str = ""
    numbers: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    settings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Count:
    """How many settings must say the same.

    Of S settings a majority m = S // 2 + 1 must say a word, each at level alpha m / S. The chance that m of S
    say it though none should is then at most alpha, however the settings depend on each other (Rüger,
    Metrika 25, 1978; by Markov's inequality).
    """

    settings: int

    @property
    def needed(self) -> int:
        """Settings that must agree."""
        return self.settings // 2 + 1

    def level(self, alpha: float) -> float:
        """Level for each setting."""
        return alpha * self.needed / max(self.settings, 1)

    def word(self, words: Sequence[Word]) -> Word:
        """The word of the majority, unless a setting says the opposite."""
        for word, opposite in ((SUPPORTED, CONTRADICTED), (CONTRADICTED, SUPPORTED)):
            if words.count(word) >= self.needed and opposite not in words:
                return word
        return UNDECIDED


def counted(words: Sequence[Word]) -> str:
    """How settings voted, for people.

    >>> counted(["supported", "not decidable", "supported"])
    'supported in 2 of 3 settings, contradicted in 0'
    """
    plural = "s" if len(words) != 1 else ""
    return (
        f"supported in {words.count(SUPPORTED)} of {len(words)} setting{plural}, "
        f"contradicted in {words.count(CONTRADICTED)}"
    )


def listed(names: Sequence[str], most: int = 14) -> str:
    """Names with commas and "and"; the rest as a count.

    >>> listed(["vgg11", "vgg16", "vgg19"])
    'vgg11, vgg16 and vgg19'
    """
    kept = [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])]
    return " and ".join(filter(None, [", ".join(kept[:-1]), kept[-1] if kept else ""])) or "none"
