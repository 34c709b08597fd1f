"""`/v1/webhooks`, and the body of a webhook itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from pixr.server.events import EventType
from pixr.server.schemas.shape import RequestShape, ResponseShape, Stored
from pixr.server.schemas.videos import ListPagination

__all__ = [
    "DeliveryDetail",
    "DeliveryList",
    "DeliveryShape",
    "EndpointChanges",
    "EndpointList",
    "EndpointRequest",
    "EndpointShape",
    "EndpointWithSecret",
    "EventList",
    "EventShape",
    "InspectorDetail",
    "InspectorReplay",
    "InspectorRequestShape",
    "InspectorShape",
    "NewInspector",
    "RotateSecretRequest",
    "TestRequest",
]

DeliveryStatus = Literal["pending", "delivered", "failed"]

ENDPOINT_EXAMPLE: dict[str, Any] = {
    "endpointId": "whe_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "url": "https://example.com/hooks",
    "description": "production",
    "eventTypes": ["video.processed", "video.failed"],
    "maxConcurrency": 4,
    "enabled": True,
    "disabledReason": None,
    "created": "2026-11-24T08:00:00.000Z",
    "previousSecretExpires": None,
}
EVENT_EXAMPLE: dict[str, Any] = {
    "id": "evt_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "type": "video.deleted",
    "created": "2026-11-24T08:00:00.000Z",
    "timestamp": 1_795_507_200,
    "apiVersion": "v1",
    "data": {"videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei"},
}
DELIVERY_EXAMPLE: dict[str, Any] = {
    "deliveryId": "dlv_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "endpointId": "whe_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "eventId": "evt_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "eventType": "video.deleted",
    "status": "pending",
    "attempts": 1,
    "nextAttempt": "2026-11-24T08:00:05.000Z",
    "replay": False,
    "created": "2026-11-24T08:00:00.000Z",
    "finished": None,
}
ATTEMPT_EXAMPLE: dict[str, Any] = {
    "at": "2026-11-24T08:00:00.100Z",
    "milliseconds": 84.2,
    "statusCode": 500,
    "error": None,
    "requestHeaders": {"webhook-id": "evt_7q3k5w4mzy2a6bnd4vhtj3c2ei", "webhook-timestamp": "1795507200"},
    "responseHeaders": {"content-type": "text/plain"},
    "responseBody": "try again",
}
INSPECTOR_EXAMPLE: dict[str, Any] = {
    "inspectorId": "whi_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "url": "https://api.example.com/v1/webhooks/inspector/whi_7q3k5w4mzy2a6bnd4vhtj3c2ei/receive",
    "pageUrl": "https://api.example.com/v1/webhooks/inspector/whi_7q3k5w4mzy2a6bnd4vhtj3c2ei/page?token=signed",
    "verifies": True,
    "respondWith": 200,
    "created": "2026-11-24T08:00:00.000Z",
}
REQUEST_EXAMPLE: dict[str, Any] = {
    "requestId": "whr_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "received": "2026-11-24T08:00:00.200Z",
    "headers": {"webhook-id": "evt_7q3k5w4mzy2a6bnd4vhtj3c2ei"},
    "body": '{"id":"evt_7q3k5w4mzy2a6bnd4vhtj3c2ei"}',
    "signature": {"valid": True, "reason": None},
}


class EndpointRequest(RequestShape):
    """A new endpoint."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.com/hooks", "eventTypes": ["video.processed"]}]}
    )

    url: str = Field(min_length=8, max_length=2000)
    event_types: list[EventType] = Field(default=[], max_length=100, description="none: all")
    description: Stored = Field(default="", max_length=500)
    max_concurrency: int = Field(default=4, ge=1, le=64, description="requests at a time")


class EndpointChanges(RequestShape):
    """What of an endpoint can be changed; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True}]})

    url: str | None = Field(default=None, min_length=8, max_length=2000)
    event_types: list[EventType] | None = Field(default=None, max_length=100)
    description: Stored | None = Field(default=None, max_length=500)
    max_concurrency: int | None = Field(default=None, ge=1, le=64)
    enabled: bool | None = Field(default=None, description="true delivers what waited; false keeps it waiting")


class RotateSecretRequest(RequestShape):
    """A new secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlapSeconds": 86400}]})

    overlap_seconds: int = Field(default=86_400, ge=0, le=30 * 86_400, description="how long both sign")


