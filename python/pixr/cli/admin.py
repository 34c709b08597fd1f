"""`pixr admin`: organizations, keys, plans and retention of a server, also while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pixr.cli.console import fail, print_fields, print_json, print_table
from pixr.cli.serve import settings_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pixr.server.database import Database
    from pixr.server.models import ApiKey, Organization
    from pixr.server.settings import Settings

__all__ = ["app"]

app = typer.Typer(
    help="Manage the organizations and keys of a server. Name it as for `pixr serve`: --library, --data or --config.",
    no_args_is_help=True,
)

_Library = Annotated[Path | None, typer.Option(metavar="LIBRARY", help="The library that is served.")]
_Data = Annotated[Path | None, typer.Option(metavar="DIR", help="The server's data directory.")]
_DatabaseUrl = Annotated[str | None, typer.Option(metavar="URL", help="The server's database.")]
_Config = Annotated[Path | None, typer.Option(metavar="FILE.toml", help="The server's settings.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Id = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="Its id, org_…")]
_KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Its id, pk_…")]


@app.callback()
def _server(
    context: typer.Context,
    library: _Library = None,
    data: _Data = None,
    database: _DatabaseUrl = None,
    config: _Config = None,
) -> None:
    context.obj = {"library": library, "data": data, "database": database, "config": config}


@app.command("organizations")
def organizations(context: typer.Context, as_json: _Json = False) -> None:
    """List the organizations."""
    from pixr.server.organizations import list_organizations

    with _session(context) as (session, _):
        found = [_organization(one) for one in list_organizations(session)]
    if as_json:
        print_json({"organizations": found})
    else:
        columns = ("id", "name", "plan", "retentionDays", "suspended")
        print_table(columns, [_cells(one, columns) for one in found])


@app.command("create-organization")
def create_organization(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is called.")],
    plan: Annotated[str | None, typer.Option(help="Its plan; the default one if not given.")] = None,
    region: Annotated[str | None, typer.Option(help="Where its data lies.")] = None,
    as_json: _Json = False,
) -> None:
    """Add an organization with a live and a test key, which are shown this once."""
    from pixr.server.keys import Environment, create_key
    from pixr.server.organizations import create_organization as create

    with _session(context) as (session, settings):
        if settings.library is not None:
            _refuse("INVALID_REQUEST", "one library is served as one organization; serve with --data to have more")
        if region is not None and region not in settings.regions:
            known = ", ".join(settings.regions) or "none"
            _refuse("INVALID_REQUEST", f"no region {region!r}; `regions` of the settings has {known}")
        made = create(session, name, _plan(settings, plan or settings.default_plan), region=region)
        shown = _organization(made)
        environments: tuple[Environment, ...] = ("live", "test")
        for environment in environments:
            key, secret = create_key(session, made.id, name=f"first {environment} key", environment=environment)
            shown[f"{environment}Key"] = {"keyId": key.id, "secret": secret}
    _print(shown, as_json)


@app.command("change-organization")
def change_organization(
    context: typer.Context,
    organization: _Id,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    plan: Annotated[str | None, typer.Option(help="A new plan.")] = None,
    retention_days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="How long searches and clicks are kept.")
    ] = None,
    suspend: Annotated[bool | None, typer.Option("--suspend/--resume", help="Refuse its keys, or take them.")] = None,
    as_json: _Json = False,
) -> None:
    """Change name, plan or retention; suspend or resume."""
    from pixr.server.database import now
    from pixr.server.organizations import find_sandbox

    with _session(context) as (session, settings):
        found = _find(session, organization)
        found.name = name or found.name
        found.plan = found.plan if plan is None else _plan(settings, plan)
        found.retention_days = retention_days or found.retention_days
        if suspend is not None:
            found.suspended = (found.suspended or now()) if suspend else None
        if (sandbox := find_sandbox(session, found.id)) is not None:
            sandbox.plan, sandbox.suspended = found.plan, found.suspended
        shown = _organization(found)
    _print(shown, as_json)


@app.command("reset-sandbox")
def reset_sandbox(
    context: typer.Context,
    organization: Annotated[
        str | None, typer.Argument(metavar="ORGANIZATION", help="Whose sandbox; those that are due if not given.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Make a sandbox as new now, with the test clips; a running server does it every midnight (UTC)."""
    from pixr.server.homes import Homes
    from pixr.server.libraries import Libraries
    from pixr.server.organizations import sandbox_of
    from pixr.server.sandbox.sandboxes import Sandboxes

    with _session(context) as (session, settings):
        id = sandbox_of(session, _find(session, organization)).id if organization is not None else None
    with _database(settings) as database:
        homes = Homes(settings.data_directory, settings.regions, database)
        libraries = Libraries(
            settings.data_directory, homes, single=settings.library, most_open=1, encoder=settings.encoder
        )
        sandboxes = Sandboxes(settings, database, libraries)
        if id is not None:
            _print({"organization": id, "clips": sandboxes.reset(id)}, as_json)
        else:
            count = 0
            while sandboxes.reset_next():
                count += 1
            _print({"reset": count}, as_json)
        libraries.close()


