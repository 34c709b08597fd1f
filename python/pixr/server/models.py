"""The tables. Every one but `organizations` belongs to an organization and goes with it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pixr.server.database import Base, Utc, now

__all__ = [
    "CLIENT_PREFIX",
    "UPLOADS",
    "ApiKey",
    "Delivery",
    "DeliveryAttempt",
    "Event",
    "IdempotentRequest",
    "Inspector",
    "InspectorRequest",
    "OAuthClient",
    "OAuthCode",
    "OAuthToken",
    "Organization",
    "PrivacyReceipt",
    "SearchAppearance",
    "SearchRecord",
    "Secret",
    "Upload",
    "UsageDay",
    "VideoRecord",
    "WebhookEndpoint",
]

# Of the ids of OAuth clients, by which what one has made is known when it is gone.
CLIENT_PREFIX = "ocl"
# Where files lie that were sent or fetched, in the organization's directory.
UPLOADS = "uploads"
# SQLite counts up only in columns of its own integer type.
Counter = BigInteger().with_variant(Integer, "sqlite")


def _organization(*, primary: bool = False) -> Any:
    return mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=primary, index=not primary)


class Organization(Base):
    """Whoever owns videos; none sees another's."""

    __tablename__ = "organizations"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    plan: Mapped[str]
    region: Mapped[str | None]
    sandbox: Mapped[bool] = mapped_column(default=False)
    sandbox_of: Mapped[str | None] = mapped_column(index=True, unique=True)  # whose test keys act on it
    sandbox_reset: Mapped[datetime | None] = mapped_column(Utc)
    sandbox_due: Mapped[datetime | None] = mapped_column(Utc)  # when it is to be reset next
    retention_days: Mapped[int] = mapped_column(default=90)
    branding: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created: Mapped[datetime] = mapped_column(Utc, default=now)
    suspended: Mapped[datetime | None] = mapped_column(Utc)


class ApiKey(Base):
    """A key: `id` is its visible half. Of the secrets only SHA-256 hashes are kept; each has 256 random bits."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = _organization()
    name: Mapped[str]
    environment: Mapped[str]
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    previous_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    previous_expires: Mapped[datetime | None] = mapped_column(Utc)
    rotation: Mapped[str | None]  # the id of the last one, by which the request that made it knows it again
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(Utc, default=now)
    expires: Mapped[datetime | None] = mapped_column(Utc)
    revoked: Mapped[datetime | None] = mapped_column(Utc)

    organization: Mapped[Organization] = relationship(lazy="joined", innerjoin=True)


class VideoRecord(Base):
    """What the server knows of a video that it was given: where it comes from, and how far its processing is.

    Videos that are in the library by another way have no record. The metadata here is what indexing begins with; from
    then on the library's is the one that counts.
    """

    __tablename__ = "videos"
    __table_args__ = (Index("videos_waiting", "status", "not_before"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = _organization()
    status: Mapped[str]  # uploading, queued, processing, completed, failed
    progress: Mapped[float] = mapped_column(default=0.0)
    failure_code: Mapped[str | None]
    failure: Mapped[str | None]
    warnings: Mapped[list[str]] = mapped_column(JSON, default=list)

    title: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    created: Mapped[str | None]
    quality: Mapped[str | None]
    creator: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # the video's own `metadata`
    pix_investment: Mapped[int] = mapped_column(BigInteger, default=0)

    filename: Mapped[str | None]
    content_type: Mapped[str | None]
    byte_len: Mapped[int | None] = mapped_column(BigInteger)
    source_url: Mapped[str | None]
    file: Mapped[str | None]  # relative to the organization's directory

    duration: Mapped[float | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    segment_count: Mapped[int] = mapped_column(default=0)

    added: Mapped[datetime] = mapped_column(Utc, default=now)
    changed: Mapped[datetime] = mapped_column(Utc, default=now, onupdate=now)
    finished: Mapped[datetime | None] = mapped_column(Utc)

    # of the worker that has it
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    request: Mapped[str | None]  # the id of the last to cancel or retry, by which that knows that it was carried out
    lease_expires: Mapped[datetime | None] = mapped_column(Utc)
    not_before: Mapped[datetime | None] = mapped_column(Utc)

    @property
    def place(self) -> str:
        """Where the file is, or is fetched to, relative to the organization's directory."""
        return self.file or f"{UPLOADS}/{self.id}"


