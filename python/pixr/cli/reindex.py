"""`pixr reindex`: embed a library anew with other models."""

from __future__ import annotations

from typing import Annotated

import typer

from pixr.cli.console import complain, print_json
from pixr.cli.encoding import Precision, Providers, encoder_options
from pixr.cli.folders import LibraryFolder
from pixr.cli.locking import LockTimeout
from pixr.cli.progress import IndexProgress

__all__ = ["register"]

HELP = """Embed a library anew with other models. It is searched as before until all is done, then with the new ones.

Stored words are encoded again; pictures and sound are read from the videos' files, which must be where they were. An
interrupted run goes on with the same command.

\b
Examples:
  pixr reindex films.pixr --encoder clip-vit-b32
  pixr reindex films.pixr --encoder ~/models/siglip --encoder multilingual-e5-small
  pixr reindex films.pixr --encoder embedded
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reindex", help=HELP)(reindex)


def reindex(
    library: LibraryFolder,
    encoder: Annotated[list[str], typer.Option(metavar="NAME|DIR", help="A model's name or folder; may be repeated.")],
    precision: Precision = "auto",
    provider: Providers = None,
    leave_out_failed: Annotated[
        bool, typer.Option("--leave-out-failed", help="Go over even if some videos can't be read any more.")
    ] = False,
    lock_timeout: LockTimeout = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    with pixr.open(library, read_only=True) as opened:  # so that others may write until the last step
        total = sum(1 for _ in opened.videos())
        with IndexProgress(total, ("store",)) as progress:
            report = opened.reindex(
                encoder,
                encoder_options=encoder_options(precision, provider),
                leave_out_failed=leave_out_failed,
                lock_timeout=lock_timeout,
                on_progress=lambda step: progress.done(step.video),
            )
    for video, reason in report.failed:
        complain(f"{video.id} ({video.title}): {reason}")
    if as_json:
        failed = [{"videoId": video.id, "detail": reason} for video, reason in report.failed]
        channels = list(report.channels)
        print_json({"channels": channels, "encoded": report.encoded, "failed": failed, "complete": report.complete})
    elif report.complete and not report.channels:
        print("Every channel is of these models already.")
    elif report.complete:
        print(f"{', '.join(report.channels)} changed; {report.encoded} videos encoded.")
    if not report.complete:
        complain(f"{len(report.failed)} videos can't be encoded: nothing changed; --leave-out-failed goes over anyway")
        raise typer.Exit(1)
