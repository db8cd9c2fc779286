"""What a benchmark has read of its data is kept as long as the data are what they were, by content."""

from __future__ import annotations

import abc
import contextlib
import copy
from collections.abc import Iterator

from lossnets.errors import DataChangedError


class KeepsData(abc.ABC):
    """A benchmark that lists and decodes its data once, and again when they have become others.

    A subclass keeps what it reads in attributes of its own, and empties them in `forget`.
    """

    _seen: tuple[str, ...] = ()  # fingerprint of the data that what is kept was read from

    @abc.abstractmethod
    def data_fingerprint(self) -> str:
        """See `Benchmark.data_fingerprint`; of what is kept, where something is."""

    def forget(self) -> None:  # noqa: B027 - there may be nothing that is kept
        """Let go of everything that was read of the data."""

    def refresh(self) -> str:
        """Fingerprint of the data as they are now; what was read of other data is forgotten.

        Raises:
            DataError: they are missing or malformed.
        """
        fresh = copy.copy(self)
        fresh.forget()
        now = fresh.data_fingerprint()
        if self._seen != (now,):
            vars(self).update(vars(fresh))
            self._seen = (now,)
        return now

    @contextlib.contextmanager
    def steady(self) -> Iterator[None]:
        """Hold that the data are the same at the end of the block as they are at its beginning.

        Raises:
            DataChangedError: they are not; what came of them belongs to neither.
        """
        before = self.refresh()
        yield
        if self.refresh() != before:
            raise DataChangedError(
                "the data changed while a run was at work on them (files were added, removed or replaced), "
                "and its numbers belong to neither. Leave them as they are, and start the run again."
            )
