"""`pixr index`: put videos into a library."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pixr.cli.console import fail, is_terminal, print_json, print_table, with_code
from pixr.cli.download import DownloadError, download
from pixr.cli.encoding import Precision, Providers, encoder_options
from pixr.cli.filters import parse_metadata
from pixr.cli.folders import LibraryFolder
from pixr.cli.locking import LockTimeout
from pixr.cli.progress import IndexProgress
from pixr.cli.sources import expand, is_url
from pixr.errors import MissingExtra, PixrError, UnreadableVideo
from pixr.ingest_options import ScreenOptions, SpeechOptions
from pixr.media.freed_memory import keep_freed
from pixr.scratch import scratch_folder
from pixr.show.clock import clock
from pixr.source_files import path_to_source
from pixr.types import Sync
from pixr.wire import error_to_dict, video_to_dict

if TYPE_CHECKING:
    from pixr.ingest.known_content import KnownContent
    from pixr.library import Library
    from pixr.progress import Outcome, Source
    from pixr.types import Video

__all__ = ["register"]

# A terminal is shown no longer table than this.
_MOST_ROWS_SHOWN = 50

HELP = """Put videos into a library; it is made if it is not there.

A folder stands for the videos below it, told by the endings of their names; links to further folders are not followed.
What is in the library already (by content) is skipped, so the same command goes on where it was interrupted. Where a
file has other content than before it is one more video, and a warning names the one before. A broken file is reported
with its reason, and the rest goes on.

\b
Examples:
  pixr index films.pixr holiday.mp4 --title "Lisbon, spring" --tag travel
  pixr index films.pixr ~/Videos --jobs 2 --no-screen
  pixr index films.pixr https://example.com/talk.webm --metadata room=12
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("index", help=HELP)(index)


