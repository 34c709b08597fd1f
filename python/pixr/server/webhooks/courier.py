"""Empties the queue: one thread that claims what is due, and a few that send. Runs in every process of the server."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import SQLAlchemyError

from pixr.server.database import Database
from pixr.server.metrics import WEBHOOK_DELIVERIES
from pixr.server.models import Delivery
from pixr.server.tracing import span
from pixr.server.webhooks.queue import any_due, claim, purge, settle
from pixr.server.webhooks.sender import Sender

__all__ = ["Courier"]

log = logging.getLogger("pixr.server.webhooks")
POLL_SECONDS = 0.5
PURGE_SECONDS = 3600.0


class Courier:
    """Delivers until it is closed. Attempts under way are then finished; other deliveries stay in the queue."""

    def __init__(self, database: Database, sender: Sender, concurrency: int) -> None:
        self._database = database
        self._sender = sender
        self._free = threading.Semaphore(concurrency)
        self._concurrency = concurrency
        self._wake = threading.Event()
        self._stop = False
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="pixr-webhook")
        self._thread = threading.Thread(target=self._run, name="pixr-courier", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the queue now instead of at the next turn."""
        self._wake.set()

    def close(self) -> None:
        """Finish the attempts under way and end."""
        self._stop = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown()
        self._sender.close()

    def _run(self) -> None:
        purged = 0.0
        while not self._stop:
            try:
                if time.monotonic() - purged > PURGE_SECONDS or not purged:
                    with self._database.write() as session:
                        purge(session)
                    purged = time.monotonic()
                taken = self._turn()
            except SQLAlchemyError:
                log.exception("the queue of webhooks can't be read")
                taken = 0
            if not taken:
                self._wake.wait(POLL_SECONDS)
                self._wake.clear()

    def _turn(self) -> int:
        """Claim what is due and pass it to the senders. Returns how many deliveries were claimed."""
        free = 0
        while free < self._concurrency and self._free.acquire(blocking=False):
            free += 1
        claimed: list[Delivery] = []
        try:
            if free:
                with self._database.read() as session:
                    due = any_due(session)
                if due:
                    with self._database.write() as session:
                        claimed = claim(session, free)
        finally:
            for _ in range(free - len(claimed)):
                self._free.release()
        for delivery in claimed:
            self._pool.submit(self._deliver, delivery)
        return len(claimed)

    def _deliver(self, delivery: Delivery) -> None:
        about: dict[str, str | int] = {
            "pixr.delivery": delivery.id,
            "pixr.endpoint": delivery.endpoint_id,
            "pixr.event_type": delivery.event.type,
            "pixr.attempt": delivery.attempts,
        }
        try:
            with span("webhook", about, kind="client") as traced:
                attempt = self._sender.send(delivery)
                with self._database.write() as session:
                    outcome = settle(session, delivery.id, attempt)
                traced.set_attributes({"http.response.status_code": attempt.status_code, "pixr.outcome": outcome})
                if outcome != "delivered":
                    traced.fail(outcome)
            WEBHOOK_DELIVERIES.labels(outcome).inc()
        except Exception:
            # The lease will run out, and then it is tried again.
            log.exception("a webhook could not be sent")
        finally:
            self._free.release()
            self._wake.set()
