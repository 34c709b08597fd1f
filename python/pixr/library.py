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
from pixr.arguments import MOST_SECONDS, check_choice, check_id, check_number, check_snapshot_name, check_whole_number
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
    """Open the library in directory `path`. It is created if absent, unless `create` is false.

    One handle may write, any number may read. With `read_only=True` a handle takes no lock, and sees what the writer
    commits.

    Args:
        path: the library's directory.
        create: create the library if nothing is there.
        read_only: open for searching only; works on a read-only file system too.
        snapshot: open the snapshot of this name (`take_snapshot`), read-only, instead of the library as it is.
        lock_timeout: seconds to wait for another writer to close before LibraryLocked.
        sync: when a write is acknowledged. "always": once it is on disk; a power cut loses nothing. "group": once the
            system has it, which syncs every 20 ms; a power cut loses the last half second at most. "none": once the
            system has it; a power cut loses what came after the last commit. With all three, killing the process
            loses nothing.
        limits: bounds on memory, log, parts and what cursors hold.
        encoder: name or folder of a model, or several. Each fills the channels it can (pictures `frame`, sentences
            `speech` and `metadata`, sound `sound`), and the embedded models fill the rest. By default, the models that
            the library was indexed with.
        encoder_options: threads, providers, batch size, precision.

    Raises:
        LibraryNotFound, NotALibrary, LibraryLocked, FormatUnsupported, SnapshotNotFound, Damaged, StorageError.
        InvalidQuery: `lock_timeout`, `sync` or `limits` is not one of the values above.
        InvalidName: a snapshot can't have the name `snapshot`.
    """
    check_number("lock_timeout", lock_timeout, 0, MOST_SECONDS)
    check_choice("sync", sync, Sync)
    check_snapshot_name(snapshot)
    if limits is not None and not isinstance(limits, Limits):
        raise InvalidQuery(f"limits is {type(limits).__name__}, pixr.Limits is expected")
    options = {
        "access": "read" if read_only or snapshot is not None else "create" if create else "write",
        "lock_timeout": lock_timeout,
        "sync": sync,
        "snapshot": snapshot,
        "limits": asdict(limits) if limits is not None else {},
    }
    if not fspath(path):  # an empty path would mean the current folder
        raise StorageError("the path of the library is empty")
    folder = Path(path).absolute()  # stays right if the process changes its folder later
    engine = _engine.Library.open(folder, json.dumps(options))
    encoders = LibraryEncoders(folder, encoder, encoder_options)
    return Library(engine, folder, encoders, read_only=options["access"] == "read")


