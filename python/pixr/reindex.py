"""Re-embeds a library with other models: the old space serves until the new one is complete, then it is dropped.

    library/reindex/     while a run is under way: an engine library with the new vectors, staged video by video

- An interrupted run goes on where it was. A video that has changed since is encoded again, and all of them if what was
  staged is damaged. `compact` removes deleted videos from what is staged as well.
- When every video is staged, one atomic step of the engine changes the spaces. It is refused if anything was written
  since the last look; then what is new is encoded first.
- A crash before that step leaves the old spaces, a crash after it the new ones. In the latter case the record of the
  encoders is still missing: the same call again writes it.

That step holds the library in memory once more, and its new vectors in one log record, which bounds them at 256 MB:
some 300,000 segments of 384 dimensions. More is refused before anything is encoded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pixr import _engine
from pixr.encoder_choice import Choice, Given, chosen, recall, remember
from pixr.errors import (
    Damaged,
    FormatUnsupported,
    InvalidBatch,
    LibraryLocked,
    NotALibrary,
    StorageError,
    UnreadableVideo,
    VideoNotFound,
)
from pixr.inside import encoders_of, engine_of
from pixr.progress import Progress, Reindexed
from pixr.reencoding import encode_anew, fingerprint, stored_rows
from pixr.spaces import spaces_of
from pixr.types import Channel
from pixr.whole_file import sync_names

if TYPE_CHECKING:
    from pixr.encoders.load import Encoders
    from pixr.encoders.protocol import EncoderOptions, TextEncoder
    from pixr.library import Library

FOLDER: Final = "reindex"
_DISCARDED: Final = "reindex.discarded"
_VIDEOS_A_BATCH: Final = 200
# The longest record that the engine's log takes.
_MOST_BYTES: Final = 256 << 20
# What a row takes of it beside its float16 vector, for its span and description.
_BYTES_A_ROW: Final = 120
_BYTES_A_COMPONENT: Final = 2

_CREATE: Final = json.dumps({"access": "create"})
# There are encoders of pictures, of texts and of sound.
_ENCODER_KINDS: Final = 3

OnProgress = Callable[[Progress], None]


def reindex(
    library: Library,
    encoder: Given,
    options: EncoderOptions,
    *,
    leave_out_failed: bool = False,
    lock_timeout: float = 0.0,
    on_progress: OnProgress | None = None,
) -> Reindexed:
    """Embed every video anew on the channels whose encoder changes.

    Args:
        library: open for writing; or for reading, in which case the lock is taken only for the last step, and other
            processes may write until then.
        encoder: as for `pixr.open`; a channel that none of them fills keeps its encoder.
        options: how the encoders run.
        leave_out_failed: change over even if some videos can't be encoded; these lose their vectors on those channels.
        lock_timeout: seconds to wait for another writer before the last step.
        on_progress: called after each video.

    Raises:
        MissingExtra, ModelNotFound, ModelError: the models can't be loaded.
        InvalidBatch: the library is too large for the one step.
        LibraryLocked: another run is under way, or another writer did not close in time; what is encoded is kept.
        StorageError: the library was moved or removed since it was opened.
    """
    if not (library.path / "MANIFEST").is_file():  # staging would make its folder anew, which is then not a library
        raise StorageError(f"{library.path}: the library that was opened is not there any more")
    choice = _merged(library.path, encoder, options)
    encoders = _load(choice, options)
    changed = _changed(library, encoders)
    report = Reindexed(tuple(changed))
    if not changed:
        _finish(library, choice)
        report.complete = True
        return report
    _check_size(library, changed)
    staging = _open_staging(library.path / FOLDER, changed)
    try:
        _stage(library, staging, changed, report, on_progress)
        if report.failed and not leave_out_failed:
            return report
        with _writer(library, lock_timeout) as writer:
            if not _change_over(writer, staging, encoders, report, leave_out_failed=leave_out_failed):
                return report
            staging.close()
            _finish(library, choice)
            writer.compact()
    finally:
        staging.close()
    report.complete = True
    return report


def _changed(library: Library, encoders: Encoders) -> dict[Channel, TextEncoder]:
    """The channels whose vectors are not of the encoder that is now chosen for them, and that encoder."""
    held = spaces_of(engine_of(library))
    return {
        channel: one
        for channel, one in encoders.by_channel.items()
        if channel not in held or vars(one.space) != {key: held[channel][key] for key in vars(one.space)}
    }


def _change_over(
    writer: Library, staging: _engine.Library, encoders: Encoders, report: Reindexed, *, leave_out_failed: bool
) -> bool:
    """Stage what was written meanwhile and switch, again and again until nothing is written in between.

    False if a video failed and must not be left out; then nothing is switched.
    """
    changed = {channel: encoders.by_channel[channel] for channel in report.channels}
    while True:
        number = writer.info()["snapshot"]
        _stage(writer, staging, changed, report, None)
        if report.failed and not leave_out_failed:
            return False
        try:
            _switch(writer, staging, encoders, changed, number)
        except InvalidBatch:
            if writer.info()["snapshot"] == number:
                raise
        else:
            return True


@contextmanager
def _writer(library: Library, lock_timeout: float) -> Iterator[Library]:
    """The library itself if it may write, else another handle of it that may."""
    import pixr

    if not library.read_only:
        yield library
        return
    with pixr.open(library.path, create=False, lock_timeout=lock_timeout) as writer:
        yield writer


def _check_size(library: Library, changed: dict[Channel, TextEncoder]) -> None:
    """Refuse what can't be changed over in one step before it takes hours."""
    counts = library.info()["channels"]
    byte_len = sum(
        counts.get(channel, {}).get("vectors", 0) * (_BYTES_A_COMPONENT * encoder.space.dimension + _BYTES_A_ROW)
        for channel, encoder in changed.items()
    )
    if byte_len > _MOST_BYTES:
        raise InvalidBatch(
            f"{byte_len >> 20} MB of new vectors are too many to change over in one step, which takes "
            f"{_MOST_BYTES >> 20} MB; index into a new library instead"
        )


