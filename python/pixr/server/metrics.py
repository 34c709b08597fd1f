"""What `/metrics` shows, in Prometheus' base units. No ids in labels.

With several processes, `PROMETHEUS_MULTIPROC_DIR` names the directory through which they add up (`pixr serve`
sets it before this is imported).
"""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

__all__ = ["exposition"]

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUEST_SECONDS = Histogram(
    "pixr_http_request_duration_seconds",
    "Time to answer a request, to the last byte",
    ("method", "route", "status"),
    buckets=_LATENCY,
)
SEARCH_SECONDS = Histogram(
    "pixr_search_duration_seconds", "Time of a search by stage: wait, encode, search", ("stage",), buckets=_LATENCY
)
SEARCHES_WAITING = Gauge("pixr_searches_waiting", "Searches and the like that wait", multiprocess_mode="livesum")
SEARCHES_REFUSED = Counter("pixr_searches_refused_total", "Searches and the like refused since too many waited")
LIBRARIES_OPEN = Gauge("pixr_libraries_open", "Libraries open for reading", multiprocess_mode="livesum")
INDEX_SEGMENTS = Gauge("pixr_index_segments", "Segments in open libraries", multiprocess_mode="livemax")
INGEST_VIDEOS = Counter("pixr_ingest_videos_total", "Attempts at a video: completed, failed, left", ("outcome",))
INGEST_WAITING = Gauge(
    "pixr_ingest_videos_waiting", "Videos waiting to be processed", multiprocess_mode="livemostrecent"
)
WEBHOOK_DELIVERIES = Counter(
    "pixr_webhook_deliveries_total", "Attempts to deliver a webhook: delivered, retried, failed, gone", ("outcome",)
)
AUTH_FAILURES = Counter("pixr_authentication_failures_total", "Requests with invalid credentials", ("code",))


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY)
