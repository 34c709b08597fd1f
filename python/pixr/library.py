"""What users hold: open a library, add videos, search.

The engine knows vectors, words and time; this module knows which encoder speaks which space and turns a question into
what the engine asks of each channel. Encoders and media code are loaded by the first call that needs them.
"""

from __future__ import annotations

import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr import _engine
from pixr.arguments import MOST_SECONDS, check_choice, check_id, check_name, check_number, check_whole_number
from pixr.asking import Asker
from pixr.batches import custom_spaces, one_batch
from pixr.convert import segments_from_batch, video_from_json, video_to_text
from pixr.encoder_choice import Given
from pixr.errors import InvalidBatch, InvalidQuery, StorageError
from pixr.ingest_options import ScreenOptions, SpeechOptions
from pixr.library_encoders import LibraryEncoders
from pixr.progress import Outcome, Progress, Reindexed, Source
from pixr.questions import Ask, Question
from pixr.rows import rows_of
from pixr.searching import SearchOptions, search
from pixr.set_spaces import check_spaces, set_spaces
from pixr.spaces import spaces_of
from pixr.titles import retitled
from pixr.types import (
    Channel,
    Creator,
    FacetMode,
    Fusion,
    Hits,
    Limits,
    Mode,
    Segment,
    Sync,
    Total,
    Video,
)
from pixr.upkeep import Upkeep

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa
    from numpy.typing import ArrayLike

    from pixr.captions import Caption
    from pixr.chapters import Chapter
    from pixr.encoders.protocol import EncoderOptions, Space
    from pixr.questions import File, Picture


def open(
    path: str | PathLike[str],
    *,
    create: bool = True,
    read_only: bool = False,
    snapshot: str | None = None,
    lock_timeout: float = 0.0,
    sync: Sync = "always",
    limits: Limits | None = None,
    encoder: Given | None = None,
    encoder_options: EncoderOptions | None = None,
) -> Library:
    """Open the library in directory `path`; made if absent, unless `create` is false.

    One handle may write, any number may read (`read_only=True` takes no lock and sees what the writer commits).

    Args:
        path: the library's directory.
        create: make the library if nothing is there.
        read_only: open for searching only; works on a read-only file system too.
        snapshot: open the snapshot of this name (`take_snapshot`) instead of the library as it is; read only.
        lock_timeout: seconds to wait for another writer to close before LibraryLocked.
        sync: when a write is acknowledged, and so what a power cut can lose. "always": when it is on disk; nothing.
            "group": when the system has it, synced every 20 ms; the last half second at most. "none": when the system
            has it; what came after the last commit. Killing the process loses nothing under any of them.
        limits: bounds on memory, log, parts and what cursors hold.
        encoder: name or folder of a model, or several; each fills the channels it can (pictures `frame`, sentences
            `speech` and `metadata`, sound `sound`) and the embedded models the rest. By default those that the library
            was indexed with.
        encoder_options: threads, providers, batch size, precision.

    Raises:
        LibraryNotFound, NotALibrary, LibraryLocked, FormatUnsupported, SnapshotNotFound, InvalidName, Damaged,
        StorageError.
        InvalidQuery: `lock_timeout`, `sync` or `limits` is none of what is said above.
        InvalidName: no snapshot can be called as `snapshot` says.
    """
    check_number("lock_timeout", lock_timeout, 0, MOST_SECONDS)
    check_choice("sync", sync, Sync)
    check_name(snapshot)
    if limits is not None and not isinstance(limits, Limits):
        raise InvalidQuery(f"limits is {type(limits).__name__}, pixr.Limits is expected")
    options = {
        "access": "read" if read_only or snapshot is not None else "create" if create else "write",
        "lock_timeout": lock_timeout,
        "sync": sync,
        "snapshot": snapshot,
        "limits": asdict(limits) if limits is not None else {},
    }
    if not fspath(path):  # not the folder that one happens to be in
        raise StorageError("the path of the library is empty")
    folder = Path(path).absolute()  # where it is now, wherever the process goes later
    engine = _engine.Library.open(folder, json.dumps(options))
    encoders = LibraryEncoders(folder, encoder, encoder_options)
    return Library(engine, folder, encoders, read_only=options["access"] == "read")


