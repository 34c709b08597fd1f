"""Traces with OpenTelemetry (extra `pixr[otel]`): spans for requests, searches and their stages, ingest jobs, webhooks.

Nothing is measured unless the setting `traces` names a collector. A request continues the trace that its `traceparent`
header names. Spans carry ids and codes, and never headers, bodies, query strings or what was asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pixr.errors import MissingExtra
from pixr.server.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

__all__ = ["Span", "check_tracing", "end_tracing", "span", "stage", "start_tracing", "trace_with"]

Kind: TypeAlias = Literal["internal", "server", "client", "consumer"]
Value: TypeAlias = str | int | float | bool | None

_tracer: Tracer | None = None
_provider: Any = None


class Span:
    """A span that has begun. Without a collector, whatever is recorded in it is dropped."""

    __slots__ = ("_span",)

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def set_attributes(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes; those that are None are left out."""
        if self._span is not None:
            self._span.set_attributes(_attributes(attributes))

    def rename(self, name: str) -> None:
        """Set the name, if it is known only after the span began."""
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, code: str) -> None:
        """Mark the span as failed."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR, code))
            self._span.set_attribute("error.type", code)


_NOTHING = Span()


def check_tracing(settings: Settings) -> None:
    """Raise if traces are wanted and can't be made.

    Raises:
        MissingExtra: says what to install.
    """
    if settings.traces is not None:
        try:
            import opentelemetry.exporter.otlp.proto.http.trace_exporter
            import opentelemetry.sdk.trace  # noqa: F401
        except ImportError as error:
            raise MissingExtra("traces", "otel", error) from error


def start_tracing(settings: Settings, part: str) -> None:
    """Send this process's spans to the collector that the settings name, if any.

    Raises:
        MissingExtra: says what to install.
    """
    if settings.traces is None:
        return
    check_tracing(settings)
    from importlib.metadata import version

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    about = {"service.name": "pixr", "service.version": version("pixr"), "pixr.part": part}
    sampler = ParentBased(TraceIdRatioBased(settings.trace_ratio))
    made = TracerProvider(resource=Resource.create(about), sampler=sampler)
    exporter = OTLPSpanExporter(endpoint=f"{settings.traces.rstrip('/')}/v1/traces")
    made.add_span_processor(BatchSpanProcessor(exporter))
    trace_with(made)


def trace_with(provider: TracerProvider | None) -> None:
    """Make spans with this provider from now on, or none."""
    global _tracer, _provider  # noqa: PLW0603 - of the process, as the metrics are
    _provider = provider
    _tracer = provider.get_tracer("pixr.server") if provider is not None else None


def end_tracing() -> None:
    """Send the spans that were not sent yet, and make no more."""
    if _provider is not None:
        _provider.shutdown()
        trace_with(None)


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Value] | None = None,
    *,
    kind: Kind = "internal",
    headers: Mapping[str, str] | None = None,
) -> Iterator[Span]:
    """A span around the block. Spans inside become its parts; `headers` may name a trace that it is a part of."""
    if _tracer is None:
        yield _NOTHING
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract(headers) if headers is not None else None
    with _tracer.start_as_current_span(
        name,
        context=context,
        kind=SpanKind[kind.upper()],
        attributes=_attributes(attributes or {}),
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        wrapped = Span(made)
        try:
            yield wrapped
        except Exception as error:
            wrapped.fail(str(getattr(error, "code", type(error).__name__)).upper())
            raise


def stage(name: str, seconds: float, *, ago: float = 0.0) -> None:
    """Record a span of `seconds` that ended `ago` seconds before now, for what was measured elsewhere."""
    if _tracer is None:
        return
    end = time.time_ns() - int(ago * 1e9)
    made = _tracer.start_span(name, start_time=end - int(seconds * 1e9))
    made.end(end)


def _attributes(given: Mapping[str, Value]) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in given.items() if value is not None}
