"""Configuration: from flags, else the environment (`PIXR_PORT=…`), else one TOML file, else the defaults here.

Everything is checked before anything starts. `InvalidSettings` has a line for each thing that is wrong.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

__all__ = ["InvalidSettings", "Plan", "Settings", "load_settings"]

MIB = 1 << 20


class InvalidSettings(ValueError):
    """The configuration can't be used. The message has a line for each reason."""


class Plan(BaseModel):
    """What an organization may use. `monthly_calls` none: without a bound."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: int = Field(gt=0, le=1_000_000, description="requests a second")
    monthly_calls: int | None = Field(default=None, ge=0)


class TrustedIssuer(BaseModel):
    """Whose JSON Web Tokens are accepted beside the server's own, and for which organization."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str
    organization: str
    audience: str = "pixr"
    algorithm: Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"] = "RS256"
    jwks_url: str | None = Field(default=None, pattern="^https?://")
    jwks_file: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> TrustedIssuer:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("give either jwks_url or jwks_file")
        return self


class Deprecation(BaseModel):
    """A path, or with `/v1` a whole version, that will go, and when: twelve months after it was said, or later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(pattern=r"^/[^\s]*[^\s/]$", description="and all below it; `{name}` stands for any part")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    deprecated: datetime
    sunset: datetime | None = None
    documentation: str | None = Field(default=None, pattern=r"^https?://[^\s<>]+$")
    successor: str | None = Field(default=None, pattern=r"^(https?://|/)[^\s<>]*$")

    @field_validator("deprecated", "sunset")
    @classmethod
    def _in_utc(cls, instant: datetime | None) -> datetime | None:
        return instant if instant is None else instant.astimezone(timezone.utc)

    @model_validator(mode="after")
    def _with_notice(self) -> Deprecation:
        if self.sunset is not None and self.sunset - self.deprecated < timedelta(days=365):
            raise ValueError("sunset is less than twelve months after deprecated")
        return self


PLANS = {
    "developer": Plan(rate=10, monthly_calls=1_000),
    "startup": Plan(rate=100, monthly_calls=100_000),
    "business": Plan(rate=100, monthly_calls=1_000_000),
    "enterprise": Plan(rate=1000),
}


class Settings(BaseSettings):
    """All that can be configured. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="PIXR_", extra="forbid", frozen=True)

    # where things are
    library: Path | None = Field(default=None, description="serve one library as one organization")
    data: Path | None = Field(default=None, description="directory of many organizations")
    database: str | None = Field(default=None, description="postgresql://… or sqlite:///…; by default SQLite in `data`")
    encoder: str | None = None
    regions: dict[str, Path] = Field(
        default={}, description="the data directory of each region that organizations name"
    )
    sandbox_clips: Path | None = Field(
        default=None, description="videos that sandboxes hold, captions beside them; by default three that are drawn"
    )

    # how it is reached
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str | None = Field(default=None, pattern=r"^https?://[^\s/?#]+(/[^\s?#]*[^\s/?#])?$")
    workers: int = Field(default=1, ge=1, le=64, description="processes that answer requests")
    dev: bool = Field(default=False, description="no keys needed; loopback only")
    allowed_origins: list[Annotated[str, Field(pattern=r"^(\*|https?://[^\s/]+)$")]] | None = Field(
        default=None, description="whose pages may call the API from a browser; `*`, all, if not given; with `dev` none"
    )
    shutdown_timeout: float = Field(default=20.0, gt=0, le=600)
    traces: str | None = Field(
        default=None, pattern=r"^https?://[^\s]+$", description="an OpenTelemetry collector (OTLP over HTTP)"
    )
    trace_ratio: float = Field(default=1.0, ge=0, le=1, description="the part of requests that are traced")
    slow_client_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="how long a client may keep the server waiting: headers, body, reading"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    trusted_issuers: list[TrustedIssuer] = []

    # searching
    search_concurrency: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=1024,
        description="threads that one organization may fill with searches; a quarter more are left to the others",
    )
    search_queue: int = Field(default=64, ge=0, le=100_000, description="searches that may wait for a thread")
    open_libraries: int = Field(default=64, ge=1, le=100_000, description="libraries kept open at a time")

    # uploads and processing
    max_upload_bytes: int = Field(default=50 << 30, ge=1)
    upload_types: list[str] = ["video/*", "application/mp4", "application/mxf", "application/octet-stream"]
    upload_seconds: int = Field(default=86_400, ge=60, description="how long an upload may take")
    free_bytes: int = Field(default=1 << 30, ge=0, description="space on the disk that uploads leave free")
    ingest_workers: int = Field(default=1, ge=0, le=64, description="processes that process videos")
    ingest_attempts: int = Field(default=3, ge=1, le=20)
    ingest_seconds: float = Field(default=6 * 3600, gt=0, description="how long processing one video may take")
    max_video_seconds: float = Field(default=12 * 3600, gt=0)
    speech: bool = True
    screen: bool = True
    fetch_seconds: float = Field(default=3600, gt=0, description="how long fetching a URL may take")

    # GraphQL
    graphql_depth: int = Field(default=12, ge=1, le=100, description="how deep a query may go")
    graphql_cost: int = Field(default=20_000, ge=1, description="what a query may cost; see docs/SERVER.md")
    graphql_introspection: bool = Field(default=True, description="tell the schema to those who have credentials")

    deprecations: list[Deprecation] = []

    # webhooks
    webhook_concurrency: int = Field(default=16, ge=1, le=256, description="webhooks sent at a time, by each process")

    # uploads by URL, and webhooks
    allowed_networks: list[IPvAnyNetwork] = Field(
        default=[], description="private networks that URLs and webhooks may reach"
    )

    # limits
    max_body_bytes: int = Field(default=MIB, ge=1024, le=1 << 30)
    plans: dict[str, Plan] = Field(default={}, validate_default=True, description="others, or others of these names")
    default_plan: str = "developer"
    failed_logins_per_second: float = Field(default=2.0, gt=0, description="from one address")
    strangers_per_second: float = Field(
        default=10_000.0, gt=0, description="requests without credentials from one address: pages, pictures, health"
    )
    free_calls: int = Field(default=10_000, ge=0, description="calls of a new organization before its plan counts")

    @field_validator("plans")
    @classmethod
    def _beside_the_usual(cls, given: dict[str, Plan]) -> dict[str, Plan]:
        """Naming one plan must not take the others away from the organizations that have them."""
        return PLANS | given

    @field_validator("public_url", mode="before")
    @classmethod
    def _without_slash(cls, given: Any) -> Any:
        return given.rstrip("/") if isinstance(given, str) else given

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.library is None and self.data is None:
            raise ValueError("give a LIBRARY to serve, or `data`, the directory of many")
        if self.dev and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"`dev` answers without keys, so it listens on loopback only, not on {self.host}")
        if self.default_plan not in self.plans:
            raise ValueError(f"default_plan {self.default_plan!r} is not one of {', '.join(self.plans)}")
        if self.database is not None and not self.database.startswith(("postgresql://", "sqlite:///")):
            raise ValueError("database begins with postgresql:// or sqlite:///")
        return self

    def plan(self, name: str) -> Plan:
        """The plan of this name, or the default plan if there is none."""
        return self.plans.get(name, self.plans[self.default_plan])

    @property
    def data_directory(self) -> Path:
        """The directory of everything but a single library: `data`, or `NAME.server` beside the library."""
        if self.data is not None:
            return self.data.absolute()
        assert self.library is not None
        library = self.library.absolute()
        return library.with_name(library.name.removesuffix(".pixr") + ".server")

    @property
    def database_url(self) -> str:
        """`database`, or SQLite in the data directory."""
        return self.database or f"sqlite:///{self.data_directory / 'server.db'}"

    @property
    def browser_origins(self) -> list[str]:
        """`allowed_origins`, or the default. With `dev`, pages of this machine need not be named."""
        if self.allowed_origins is not None:
            return self.allowed_origins
        return [] if self.dev else ["*"]

    @property
    def base_url(self) -> str:
        """How clients reach the server, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"


def load_settings(file: Path | None = None, **flags: Any) -> Settings:
    """Settings from flags (those that are not None), environment and a TOML file; the first that has one counts.

    Raises:
        InvalidSettings: with a line for each thing that is wrong.
    """
    if file is not None and not file.is_file():
        raise InvalidSettings(f"{file}: no such file")

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the order is the caller's
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
            return sources if file is None else (*sources, TomlConfigSettingsSource(settings_cls, file))

    try:
        found = FromFile(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise InvalidSettings("\n".join(_lines(error))) from None
    except ValueError as error:  # TOML or JSON that can't be read
        raise InvalidSettings(f"{file or 'environment'}: {error}") from None
    return Settings.model_construct(_fields_set=found.model_fields_set, **dict(found))


def _lines(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {message}" if where else message)
    return lines
