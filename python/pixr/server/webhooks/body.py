"""The body of a webhook. The same bytes at every attempt, so that the same id never means two things."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic_core import to_json

from pixr.server.events import EventType
from pixr.server.instants import rfc3339
from pixr.server.models import Event, WebhookEndpoint
from pixr.webhooks import sign, sign_body

__all__ = ["EXAMPLES", "event_body", "event_to_dict", "signed_headers"]


def event_to_dict(event: Event) -> dict[str, Any]:
    """An event as it is sent."""
    return {
        "id": event.id,
        "type": event.type,
        "created": rfc3339(event.created),
        "timestamp": int(event.created.timestamp()),
        "apiVersion": "v1",
        "data": event.data,
    }


def event_body(event: Event) -> bytes:
    """The bytes that are signed and sent."""
    return to_json(event_to_dict(event))


def signed_headers(event: Event, body: bytes, endpoint: WebhookEndpoint, instant: datetime) -> dict[str, str]:
    """The headers of an attempt: two signatures while the secret is rotated, the new one first."""
    timestamp = int(instant.timestamp())
    secrets = [endpoint.secret]
    if endpoint.previous_secret and endpoint.previous_expires and instant < endpoint.previous_expires:
        secrets.append(endpoint.previous_secret)
    return {
        "content-type": "application/json",
        "user-agent": "Pixr-Webhooks/1",
        "webhook-id": event.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(body, id=event.id, timestamp=timestamp, secret=one) for one in secrets),
        "x-pixr-signature": sign_body(body, secret=endpoint.secret),
    }


_VIDEO = "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei"

# What `data` carries, by type: shown in the specification, and sent by test events.
EXAMPLES: dict[EventType, dict[str, Any]] = {
    "video.uploaded": {"videoId": _VIDEO, "status": "queued", "filename": "product-demo.mp4", "size": 1_073_741_824},
    "video.processing": {"videoId": _VIDEO, "status": "processing", "progress": 0.0},
    "video.processed": {
        "videoId": _VIDEO,
        "status": "completed",
        "duration": 1247.0,
        "resolutions": ["1080p"],
        "pixInvested": 1_000_000,
        "segments": {"count": 212, "analyzed": 212},
    },
    "video.failed": {"videoId": _VIDEO, "status": "failed", "code": "UNREADABLE_VIDEO", "detail": "no video stream"},
    "video.deleted": {"videoId": _VIDEO},
    "video.search_appearance": {
        "from": "2026-11-24T08:00:00.000Z",
        "to": "2026-11-24T08:01:00.000Z",
        "videos": [{"videoId": _VIDEO, "appearances": 12, "bestRank": 1, "clicks": 3}],
    },
    "creator.payout": {"creatorId": "usr_4hd2", "amountPix": 2500},
    "investment.accepted": {"videoId": _VIDEO, "pixInvested": 1_000_000},
    "usage.threshold": {"metric": "calls", "used": 80_000, "limit": 100_000, "percent": 80},
    "privacy.deleted": {"receiptId": "rcp_7q3k5w4mzy2a6bnd4vhtj3c2ei", "videos": 3},
    "version.sunset": {"version": "v1", "sunset": "2027-11-24T00:00:00.000Z", "successor": "v2"},
    "webhook.disabled": {
        "endpointId": "whe_7q3k5w4mzy2a6bnd4vhtj3c2ei",
        "url": "https://example.com/hooks",
        "reason": "no attempt of a delivery succeeded",
    },
}