class Library(Upkeep):
    """One directory on disk: everything Pixr knows about a set of videos. Made by `pixr.open`.

    Safe to use from several threads, but not across a fork: a forked process opens the library for itself, calls on the
    handle that came with it raise LibraryClosed. A context manager: leaving it commits and closes.

    Attributes:
        read_only: whether this handle only reads.
    """

    def __init__(
        self,
        engine: _engine.Library,
        path: Path,
        encoders: LibraryEncoders,
        *,
        read_only: bool = False,
    ) -> None:
        super().__init__(engine, path)
        self.read_only = read_only
        self._encoders = encoders
        self._update_lock = threading.Lock()
        # What is said of videos is read and written under it, which takes no models and so no time.
        self._describe_lock = threading.Lock()

    @property
    def path(self) -> Path:
        """The library's directory."""
        return self._path

    # -- writing ------------------------------------------------------------------------------------------------------

    def add(
        self,
        source: str | PathLike[str],
        *,
        id: str | None = None,
        title: str = "",
        description: str = "",
        tags: Sequence[str] = (),
        created: str | None = None,
        quality: str | None = None,
        creator: Creator | None = None,
        metadata: Mapping[str, Any] | None = None,
        captions: str | PathLike[str] | None = None,
        speech: bool | SpeechOptions = True,
        screen: bool | ScreenOptions = True,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Video:
        """Index one video file: its pictures, speech, words on screen and metadata. Searchable when this returns.

        `speech` and `screen` may be left out; `SpeechOptions` and `ScreenOptions` choose other models or languages.
        A video with the same id is replaced in one step. Without `id`, the id is made from the content, so that adding
        the same file twice changes nothing but the metadata. `captions`, a file of SRT, WebVTT or JSON, says what is
        said, which is then not recognised. What has to be left out, such as speech where no recogniser is installed,
        is told by a RuntimeWarning.

        Raises:
            UnreadableVideo: the file can't be decoded; nothing was added.
            InvalidVideo: what is said of it can't be stored; nothing was added.
            InvalidCaptions: the captions can't be read; nothing was added.
            ModelError, ModelNotFound: no recogniser at hand can write the languages of `ScreenOptions`.
            MissingExtra: a media package is not installed.
        """
        made = Source(source, id, title, description, tags, created, quality, creator, metadata or {}, captions)
        outcomes = self.add_many([made], speech=speech, screen=screen, on_progress=on_progress, skip_known=False)
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
            for warning in outcome.warnings:
                warnings.warn(f"{os.fspath(source)}: {warning}", RuntimeWarning, stacklevel=2)
            if outcome.video is not None:
                return outcome.video
        raise InvalidQuery(f"nothing came of {source}")

    def add_many(
        self,
        sources: Iterable[Source | str | PathLike[str]],
        *,
        speech: bool | SpeechOptions = True,
        screen: bool | ScreenOptions = True,
        jobs: int | None = None,
        skip_known: bool = True,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Iterator[Outcome]:
        """Index files, `jobs` at a time, and yield what became of each. A broken file is reported, the rest goes on.

        So is a source of which something is said that can't be stored (InvalidVideo), before its video is decoded.
        By default `jobs` is half of the cores, two to eight, and one on one core. What is found does not depend on it.
        What had to be left out of a video stands in the `warnings` of its outcome.
        With `skip_known`, a file whose content is in the library already is skipped.

        Raises:
            InvalidQuery: `sources` is one source, or no list at all; `jobs` is no whole number from 1 on.
            MissingExtra: a package without which nothing can be indexed is not installed.
        """
        from pixr.ingest import ingest

        if isinstance(sources, str | bytes | PathLike | Source) or not isinstance(sources, Iterable):
            raise InvalidQuery(f"sources is {type(sources).__name__}, a list of paths or Sources is expected")
        made = (source if isinstance(source, Source) else Source(source) for source in sources)
        yield from ingest(
            self, made, speech=speech, screen=screen, jobs=jobs, skip_known=skip_known, on_progress=on_progress
        )

    def add_segments(
        self,
        batch: pa.RecordBatch | pa.Table,
        *,
        videos: Sequence[Video | Mapping[str, Any]] = (),
        spaces: Mapping[Channel, Space] | None = None,
    ) -> list[str]:
        """Add segments with your own vectors and texts; no media or model package is involved.

        Columns: `video_id` (string), `start`, `end` (float64 seconds), and for each kind of evidence a column named for
        its channel: a list of floats is a vector (normalised here), a string is text. `speech.vector` and `speech.text`
        name both of one channel, `frame.description` what is shown. A segment whose video, start and end are there
        already takes the new evidence; others are added. The batch is read without a copy and stored in one atomic
        step; one that is refused leaves nothing behind.

        Args:
            batch: a RecordBatch, a Table, or anything with `__arrow_c_array__` or `__arrow_c_stream__`, such as a frame
                of polars or pandas, or a RecordBatchReader; all that it has is one step.
            videos: metadata of videos named in the batch.
            spaces: which space each channel's vectors are of. By default the one that the library has for the channel;
                where it has none, one called "custom" of their dimension.

        Returns:
            The ids of the videos that the batch names, in order of appearance.

        Raises:
            InvalidBatch, InvalidVector, InvalidSpan, InvalidVideo, DimensionMismatch, SpaceMismatch.
            InvalidQuery: `spaces` are no spaces by channel.
        """
        if isinstance(videos, str | Mapping) or not isinstance(videos, Iterable):
            raise InvalidBatch(f"videos is {type(videos).__name__}, a list of videos is expected")
        if spaces is not None:
            check_spaces(spaces)
        rows = one_batch(batch)
        described = [video_to_text(video) for video in videos]
        set_spaces(self._engine, {**custom_spaces(rows, spaces_of(self._engine)), **(spaces or {})}, rows, described)
        with self._describe_lock:  # an update that is under way must not bring back what this replaces
            return self._engine.add_segments(rows, described)

    def update(self, id: str, **changes: Any) -> Video:
        """Change a video's metadata, such as `title="…"` or `tags=[…]`; its segments stay.

        Where title, description or tags change and their vector is of the library's encoder, it is made anew in the
        same step; without that encoder it goes, with a RuntimeWarning. Vectors of one's own stay: add the new one with
        `add_segments`.

        Raises:
            VideoNotFound, InvalidVideo.
        """
        unknown = set(changes) - set(Video.__dataclass_fields__) | ({"id"} & set(changes))
        if unknown:
            raise InvalidQuery(f"a video has no {', '.join(sorted(unknown))} to change")
        # What is read, changed and written by one thread is not to be undone by another.
        with self._update_lock:
            before = self.video(id)
            after = replace(before, **changes)
            video_to_text(after)  # refuses what can't be stored before models are loaded for it
            is_said = not changes.keys().isdisjoint(("title", "description", "tags"))
            changed = retitled(self._engine, before, after, self._encoders.loaded) if is_said else None
            with self._describe_lock:
                # That may have taken seconds, in which another thread described the video with rows that it added.
                described = video_to_text(replace(self.video(id), **changes))
                if changed is None:
                    self._engine.update(described)
                elif changed.rows is None:
                    self._engine.update(described, ["metadata"])
                else:  # over what is there: rows that others add meanwhile stay
                    self._engine.add_segments(changed.rows, [described])
                return self.video(id)

    def delete(self, *ids: str) -> None:
        """Delete videos, all or none. Gone from results at once, from the files after `compact`.

        Raises:
            VideoNotFound: names the first that is not there.
        """
        for id in ids:
            check_id(id)
        with self._update_lock:  # an update that is under way must not bring back what this deletes
            self._engine.delete(list(ids))

    def reindex(
        self,
        encoder: Given,
        *,
        encoder_options: EncoderOptions | None = None,
        leave_out_failed: bool = False,
        lock_timeout: float = 0.0,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Reindexed:
        """Embed every video anew with other models: stored words again, pictures and sound from the sources.

        The vectors that are there serve until all is done, then one step changes over and they are gone. An interrupted
        run goes on with the same call. On a handle that only reads, the lock is taken for that step alone, so that
        others may write until then.

        Args:
            encoder: as for `pixr.open`; a channel that none of these fills keeps its encoder.
            encoder_options: threads, providers, batch size, precision.
            leave_out_failed: change over even if some videos can't be read any more; these keep no such vectors.
            lock_timeout: seconds that a handle which only reads waits for another writer before the last step.
            on_progress: told after each video.

        Raises:
            MissingExtra, ModelNotFound, ModelError: the models can't be loaded.
            InvalidBatch: the library is too large to change over in one step (some 300,000 segments).
            LibraryLocked: another such run is under way, or another writer; what is encoded is kept.
        """
        from pixr.reindex import reindex

        options = encoder_options or self._encoders.options
        return reindex(
            self,
            encoder,
            options,
            leave_out_failed=leave_out_failed,
            lock_timeout=lock_timeout,
            on_progress=on_progress,
        )

    # -- searching ----------------------------------------------------------------------------------------------------

    def search(
        self,
        query: Question | None = None,
        *,
        image: Picture | None = None,
        audio: File | None = None,
        clip: File | None = None,
        like: tuple[str, float, float] | None = None,
        vectors: Mapping[Channel, ArrayLike] | None = None,
        modes: Sequence[Mode] | None = None,
        channels: Sequence[Channel] | None = None,
        weights: Mapping[Channel, float] | None = None,
        filters: Mapping[str, Any] | None = None,
        video: str | Sequence[str] | None = None,
        between: tuple[float, float] | None = None,
        limit: int = 20,
        cursor: str | None = None,
        min_score: float | None = None,
        fusion: Fusion = "weighted_sum",
        facets: Sequence[str] | bool = (),
        facet_mode: FacetMode = "filtered",
        moments: int = 5,
        diversity: float | None = None,
        effort: int | None = None,
        total: Total = "exact",
    ) -> Hits:
        """Find videos and their moments.

        Args:
            query: words, 8 KiB and 256 different ones at most. Among words, those `"in quotes"` must stand so,
                `-excluded` ones must not stand there, and `begin*` finds all that begin so; pictures and meanings are
                found by what is left of the question. Clauses ("a dog on a beach, waves crash") are asked one by one as
                well, so one may be seen and another heard. Or questions that `pixr.then`, `while_`, `without` or
                `blend` relate; then `match.part` says which one it answers.
            image: a picture to find: a file, its bytes, or RGB uint8 of shape (height, width, 3).
            audio: a sound to find, a file or its bytes: what is said in it, and what is heard where a model of sounds
                indexed the library.
            clip: a video to find moments like: a file or its bytes. What it shows; with modes, also what is said in it.
            like: `(video id, start, end)`: more like this moment of the library, which is left out itself.
            vectors: your own vectors by channel, each of shape (dimension,).
            modes: "visual", "text", "audio"; by default all that the question can be asked in.
            channels: a finer choice in place of `modes`.
            weights: relative weights by channel, 1 where absent.
            filters: what videos to look in; every key has to hold. `{"duration": {"min": 10, "max": 60}}` in seconds,
                both ends included; `{"created": {"after": "2023-01-01", "before": "2024-01-01"}}`, without the latter;
                `quality`, `creator` (its id), `id`: one value or a list of which one must match; `tags` as well, or
                `{"all": […]}`; `metadata` by key: such values, `{"min", "max"}`, or `{"exists": True}`; `and` and `or`
                of lists of filters, `not` of one.
            video: only in this video, or one of these.
            between: only what happens between two instants of a video, in seconds.
            limit: hits of this page, 1 to 1000.
            cursor: `next_cursor` of the page before, with the same question.
            min_score: leave out moments with lower scores, in [0, 1]. By default those are left out on which no
                channel's evidence is enough by itself, as its calibration says; 0 leaves out none.
            fusion: how channels become one score; see docs/ARCHITECTURE.md for what each does.
            facets: columns to count over all hits ("durations", "quality", "tags", "created", "creator",
                "metadata.KEY"), or True for all of these but metadata. Durations are "0-300", "300-900" and "900+"
                seconds, `created` is the year in UTC, qualities are in small letters, creators their ids; "unknown" are
                videos without a value, but for tags and metadata. Metadata counts texts and booleans, no numbers. Of
                more than 1,000 values the most frequent are told.
            facet_mode: what they count. "filtered", the hits; "disjunctive", what would be hits if the filter said
                nothing of the facet's own column, to offer other choices. Each such facet is one more search.
            moments: the most moments of each hit, 1 to 1,000.
            diversity: how different a video's moments must be, in [0, 1]: 0.1 leaves out those that look the same as a
                better one, 0.5 also those within half a minute of it, 1 keeps one. By default none is left out.
            effort: exact by default; a number, 1 to 10,000, asks for an approximate answer: so many rows of each
                channel are considered, scores stay exact, and a hit may be missed. Of few segments (8,000 that the
                filters leave, and 235 for each of effort) the answer is exact, which takes no longer.
            total: what `total` and facets of an approximate answer count. "exact", every video that the exact answer
                returns: costs little where any evidence is enough (own vectors); where it must reach a confidence or
                `min_score`, to count is to search exactly, and so is then the answer. "found": what was found.

        Raises:
            InvalidQuery, InvalidFilter, InvalidCursor, CursorExpired, DimensionMismatch, SpaceMismatch, MissingExtra.
            VideoNotFound: `like` names no video.
            UnreadableVideo: `audio` or `clip` can't be decoded.
            ModelNotFound, ModelError: the models that the library was indexed with can't be loaded.
        """
        begun = time.perf_counter()
        options = SearchOptions(
            filters=filters,
            video=video,
            between=between,
            limit=limit,
            cursor=cursor,
            min_score=min_score,
            fusion=fusion,
            facets=facets,
            facet_mode=facet_mode,
            moments=moments,
            diversity=diversity,
            effort=effort,
            total=total,
        )
        if query is None or isinstance(query, str):
            question: Question = Ask(query, image, audio, clip, like, vectors)
        elif any(given is not None for given in (image, audio, clip, like, vectors)):
            raise InvalidQuery("a question says itself what is asked: give its parts pictures or sounds")
        else:
            question = query
        # Made anew each time: kept, it would be a circle of references, which keeps the library's lock as well.
        asker = Asker(self._engine, self._encoders.loaded, self._encoders.renewed)
        encode = partial(asker.request, question, modes=modes, channels=channels, weights=weights)
        return search(self._engine, encode, question, options, begun)

    # -- reading ------------------------------------------------------------------------------------------------------

    def video(self, id: str) -> Video:
        """A video's metadata. Raises VideoNotFound."""
        check_id(id)
        return video_from_json(json.loads(self._engine.video(id)))

    def videos(self) -> Iterator[Video]:
        """All videos, by id. One that is deleted meanwhile is left out."""
        from pixr.errors import VideoNotFound

        for id in self._engine.video_ids():
            with suppress(VideoNotFound):
                yield self.video(id)

    def segments(self, id: str) -> list[Segment]:
        """A video's segments, by time. Raises VideoNotFound."""
        import pyarrow as pa

        check_id(id)
        return segments_from_batch(pa.record_batch(self._engine.segments([id])))

    def transcript(self, id: str) -> list[Caption]:
        """What is said in a video, in order of time; `pixr.captions.write_captions` makes files of it.

        Times are those that are searched: an edge near the beginning or end of the shot in which it lies was moved
        there (by up to 2.5 seconds, in a shot of at most 6 seconds however far). What was given as captions too.

        Raises: VideoNotFound.
        """
        from pixr.captions import Caption

        rows = self._rows(id)
        said = [Caption(row["start"], row["end"], row["speech.text"]) for row in rows if row.get("speech.text")]
        return sorted(said, key=lambda one: (one.start, one.end))

    def chapters(self, id: str, *, least_seconds: float | None = None, most: int = 30) -> list[Chapter]:
        """Cut a video into chapters: by its shots, the pauses in what is said, and where what it is about changes.

        Args:
            id: the video.
            least_seconds: the shortest chapter; by default a twentieth of the video, 10 to 120 seconds.
            most: as many chapters at most.

        Raises:
            VideoNotFound; InvalidQuery: a number is out of range.
        """
        from pixr.chapters import find_chapters

        if least_seconds is not None:
            check_number("least_seconds", least_seconds, 0, MOST_SECONDS)
        check_whole_number("most", most, 1, 1_000_000)
        return find_chapters(self._rows(id), self.video(id).duration, least_seconds=least_seconds, most=most)

    def _rows(self, id: str) -> list[dict[str, Any]]:
        check_id(id)
        return rows_of(self._engine, id)

    def info(self) -> dict[str, Any]:
        """What the library holds, as this handle sees it.

        Returns:
            `path`, `format`, `snapshot` (its number); `videos`, `segments`, `duration` (seconds of all videos),
            `deleted_videos` (whose bytes are still there); `parts`, of them `parts_in_memory`; `byte_len` of all files,
            `log_byte_len`, `memory_byte_len`; `background_failure`, why a part could not be written, or None;
            `cursor_snapshots` and `cursor_byte_len`, what is kept for cursors; `named_snapshots`, how many; by channel
            `spaces` (name, version, dimension) and `channels` (segments with `vectors` and with `texts`);
            `section_byte_len`, bytes by kind.
        """
        return dict(json.loads(self._engine.info()))

    # -- closing ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Commit and give up the lock. Closing twice is allowed.

        Writing then raises LibraryClosed. Reading and searching go on until the handle is gone, and its files stay open
        as long: one that wrote shows the library as it was when it was closed, one that only reads as it is.
        """
        self._engine.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"pixr.open({str(self._path)!r})"