@app.command("keys")
def keys(context: typer.Context, organization: _Id, as_json: _Json = False) -> None:
    """List an organization's keys, without secrets."""
    from pixr.server.keys import list_keys

    with _session(context) as (session, _):
        found = [_key(key) for key in list_keys(session, _find(session, organization).id)]
    if as_json:
        print_json({"keys": found})
    else:
        columns = ("keyId", "name", "environment", "scopes", "expires", "revoked")
        print_table(columns, [_cells(one, columns) for one in found])


@app.command("create-key")
def create_key(
    context: typer.Context,
    organization: _Id,
    name: Annotated[str, typer.Option(help="What it is for.")] = "made by the operator",
    scope: Annotated[list[str] | None, typer.Option(help="What it may do; may repeat; all if not given.")] = None,
    test: Annotated[bool, typer.Option("--test", help="A test key.")] = False,
    days: Annotated[int | None, typer.Option(min=1, help="How long it is valid; for ever if not given.")] = None,
    as_json: _Json = False,
) -> None:
    """Add a key; its secret is shown this once."""
    from pixr.server.database import now
    from pixr.server.keys import create_key as create
    from pixr.server.principal import SCOPES

    scopes = scope or list(SCOPES)
    if unknown := [one for one in scopes if one not in SCOPES]:
        fail(f"no scope {', '.join(unknown)}; scopes are {', '.join(SCOPES)} [INVALID_REQUEST]", exit_code=2)
    with _session(context) as (session, _):
        key, secret = create(
            session,
            _find(session, organization).id,
            name=name,
            environment="test" if test else "live",
            scopes=scopes,
            expires=now() + timedelta(days=days) if days else None,
        )
        shown = _key(key) | {"secret": secret}
    _print(shown, as_json)


@app.command("rotate-key")
def rotate_key(
    context: typer.Context,
    key: _KeyId,
    overlap: Annotated[int, typer.Option(min=0, help="Seconds for which the old secret stays valid.")] = 86_400,
    as_json: _Json = False,
) -> None:
    """Give a key a new secret, shown this once."""
    from pixr.server.keys import rotate_key as rotate

    with _session(context) as (session, _):
        made, secret = rotate(session, _owner(session, key), key, timedelta(seconds=overlap))
        shown = _key(made) | {"secret": secret}
    _print(shown, as_json)


@app.command("revoke-key")
def revoke_key(context: typer.Context, key: _KeyId, as_json: _Json = False) -> None:
    """Revoke a key at once."""
    from pixr.server.keys import revoke_key as revoke

    with _session(context) as (session, _):
        shown = _key(revoke(session, _owner(session, key), key))
    _print(shown, as_json)


@contextmanager
def _session(context: typer.Context) -> Iterator[tuple[Session, Settings]]:
    given = dict(context.obj)
    settings = settings_of(given.pop("config"), **given)
    with _database(settings) as database, database.write() as session:
        yield session, settings


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    from pixr.server.database import Database
    from pixr.server.errors import ApiError

    database = Database(settings.database_url)
    try:
        database.migrate()
        yield database
    except ApiError as error:
        fail(f"{error.detail} [{error.code}]")
    finally:
        database.close()


def _find(session: Session, id: str) -> Organization:
    from pixr.server.organizations import find_organization

    found = find_organization(session, id)
    return found if found is not None else _refuse("NOT_FOUND", f"no organization {id!r}")


def _owner(session: Session, key: str) -> str:
    from pixr.server.models import ApiKey

    found = session.get(ApiKey, key)
    return found.organization_id if found is not None else _refuse("KEY_NOT_FOUND", f"no key {key!r}")


def _plan(settings: Settings, name: str) -> str:
    if name not in settings.plans:
        _refuse("INVALID_REQUEST", f"no plan {name!r}; plans are {', '.join(settings.plans)}")
    return name


def _refuse(code: str, detail: str) -> NoReturn:
    """End with a code of the server's table; `_database` tells it."""
    from pixr.server.errors import ApiError

    raise ApiError(code, detail)


def _cells(one: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, ...]:
    return tuple("" if one[name] is None else str(one[name]) for name in columns)


def _organization(one: Organization) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "plan": one.plan,
        "region": one.region,
        "retentionDays": one.retention_days,
        "created": one.created.isoformat(),
        "suspended": one.suspended.isoformat() if one.suspended else None,
    }


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "keyId": key.id,
        "name": key.name,
        "environment": key.environment,
        "scopes": list(key.scopes),
        "expires": key.expires.isoformat() if key.expires else None,
        "revoked": key.revoked.isoformat() if key.revoked else None,
    }


def _print(shown: dict[str, Any], as_json: bool) -> None:
    print_json(shown) if as_json else print_fields(shown)
