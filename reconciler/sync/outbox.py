"""The thread that groups durable commits: outcomes of many requests become durable in one transaction.

The durability is that of single commits as far as it matters: a row's intent is durable before its request, and an
outcome that a crash takes away leaves the row unknown, which is looked up and never sent again unseen.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from reconciler.errors import InternalError, ReconcilerError
from reconciler.store import ledger_outbox
from reconciler.store.database import Store
from reconciler.store.ledger_outbox import Settlement

FULL: Final = 16
"""So many outcomes are written at once, without waiting for more."""
LINGER_SECONDS: Final = 0.25
"""How long the first outcome waits for company: five at 20 requests a second, the default rate."""
MOST: Final = 512
"""More do not wait: those who bring them do."""


class Writer:
    """Writes settlements of one ledger. A context manager: what was put is durable when the block ends.

    Where the store fails (a full disk) the thread ends, ``put`` raises, and so does the end of the block.
    """

    def __init__(self, store: Store, *, full: int = FULL, linger_seconds: float = LINGER_SECONDS) -> None:
        self._store = store
        self._full = full
        self._linger_seconds = linger_seconds
        self._changed = threading.Condition()
        self._waiting: list[Settlement] = []
        self._closed = False
        self._error: ReconcilerError | None = None
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)
        self.transactions = 0
        self.rows = 0
        """That were given; one that somebody else had settled changes nothing."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    @property
    def is_broken(self) -> bool:
        """The store has failed: nothing further may be sent, since nothing further could be recorded."""
        return self._error is not None

    def put(self, settlement: Settlement) -> None:
        """Have an outcome written soon. Raises what the store said where it has failed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < MOST or self._error is not None)
            if self._error is not None:
                raise self._error
            self._waiting.append(settlement)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                self._changed.wait_for(
                    lambda: len(self._waiting) >= self._full or self._closed, timeout=self._linger_seconds
                )
                batch, self._waiting = self._waiting, []
                self._changed.notify_all()
            try:
                with self._store.begin() as connection:
                    ledger_outbox.settle(connection, batch)
            except ReconcilerError as error:
                self._fail(error)
                return
            except Exception as error:  # noqa: BLE001 - nobody would hear of it in this thread
                self._fail(InternalError(f"outcomes could not be written ({type(error).__name__})"))
                return
            self.transactions += 1
            self.rows += len(batch)

    def _fail(self, error: ReconcilerError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()
