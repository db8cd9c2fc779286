"""Keep the claims of this process alive while it works."""

from __future__ import annotations

import logging
import threading
from types import TracebackType

from lossnets.errors import StoreError
from lossnets.runs.store import LEASE_SECONDS, Store

logger = logging.getLogger("lossnets")


class Heartbeat:
    """Context manager: renews the store's claims in a thread, four times per lease."""

    def __init__(self, store: Store, every: float = LEASE_SECONDS / 4) -> None:
        self._store = store
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lossnets-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._every):
            self._renew()

    def _renew(self) -> None:
        try:
            self._store.heartbeat()
        except StoreError as error:  # the next beat may succeed; a lost claim loses no result
            logger.warning("could not renew the claims of this process: %s", error)
