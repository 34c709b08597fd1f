"""`pixr serve`: answer the HTTP API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixr.cli.console import fail

if TYPE_CHECKING:
    from pixr.server.settings import Settings

__all__ = ["register", "settings_of"]

HELP = """Serve the HTTP API over one library, or with --data over many organizations, each with a library of its own.

The first start prints keys, once. What is not given here comes from the environment (PIXR_PORT=…), then from the file
given with --config, then from the defaults.

\b
Examples:
  pixr serve films.pixr
  pixr serve films.pixr --dev
  pixr serve --data /srv/pixr --workers 4 --database postgresql://pixr@db/pixr --config pixr.toml
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve", help=HELP)(serve)


def serve(
    library: Annotated[Path | None, typer.Argument(metavar="LIBRARY", help="The library's folder.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Serve many organizations from here.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 if not given.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 8080 if not given, 0 for any.")] = None,
    database: Annotated[str | None, typer.Option(metavar="URL", help="postgresql://… in place of SQLite.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer requests.")] = None,
    public_url: Annotated[str | None, typer.Option(metavar="URL", help="How clients reach the server.")] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Ask for no keys; listen on this machine only.")] = False,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Further settings.")] = None,
) -> None:
    settings = settings_of(
        config,
        library=library,
        data=data,
        host=host,
        port=port,
        database=database,
        workers=workers,
        public_url=public_url,
        dev=dev or None,
    )
    from pixr.server.serve import serve as run
    from pixr.server.tracing import check_tracing

    check_tracing(settings)
    run(settings)


def settings_of(config: Path | None, **flags: Any) -> Settings:
    """Settings, or the reasons why not, a line each, and exit code 2."""
    from pixr.server.settings import InvalidSettings, load_settings

    try:
        return load_settings(config, **flags)
    except InvalidSettings as error:
        *lines, last = str(error).splitlines()
        for line in lines:
            typer.echo(f"pixr: error: {line}", err=True)
        fail(last, exit_code=2)