class Upload(Base):
    """A file on its way in. `received` bytes are on disk for certain; the file may be longer after a crash."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = _organization()
    video_id: Mapped[str] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), index=True)
    byte_len: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger, default=0)
    file: Mapped[str]  # relative to the organization's directory
    given: Mapped[str] = mapped_column(default="")  # Upload-Metadata as it came
    created: Mapped[datetime] = mapped_column(Utc, default=now)
    expires: Mapped[datetime] = mapped_column(Utc, index=True)
    completed: Mapped[datetime | None] = mapped_column(Utc)


class OAuthClient(Base):
    """A program that may ask for tokens. One without a secret is public, and uses the authorization code with PKCE."""

    __tablename__ = "oauth_clients"

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = _organization()
    name: Mapped[str]
    secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    redirect_uris: Mapped[list[str]] = mapped_column(JSON)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(Utc, default=now)

    organization: Mapped[Organization] = relationship(lazy="joined", innerjoin=True)


class OAuthCode(Base):
    """An authorization code, known by its hash, good for one use within a minute."""

    __tablename__ = "oauth_codes"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    organization_id: Mapped[str] = _organization()
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.id", ondelete="CASCADE"))
    subject: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    redirect_uri: Mapped[str]
    code_challenge: Mapped[str]
    code_challenge_method: Mapped[str]
    expires: Mapped[datetime] = mapped_column(Utc)


class OAuthToken(Base):
    """An access token, and the refresh token that came with it, known by their hashes.

    Those that came of one another by refreshing are a family, which ends when one of its refresh tokens is used twice.
    """

    __tablename__ = "oauth_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    refresh_hash: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    family: Mapped[str | None] = mapped_column(index=True)  # of tokens from before there were families: none
    organization_id: Mapped[str] = _organization()
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.id", ondelete="CASCADE"))
    subject: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    issued: Mapped[datetime] = mapped_column(Utc, default=now)
    expires: Mapped[datetime] = mapped_column(Utc, index=True)
    refresh_expires: Mapped[datetime | None] = mapped_column(Utc)
    revoked: Mapped[datetime | None] = mapped_column(Utc)

    organization: Mapped[Organization] = relationship(lazy="joined", innerjoin=True)


class IdempotentRequest(Base):
    """A request under an idempotency key: at work while `status` is null, and then with its answer."""

    __tablename__ = "idempotent_requests"

    id: Mapped[str] = mapped_column(primary_key=True)  # hash of organization, method, path and key
    organization_id: Mapped[str] = _organization()
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    seed: Mapped[bytes] = mapped_column(LargeBinary)
    held_until: Mapped[datetime] = mapped_column(Utc)
    expires: Mapped[datetime] = mapped_column(Utc, index=True)
    status: Mapped[int | None]
    headers: Mapped[dict[str, str] | None] = mapped_column(JSON)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


class SearchRecord(Base):
    """A search that was answered, kept as long as the organization's retention says."""

    __tablename__ = "searches"
    __table_args__ = (Index("searches_by_time", "organization_id", "created"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    subject: Mapped[str]
    query: Mapped[str | None]  # None where the question was no words
    total: Mapped[int]
    milliseconds: Mapped[float]
    created: Mapped[datetime] = mapped_column(Utc)


class SearchAppearance(Base):
    """A video on a page of results, and how often it was clicked; of its clicks, how many events have told."""

    __tablename__ = "search_appearances"
    __table_args__ = (
        Index("appearances_of_video", "organization_id", "video_id", "created"),
        Index(
            "appearances_with_untold_clicks",
            "organization_id",
            "created",
            sqlite_where=text("clicks > clicks_told"),
            postgresql_where=text("clicks > clicks_told"),
        ),
    )

    search_id: Mapped[str] = mapped_column(ForeignKey("searches.id", ondelete="CASCADE"), primary_key=True)
    video_id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    position: Mapped[int]  # on the page, from 1
    score: Mapped[float]
    clicks: Mapped[int] = mapped_column(default=0)
    clicks_told: Mapped[int] = mapped_column(default=0, server_default="0")
    created: Mapped[datetime] = mapped_column(Utc)


class UsageDay(Base):
    """How much an organization did on a day (UTC)."""

    __tablename__ = "usage"

    organization_id: Mapped[str] = _organization(primary=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class Event(Base):
    """Something that happened, written in the transaction of its cause. Webhooks and streams read from here."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("id"),
        Index("events_of_organization", "organization_id", "sequence"),
        {"sqlite_autoincrement": True},  # the number of one that was deleted is not given again
    )

    sequence: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    id: Mapped[str]
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    type: Mapped[str]
    subject: Mapped[str | None]  # what it is about, such as a video's id; events of one subject are told in order
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(Utc, default=now)


class WebhookEndpoint(Base):
    """Where an organization wants its events. Its secret signs them, so it is kept as it is."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = _organization()
    url: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    event_types: Mapped[list[str]] = mapped_column(JSON, default=list)  # none: all
    max_concurrency: Mapped[int] = mapped_column(default=4)
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_expires: Mapped[datetime | None] = mapped_column(Utc)
    rotation: Mapped[str | None]  # as of a key
    created: Mapped[datetime] = mapped_column(Utc, default=now)
    disabled: Mapped[datetime | None] = mapped_column(Utc)
    disabled_reason: Mapped[str | None]


class Delivery(Base):
    """An event on its way to an endpoint. Written with the event; at work while `lease_expires` lies ahead."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("deliveries_due", "status", "next_attempt"),
        Index("deliveries_of_subject", "endpoint_id", "subject", "sequence"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = _organization()
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    sequence: Mapped[int] = mapped_column(ForeignKey("events.sequence", ondelete="CASCADE"), index=True)
    subject: Mapped[str | None]
    replay: Mapped[bool] = mapped_column(default=False)  # of an event that was on its way before; tried once
    status: Mapped[str] = mapped_column(default="pending")  # pending, delivered, failed
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt: Mapped[datetime] = mapped_column(Utc, default=now)
    lease_expires: Mapped[datetime | None] = mapped_column(Utc)
    created: Mapped[datetime] = mapped_column(Utc, default=now, index=True)
    finished: Mapped[datetime | None] = mapped_column(Utc)

    endpoint: Mapped[WebhookEndpoint] = relationship(lazy="joined", innerjoin=True)
    event: Mapped[Event] = relationship(lazy="joined", innerjoin=True)


class DeliveryAttempt(Base):
    """One request of a delivery, and what came of it."""

    __tablename__ = "delivery_attempts"

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(Utc)
    milliseconds: Mapped[float]
    request_headers: Mapped[dict[str, str]] = mapped_column(JSON)
    status_code: Mapped[int | None]
    response_headers: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    response_body: Mapped[str] = mapped_column(default="")
    error: Mapped[str | None]


class Inspector(Base):
    """An endpoint of the server's own, to look at what webhooks carry."""

    __tablename__ = "inspectors"

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = _organization()
    secret: Mapped[str | None]  # what to verify with
    respond_with: Mapped[int] = mapped_column(default=200)
    created: Mapped[datetime] = mapped_column(Utc, default=now)


class InspectorRequest(Base):
    """A request that an inspector received."""

    __tablename__ = "inspector_requests"

    id: Mapped[str] = mapped_column(primary_key=True)
    inspector_id: Mapped[str] = mapped_column(ForeignKey("inspectors.id", ondelete="CASCADE"), index=True)
    received: Mapped[datetime] = mapped_column(Utc, default=now)
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class PrivacyReceipt(Base):
    """Proof of a deletion; kept when all else of the organization is gone. Names counts, never what was deleted."""

    __tablename__ = "privacy_receipts"

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = _organization()
    created: Mapped[datetime] = mapped_column(Utc, default=now)
    receipt: Mapped[dict[str, Any]] = mapped_column(JSON)


class Secret(Base):
    """A secret of the server itself, the same for all its processes."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