def _finish(library: Library, choice: Choice) -> None:
    remember(library.path, choice)
    encoders_of(library).forget()
    with suppress(OSError):  # what can't be removed does no harm
        _discard(library.path / FOLDER)


def _discard(folder: Path) -> None:
    """Remove what was staged, after renaming it: if killed in the middle, no half of it is opened as a library."""
    discarded = folder.with_name(_DISCARDED)
    shutil.rmtree(discarded, ignore_errors=True)
    if folder.exists():
        folder.rename(discarded)
        sync_names(folder.parent)
        shutil.rmtree(discarded, ignore_errors=True)


def forget_deleted(library: _engine.Library, path: Path) -> None:
    """Remove videos that the library no longer has from what an interrupted run has staged, and from its files.

    A run that is under way is left alone: it removes them itself, and in the end all that it staged.
    """
    shutil.rmtree(path / _DISCARDED, ignore_errors=True)
    if not (path / FOLDER).exists():
        return
    with suppress(LibraryLocked):
        staging = _staged_before(path / FOLDER)
        if staging is None:
            return
        try:
            staging.delete(sorted(set(staging.video_ids()) - set(library.video_ids())))
            staging.compact()
        finally:
            staging.close()


def _merged(path: Path, encoder: Given, options: EncoderOptions) -> Choice:
    """The models named, and those on record that fill a channel which none of the named ones fills."""
    from pixr.encoders.load import fills

    new = chosen(encoder, options.precision)
    taken = frozenset[str]().union(*(fills(name, options) for name in new.names))
    # A model whose channels are all replaced is not looked at: its folder may be gone.
    before = recall(path) if len(taken) < _ENCODER_KINDS else None
    kept = [name for name in (before.names if before is not None else ()) if not fills(name, options) & taken]
    return Choice((*new.names, *kept), new.precision)


def _load(choice: Choice, options: EncoderOptions) -> Encoders:
    from pixr.encoders.load import load_encoders
    from pixr.encoders.sound_labels import SoundLabelEncoder

    encoders = load_encoders(choice.names, options)
    if isinstance(encoders.sound, SoundLabelEncoder) and not encoders.sound.can_hear():
        return replace(encoders, sound=None)
    return encoders