class TestRequest(RequestShape):
    """An example of an event to send."""

    __test__ = False  # not a test of pytest's
    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "video.processed"}]})

    type: EventType = "video.processed"


class EndpointShape(ResponseShape):
    """An endpoint without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [ENDPOINT_EXAMPLE]})

    endpoint_id: str
    url: str
    description: str
    event_types: list[EventType]
    max_concurrency: int
    enabled: bool
    disabled_reason: str | None
    created: datetime
    previous_secret_expires: datetime | None


class EndpointWithSecret(EndpointShape):
    """An endpoint with its secret, this once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [ENDPOINT_EXAMPLE | {"secret": "whsec_" + "c2hvd24tdGhpcy1vbmNlLWFuZC1uZXZlcg=="}]
        }
    )

    secret: str


class EndpointList(ResponseShape):
    """Endpoints, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"endpoints": [ENDPOINT_EXAMPLE], "pagination": {"nextCursor": None, "hasMore": False}},
            ]
        }
    )

    endpoints: list[EndpointShape]
    pagination: ListPagination


class EventShape(ResponseShape):
    """The body of a webhook."""

    model_config = ConfigDict(json_schema_extra={"examples": [EVENT_EXAMPLE]})

    id: str
    type: EventType
    created: datetime
    timestamp: int
    api_version: Literal["v1"]
    data: dict[str, Any]


class NumberedEvent(ResponseShape):
    """An event and its place among the organization's."""

    sequence: int
    event: EventShape


class EventList(ResponseShape):
    """Events in order; ask again with `after` for what follows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"events": [{"sequence": 42, "event": EVENT_EXAMPLE}], "after": 42}]}
    )

    events: list[NumberedEvent]
    after: int


class DeliveryShape(ResponseShape):
    """An event on its way to an endpoint."""

    model_config = ConfigDict(json_schema_extra={"examples": [DELIVERY_EXAMPLE]})

    delivery_id: str
    endpoint_id: str
    event_id: str
    event_type: EventType
    status: DeliveryStatus
    attempts: int
    next_attempt: datetime | None
    replay: bool
    created: datetime
    finished: datetime | None


class AttemptShape(ResponseShape):
    """One request of a delivery."""

    at: datetime
    milliseconds: float
    status_code: int | None
    error: str | None
    request_headers: dict[str, str]
    response_headers: dict[str, str]
    response_body: str


class DeliveryDetail(DeliveryShape):
    """A delivery with its event and every attempt."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [DELIVERY_EXAMPLE | {"event": EVENT_EXAMPLE, "history": [ATTEMPT_EXAMPLE]}]}
    )

    event: EventShape
    history: list[AttemptShape]


class DeliveryList(ResponseShape):
    """Deliveries, newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"deliveries": [DELIVERY_EXAMPLE], "pagination": {"nextCursor": None, "hasMore": False}},
            ]
        }
    )

    deliveries: list[DeliveryShape]
    pagination: ListPagination


class NewInspector(RequestShape):
    """A new inspector."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"respondWith": 200}]})

    secret: str | None = Field(default=None, max_length=200, description="verify what comes with this secret")
    respond_with: int = Field(default=200, ge=200, le=599, description="the status to answer with")


class InspectorReplay(RequestShape):
    """Where to send a received event again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"endpointId": ENDPOINT_EXAMPLE["endpointId"]}]})

    endpoint_id: Stored = Field(max_length=100)


class InspectorShape(ResponseShape):
    """An inspector: `url` receives, `pageUrl` shows what came, for a day."""

    model_config = ConfigDict(json_schema_extra={"examples": [INSPECTOR_EXAMPLE]})

    inspector_id: str
    url: str
    page_url: str
    verifies: bool
    respond_with: int
    created: datetime


class Verdict(ResponseShape):
    """Whether a signature is right; null where there is no secret to check with."""

    valid: bool | None
    reason: str | None


class InspectorRequestShape(ResponseShape):
    """A request that came, its body as text."""

    model_config = ConfigDict(json_schema_extra={"examples": [REQUEST_EXAMPLE]})

    request_id: str
    received: datetime
    headers: dict[str, str]
    body: str
    signature: Verdict


class InspectorDetail(InspectorShape):
    """An inspector and what it received, newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [INSPECTOR_EXAMPLE | {"requests": [REQUEST_EXAMPLE]}]})

    requests: list[InspectorRequestShape]