class Library(Upkeep):
    """One directory on disk: everything Pixr knows about a set of videos. Made by `pixr.open`.

    Safe to use from several threads, but not across a fork: in a forked process, calls on the inherited handle raise
    LibraryClosed, and it has to open the library itself. A library is a context manager: leaving it commits and closes.

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
        # Held while metadata of videos are read and written. No model is used under it, so it is never held for long.
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

        A video with the same id is replaced in one step. What has to be left out, such as speech where no recogniser is
        installed, is reported by a RuntimeWarning.

        Args:
            source: the video file.
            id: the video's id. By default it is made from the content, so that adding the same file twice changes only
                the metadata.
            title: the video's title, which is searched.
            description: a longer text, which is searched.
            tags: words to search and filter by.
            created: when it was made, an RFC 3339 date or date and time.
            quality: such as "hd", to filter by.
            creator: who made it.
            metadata: anything else, as JSON.
            captions: a file of SRT, WebVTT or JSON with what is said. Without it, that is read from the video's own
                text subtitles where they fit (see `SpeechOptions`), and recognised where there are none.
            speech: False leaves speech out, but for `captions`; `SpeechOptions` choose another model or language, or
                leave the video's subtitles alone.
            screen: False leaves words on screen out; `ScreenOptions` choose another model or languages.
            on_progress: called as stages advance.

        Raises:
            UnreadableVideo: the file can't be decoded; nothing was added.
            InvalidVideo: the metadata can't be stored; nothing was added.
            InvalidCaptions: the captions can't be read; nothing was added.
            ModelError, ModelNotFound: a model can't be used, or no recogniser at hand can write the languages of
                `ScreenOptions`.
            SpeechUnavailable: speech can't be recognised with the model or the language of `SpeechOptions`.
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
        """Index files, `jobs` at a time, and yield what became of each.

        A file that can't be decoded becomes a failed outcome, and the rest goes on. So does a source whose metadata
        can't be stored (InvalidVideo), before its video is decoded. What had to be left out of a video is in the
        `warnings` of its outcome.

        Args:
            sources: the files, as paths or with their metadata.
            speech: as for `add`.
            screen: as for `add`.
            jobs: how many to index at a time; what is found does not depend on it. By default half of the cores, but
                two to eight, and one on one core.
            skip_known: skip a file whose content is in the library already.
            on_progress: called as stages advance.

        Raises:
            InvalidQuery: `sources` is a single source or not a list; `jobs` is not a whole number of at least 1.
            ModelError, ModelNotFound, SpeechUnavailable: as for `add`.
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

        The batch has the columns `video_id` (string), `start` and `end` (seconds), and for each kind of
        evidence a column named after its channel. A list of floats is a vector (normalised here), a string is text. If
        a channel has both, name them as in `speech.vector` and `speech.text`; `frame.description` says what is shown. A
        segment whose video, start and end are in the library already takes the new evidence; others are added. The
        batch is read without a copy and stored in one atomic step; a refused batch leaves nothing behind.

        Args:
            batch: a RecordBatch, a Table, or anything with `__arrow_c_array__` or `__arrow_c_stream__`, such as a frame
                of polars or pandas, or a RecordBatchReader. All that it yields is stored in the one step.
            videos: metadata of videos named in the batch.
            spaces: the space of each channel's vectors. By default the one that the library has for the channel; if it
                has none, one called "custom" of their dimension.

        Returns:
            The ids of the videos that the batch names, in order of appearance.

        Raises:
            InvalidBatch, InvalidVector, InvalidSpan, InvalidVideo, DimensionMismatch, SpaceMismatch.
            InvalidQuery: `spaces` does not give spaces by channel.
        """
        if isinstance(videos, str | Mapping) or not isinstance(videos, Iterable):
            raise InvalidBatch(f"videos is {type(videos).__name__}, a list of videos is expected")
        if spaces is not None:
            check_spaces(spaces)
        rows = one_batch(batch)
        described = [video_to_text(video) for video in videos]
        set_spaces(self._engine, {**custom_spaces(rows, spaces_of(self._engine)), **(spaces or {})}, rows, described)
        with self._describe_lock:  # a concurrent update must not bring back what this replaces
            return self._engine.add_segments(rows, described)

    def update(self, id: str, **changes: Any) -> Video:
        """Change a video's metadata, such as `title="…"` or `tags=[…]`; its segments stay.

        If title, description or tags change and their vector is of the library's encoder, it is made anew in the same
        step; if that encoder is missing, the vector is removed, with a RuntimeWarning. Your own vectors stay: replace
        them with `add_segments`.

        Raises:
            VideoNotFound, InvalidVideo.
        """
        unknown = set(changes) - set(Video.__dataclass_fields__) | ({"id"} & set(changes))
        if unknown:
            raise InvalidQuery(f"a video has no {', '.join(sorted(unknown))} to change")
        with self._update_lock:  # no other thread may undo what this one reads, changes and writes
            before = self.video(id)
            after = replace(before, **changes)
            video_to_text(after)  # refuses what can't be stored before models are loaded for it
            changes_words = not changes.keys().isdisjoint(("title", "description", "tags"))
            changed = retitled(self._engine, before, after, self._encoders.loaded) if changes_words else None
            with self._describe_lock:
                # Encoding may have taken seconds; meanwhile another thread may have added segments with metadata.
                described = video_to_text(replace(self.video(id), **changes))
                if changed is None:
                    self._engine.update(described)
                elif changed.rows is None:
                    self._engine.update(described, ["metadata"])
                else:  # added to the rows there, so that rows which others add meanwhile stay
                    self._engine.add_segments(changed.rows, [described])
                return self.video(id)

    def delete(self, *ids: str) -> None:
        """Delete videos, all or none. They are gone from results at once, and from the files after `compact`.

        Raises:
            VideoNotFound: names the first that is not there.
        """
        for id in ids:
            check_id(id)
        with self._update_lock:  # a concurrent update must not bring back what this deletes
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
        """Embed every video anew with other models: words from the library, pictures and sound from the source files.

        The old vectors serve until all is done; then one step replaces them. To continue an interrupted run, make the
        same call again. A read-only handle takes the lock only for that last step, so that others may write until then.

        Args:
            encoder: as for `pixr.open`; a channel that none of these fills keeps its encoder.
            encoder_options: threads, providers, batch size, precision.
            leave_out_failed: change over even if some videos can't be read any more; these lose their vectors.
            lock_timeout: seconds that a read-only handle waits for another writer before the last step.
            on_progress: called after each video.

        Raises:
            MissingExtra, ModelNotFound, ModelError: the models can't be loaded.
            InvalidBatch: the library is too large to change over in one step (some 300,000 segments).
            LibraryLocked: another such run or another writer is at work; what was encoded so far is kept.
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
            query: words, 8 KiB and 256 different ones at most. In texts, words `"in quotes"` must stand together in
                this order, `-excluded` words must not occur, and `begin*` stands for all words that begin so; pictures
                and meanings are found by the rest of the question. Clauses ("a dog on a beach, waves crash") are also
                asked one by one, so that one may be seen and another heard. Or questions related by `pixr.then`,
                `while_`, `without` or `blend`; then `match.part` says which one a match answers.
            image: a picture to find: a file, its bytes, or RGB uint8 of shape (height, width, 3).
            audio: a sound to find, a file or its bytes: by what is said in it, and by what is heard if the library was
                indexed with a model of sounds.
            clip: a video to find similar moments to, a file or its bytes: by what it shows, and by what is said in it
                if `modes` ask for that.
            like: `(video id, start, end)`: find more like this moment of the library, without the moment itself.
            vectors: your own vectors by channel, each of shape (dimension,).
            modes: "visual", "text", "audio"; by default all that the question can be asked in.
            channels: a finer choice in place of `modes`.
            weights: relative weights by channel, 1 where absent.
            filters: which videos to search; every key has to hold. `{"duration": {"min": 10, "max": 60}}` in seconds,
                both ends included; `{"created": {"after": "2023-01-01", "before": "2024-01-01"}}`, where `before` is
                not included; `quality`, `creator` (its id), `id`: a value, or a list of which one must match; `tags`:
                the same, or `{"all": […]}`; `metadata` by key: such values, `{"min", "max"}`, or `{"exists": True}`;
                `and` and `or` join lists of filters, `not` negates one.
            video: search only this video, or these.
            between: search only between two instants of each video, in seconds.
            limit: hits on this page, 1 to 1000.
            cursor: `next_cursor` of the page before; the question must be the same.
            min_score: leave out moments with lower scores, in [0, 1]; 0 leaves out none. By default a moment is left
                out if no channel's evidence is enough by itself, according to the channel's calibration.
            fusion: how channels become one score; see docs/ARCHITECTURE.md for what each does.
            facets: columns to count over all hits ("durations", "quality", "tags", "created", "creator",
                "metadata.KEY"), or True for all of these but metadata. Durations are "0-300", "300-900" and "900+"
                seconds. `created` is counted by its year in UTC, `quality` in small letters, `creator` by its id.
                Videos without a value count as "unknown", except for tags and metadata. Metadata are counted if they
                are texts and booleans, no numbers. Of more than 1,000 values the most frequent are returned.
            facet_mode: what facets count. "filtered": the hits. "disjunctive": what would be hits if the filter said
                nothing about the facet's own column, to offer other choices; each such facet is one more search.
            moments: at most so many moments of each hit, up to 1,000. 0 gives videos and scores alone, in six to nine
                tenths of the time where a library is large.
            diversity: how different a video's moments must be, in [0, 1]: 0.1 leaves out those that look the same as a
                better one, 0.5 also those within half a minute of it, and 1 keeps only one. By default none is left
                out.
            effort: 1 to 10,000 asks for an approximate answer: only so many rows of each channel are considered; scores
                stay exact, but a hit may be missed. Where there are few segments (8,000, and 235 for each of effort;
                under a filter 100) the answer is exact, which takes no longer. By default answers are exact.
            total: what `total` and facets of an approximate answer count. "exact": every video that the exact answer
                returns. This costs little where any evidence is enough (own vectors); where evidence must reach a
                confidence or `min_score`, counting is searching exactly, so the answer is then exact as well. "found":
                what was found.

        Raises:
            InvalidQuery, InvalidFilter, InvalidCursor, CursorExpired, DimensionMismatch, SpaceMismatch, MissingExtra.
            VideoNotFound: the library has no video of the id in `like`.
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
        # Made anew each time: if kept, it would be in a cycle of references, which would keep the library's lock too.
        asker = Asker(self._engine, self._encoders.loaded, self._encoders.renewed)
        encode = partial(asker.request, question, modes=modes, channels=channels, weights=weights)
        return search(self._engine, encode, question, options, begun)

    # -- reading ------------------------------------------------------------------------------------------------------

    def video(self, id: str) -> Video:
        """A video's metadata. Raises VideoNotFound."""
        check_id(id)
        return video_from_json(json.loads(self._engine.video(id)))

    def videos(self) -> Iterator[Video]:
        """All videos, in order of their ids. Videos deleted meanwhile are left out."""
        from pixr.errors import VideoNotFound

        for id in self._engine.video_ids():
            with suppress(VideoNotFound):
                yield self.video(id)

    def segments(self, id: str) -> list[Segment]:
        """A video's segments, in order of time. Raises VideoNotFound."""
        import pyarrow as pa

        check_id(id)
        return segments_from_batch(pa.record_batch(self._engine.segments([id])))

    def transcript(self, id: str) -> list[Caption]:
        """What is said in a video, in order of time; `pixr.captions.write_captions` turns it into a file.

        The times are those that are searched. When the video was indexed, an edge near the beginning or end of its
        shot was moved there (by up to 2.5 seconds; in a shot of at most 6 seconds, however far). This applies to given
        captions as well.

        Raises:
            VideoNotFound.
        """
        from pixr.captions import Caption

        rows = self._rows(id)
        said = [Caption(row["start"], row["end"], row["speech.text"]) for row in rows if row.get("speech.text")]
        return sorted(said, key=lambda one: (one.start, one.end))

    def chapters(self, id: str, *, least_seconds: float | None = None, most: int = 30) -> list[Chapter]:
        """Cut a video into chapters: by its shots, by pauses in what is said, and where its subject changes.

        Args:
            id: the video's id.
            least_seconds: the shortest chapter; by default a twentieth of the video, but 10 to 120 seconds.
            most: the most chapters.

        Raises:
            VideoNotFound.
            InvalidQuery: a number is out of range.
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
            `deleted_videos` (those whose bytes are still there); `parts`, and of them `parts_in_memory`; `byte_len` of
            all files, `log_byte_len`, `memory_byte_len`; `background_failure`, why a part could not be written, or
            None; `cursor_snapshots` and `cursor_byte_len`, what is kept for cursors; `named_snapshots`, how many there
            are; by channel, `spaces` (name, version, dimension) and `channels` (how many segments have `vectors` and
            `texts`); `section_byte_len`, bytes by kind.
        """
        return dict(json.loads(self._engine.info()))

    # -- closing ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Commit and release the lock. Closing twice is allowed.

        Writing then raises LibraryClosed. Reading and searching still work, and files stay open, until the handle is
        gone: a handle that wrote shows the library as it was when it was closed, a read-only handle as it is now.
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