def _staged_before(folder: Path) -> _engine.Library | None:
    """What an interrupted run has staged. If some of it can't be read, all of it is removed and this is None."""
    with suppress(Damaged, FormatUnsupported, NotALibrary):
        staging = _engine.Library.open(folder, _CREATE)
        if not json.loads(staging.check())["damaged"]:
            return staging
        staging.close()
    _discard(folder)
    return None


def _open_staging(folder: Path, changed: dict[Channel, TextEncoder]) -> _engine.Library:
    """What an earlier run has staged for the same spaces; begun anew if it was for others."""
    if folder.exists() and (staging := _staged_before(folder)) is not None:
        spaces = json.loads(staging.settings())["spaces"]
        wanted = {channel: vars(encoder.space) for channel, encoder in changed.items()}
        if spaces == wanted:
            return staging
        staging.close()
    _discard(folder)
    staging = _engine.Library.open(folder, _CREATE)
    for channel, encoder in changed.items():
        staging.set_space(channel, encoder.space.name, encoder.space.version, encoder.space.dimension)
    return staging


def _stage(
    library: Library,
    staging: _engine.Library,
    changed: dict[Channel, TextEncoder],
    report: Reindexed,
    on_progress: OnProgress | None,
) -> None:
    """Encode what isn't staged yet, or has changed since it was. Afterwards `report.failed` has what failed this time.

    A video that was refused before, and has not changed, is refused again without being tried.
    """
    here = set(staging.video_ids())
    live = engine_of(library).video_ids()
    before = {(video.id, mark): reason for video, mark, reason in report.refused}
    report.refused.clear()
    staging.delete(sorted(here - set(live)))
    for number, id in enumerate(live):
        try:
            video, rows = library.video(id), stored_rows(engine_of(library), id)
        except VideoNotFound:
            continue  # deleted meanwhile; the next look sees it
        mark = fingerprint(video, rows)
        if id not in here or json.loads(staging.video(id)).get("metadata", {}).get("of") != mark:
            try:
                if reason := before.get((id, mark)):
                    raise UnreadableVideo(video.source or id, reason)
                made = encode_anew(video, rows, changed)
            except (UnreadableVideo, OSError, ValueError) as error:
                reason = error.reason if isinstance(error, UnreadableVideo) else str(error)
                report.refused.append((video, mark, reason))
                if id in here:
                    staging.delete([id])
            else:
                staging.put(json.dumps({"id": id, "metadata": {"of": mark}}), made.batch())
                report.encoded += 1
        if on_progress is not None:
            on_progress(Progress(video.source or id, "store", number + 1, len(live), True))


def _switch(
    library: Library, staging: _engine.Library, encoders: Encoders, changed: dict[Channel, TextEncoder], number: int
) -> None:
    """Change the spaces in one step of the engine, if the library is still at this snapshot."""
    import pyarrow as pa

    from pixr.calibration import for_encoders

    staged = staging.video_ids()
    batches = [
        pa.record_batch(staging.segments(staged[at : at + _VIDEOS_A_BATCH]))
        for at in range(0, len(staged), _VIDEOS_A_BATCH)
    ] or [pa.record_batch(staging.segments([]))]
    wanted = {f"{channel}.{kind}" for channel in changed for kind in ("vector", "description")}
    wanted |= {"video_id", "start", "end"}
    table = pa.Table.from_batches(batches)
    table = table.select([name for name in table.column_names if name in wanted])
    # A video without segments has a row without a span.
    table = table.filter(table["start"].is_valid()).combine_chunks()
    if len(parts := table.to_batches()) > 1:
        raise InvalidBatch("the new vectors are too many for one step")
    rows = parts[0] if parts else pa.RecordBatch.from_pylist([], schema=table.schema)
    calibrations = for_encoders(encoders)
    channels = [
        (channel, one.space.name, one.space.version, one.space.dimension, json.dumps(calibrations.get(channel, {})))
        for channel, one in changed.items()
    ]
    engine_of(library).respace(channels, engine_of(library).video_ids(), rows, number)