def index(
    library: LibraryFolder,
    sources: Annotated[list[str], typer.Argument(metavar="FILE|DIR|URL...", help="What to index.")],
    title: Annotated[str, typer.Option(help="Title (for a single video); the file's name if not given.")] = "",
    description: Annotated[str, typer.Option(help="Description, for all of them.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(metavar="K=V", help="Any value; may be repeated.")] = None,
    captions: Annotated[
        str | None,
        typer.Option(metavar="FILE|beside", help="What is said: a file, or the .srt or .vtt beside each video."),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|DIR", help="A model's name or folder; may be repeated, each for its channels."),
    ] = None,
    precision: Precision = "auto",
    provider: Providers = None,
    speech: Annotated[bool, typer.Option("--speech/--no-speech", help="Recognise what is said.")] = True,
    speech_model: Annotated[
        str | None, typer.Option(metavar="NAME|DIR", help="A Whisper model that was pulled, or its folder.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="What is spoken, such as de; detected if not given.")
    ] = None,
    subtitles: Annotated[
        bool, typer.Option("--subtitles/--no-subtitles", help="Take what is said from the subtitles in a file, if any.")
    ] = True,
    screen: Annotated[bool, typer.Option("--screen/--no-screen", help="Read words on the screen.")] = True,
    screen_language: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="What is written on the screen, such as ja; may be repeated."),
    ] = None,
    screen_model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|DIR", help="PaddleOCR recognisers in ONNX, for languages that the own one can't write."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Videos at work at the same time; half of the cores, 2 to 8, if not given."),
    ] = None,
    lock_timeout: LockTimeout = 0.0,
    sync: Annotated[Sync, typer.Option(help="What a write waits for: the disk, or not.")] = "always",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    try:
        values = parse_metadata(metadata or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--metadata") from None
    if "" in (tag or ()):  # before a library is made that no video gets into
        raise typer.BadParameter("a tag is empty", param_hint="--tag")
    targets = _targets(sources)
    _check_single(targets, title, captions)

    keep_freed()
    stages = ("decode", "visual", *(("speech",) if speech else ()), *(("screen",) if screen else ()))
    run = _Run(targets)
    with IndexProgress(len(targets), stages) as progress:
        order = _Order(
            opening={
                "encoder": encoder or None,
                "encoder_options": encoder_options(precision, provider),
                "lock_timeout": lock_timeout,
                "sync": sync,
            },
            details={"title": title, "description": description, "tags": tuple(tag or ()), "metadata": values},
            captions=captions,
            speech=speech and SpeechOptions(speech_model, language, subtitles=subtitles),
            screen=screen and ScreenOptions(tuple(screen_language or ()), screen_model),
            jobs=jobs,
        )
        unreadable = {} if library.exists() else _unreadable(targets)
        for target, reason in unreadable.items():
            run.failed(target, reason)
            progress.done(target)
            progress.print(f"failed: {target}: {with_code(reason)}")
        failure: PixrError | None = None
        if not unreadable:  # else there is nothing to make a library for
            try:
                _index(library, order, run, progress)
            except PixrError as error:
                failure = error
    if failure is not None and not run.rows:
        raise failure
    run.report(as_json)
    if failure is not None:
        fail(failure)
    if run.interrupted:
        raise typer.Exit(130)
    if run.count("failed"):
        raise typer.Exit(1)


def _targets(sources: list[str]) -> list[str]:
    if "" in sources:  # it would mean the current folder, when a script's variable was not set
        raise typer.BadParameter("the name of a file is empty", param_hint="FILE|DIR|URL...")
    targets = expand(sources)
    if not targets:
        raise typer.BadParameter("there is no video in " + ", ".join(sources), param_hint="FILE|DIR|URL...")
    return targets


def _check_single(targets: list[str], title: str, captions: str | None) -> None:
    """Refuse several videos where what is given can only be meant for one."""
    if title and len(targets) > 1:
        raise typer.BadParameter(f"one title for {len(targets)} videos", param_hint="--title")
    if captions not in (None, "beside"):
        if len(targets) > 1:
            raise typer.BadParameter(f"one file for {len(targets)} videos; use beside", param_hint="--captions")
        if not Path(captions).is_file():
            raise typer.BadParameter(f"there is no file {captions}", param_hint="--captions")


@dataclass(frozen=True)
class _Order:
    """What the command's options ask for.

    Attributes:
        opening: how to open the library.
        details: what is known of every video: title, description, tags and metadata.
        captions: a file, or "beside" for the one beside each video.
        speech: how speech is recognised, if it is.
        screen: how words on screen are read, if they are.
        jobs: how many videos are at work at the same time; None for the default.
    """

    opening: dict[str, Any]
    details: dict[str, Any]
    captions: str | None
    speech: SpeechOptions | Literal[False]
    screen: ScreenOptions | Literal[False]
    jobs: int | None


class _Run:
    """What has become of each source so far."""

    def __init__(self, targets: list[str]) -> None:
        self.targets = targets
        self.rows: list[dict[str, Any]] = []
        self.interrupted = False
        self._warned: set[str] = set()
        self._began = time.perf_counter()

    def count(self, status: str) -> int:
        return sum(row["status"] == status for row in self.rows)

    def failed(self, source: str, error: BaseException) -> None:
        self.rows.append({"source": source, "status": "failed", "error": error_to_dict(error)})

    def outcome(self, outcome: Outcome, video: Video | None, source: str) -> None:
        if outcome.status == "failed" or video is None:
            self.failed(source, outcome.error or RuntimeError("no reason given"))
        else:
            status = "completed" if outcome.status == "added" else outcome.status
            self.rows.append(
                video_to_dict(video) | {"source": source, "status": status, "warnings": list(outcome.warnings)}
            )

    def new_warnings(self, outcome: Outcome) -> list[str]:
        """The warnings that no video before had: an extra that is missing is missing for all of them."""
        fresh = [warning for warning in outcome.warnings if warning not in self._warned]
        self._warned.update(fresh)
        return fresh

    def report(self, as_json: bool) -> None:
        seconds = time.perf_counter() - self._began
        left = len(self.targets) - len(self.rows)
        if as_json:
            print_json({"videos": self.rows, "seconds": seconds, "interrupted": self.interrupted, "left": left})
            return
        if len(self.rows) <= _MOST_ROWS_SHOWN or not is_terminal():
            print_table(("status", "source", "length", "note"), [_cells(row) for row in self.rows], right=("length",))
        if self.interrupted or is_terminal():
            counts = (
                f"{self.count('completed')} added, {self.count('skipped')} there already, {self.count('failed')} failed"
            )
            print(f"{counts}, in {clock(seconds)}")
        if self.interrupted:
            print(f"Interrupted with {left} left. What was added is kept; the same command goes on from here.")


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    if row["status"] == "failed":
        return "failed", row["source"], "", row["error"]["detail"]
    return row["status"], row["source"], clock(row["duration"]), row["videoId"]


def _unreadable(targets: list[str]) -> dict[str, UnreadableVideo]:
    """Why each target is not a video, if none is one; else nothing, and indexing reports it. A URL may lead to one."""
    from pixr.media import probe_video

    reasons: dict[str, UnreadableVideo] = {}
    for target in targets:
        if is_url(target):
            return {}
        try:
            probe_video(os.path.abspath(target))
        except UnreadableVideo as error:
            reasons[target] = error
        else:
            return {}
    return reasons


def _index(library: Path, order: _Order, run: _Run, progress: IndexProgress) -> None:
    import pixr
    from pixr.ingest.known_content import KnownContent

    if not library.exists():
        _have_what_indexing_needs(order)
    place = Path(tempfile.gettempdir())
    with scratch_folder(place, "pixr-index-") as scratch, pixr.open(library, **order.opening) as opened:
        before = KnownContent(opened.videos() if any(map(is_url, run.targets)) else (), skip=False)
        files = _Files(order, run, progress, scratch)
        try:
            for one in opened.add_many(
                files.sources(),
                speech=order.speech,
                screen=order.screen,
                jobs=order.jobs,
                on_progress=progress.step,
            ):
                path = str(one.source.path)
                given = files.target_of(path)
                outcome, video = files.release(one, opened, before)
                run.outcome(outcome, video, given)
                progress.done(given, path)
                if outcome.error is not None:
                    progress.print(f"failed: {given}: {with_code(outcome.error)}")
                for warning in run.new_warnings(outcome):
                    progress.print(f"warning: {given}: {warning}")
        except KeyboardInterrupt:
            run.interrupted = True


class _Files:
    """The files that the targets stand for. Those of URLs are fetched into `scratch`, and removed once indexed."""

    def __init__(self, order: _Order, run: _Run, progress: IndexProgress, scratch: Path) -> None:
        self._order = order
        self._run = run
        self._progress = progress
        self._scratch = scratch
        self._targets: dict[str, str] = {}
        self._fetched: set[str] = set()

    def sources(self) -> Iterator[Source]:
        """Local files as they are. URLs are fetched when their turn comes, so that only one for each job is on disk."""
        from pixr.captions import beside
        from pixr.progress import Source

        captions = self._order.captions
        for number, target in enumerate(self._run.targets):
            path = Path(os.path.abspath(target))  # the library outlives this process's current folder
            if is_url(target):
                try:
                    path = _fetch(target, self._scratch / str(number), self._progress)
                    self._fetched.add(str(path))
                except DownloadError as error:
                    self._run.failed(target, error)
                    self._progress.print(f"failed: {with_code(error)}")
                    self._progress.done(target)
                    continue
            self._targets[str(path)] = target
            yield Source(path, **self._order.details, captions=beside(path) if captions == "beside" else captions)

    def target_of(self, path: str) -> str:
        """The file or URL on the command line that a source's path stands for."""
        return self._targets[path]

    def release(self, outcome: Outcome, library: Library, before: KnownContent) -> tuple[Outcome, Video | None]:
        """Remove a fetched file, and make its URL the source of the video. Returns the outcome and video after that."""
        path, video = str(outcome.source.path), outcome.video
        if path in self._fetched:
            if video is not None and video.source == path_to_source(path):
                url = self.target_of(path)
                video = library.update(video.id, source=url)
                outcome = replace(outcome, warnings=(*outcome.warnings, *before.warnings(video, url)))
            os.unlink(path)
        return outcome, video


def _have_what_indexing_needs(order: _Order) -> None:
    """Fail before a library is made, if nothing could be indexed into it.

    Raises:
        MissingExtra, ModelNotFound, ModelError, SpeechUnavailable.
    """
    from pixr.encoders.load import DEFAULT_MODEL, load_encoders
    from pixr.media.screen_model import find_recogniser

    if order.screen:
        with suppress(MissingExtra):  # indexing goes on without words on screen, and says so
            find_recogniser(order.screen.languages, order.screen.model)
    if order.speech and order.speech.is_named:
        from pixr.media.speech import SpeechRecogniser

        SpeechRecogniser(order.speech.model, language=order.speech.language)
    load_encoders(order.opening["encoder"] or DEFAULT_MODEL, order.opening["encoder_options"])
    if find_spec("av") is None:
        raise MissingExtra("av", "media")


def _fetch(url: str, folder: Path, progress: IndexProgress) -> Path:
    folder.mkdir()

    def show(received: int, expected: int | None) -> None:
        progress.note(url, f"fetched {received >> 20}" + (f" of {expected >> 20} MB" if expected else " MB"))

    return download(url, folder, on_bytes=show)
