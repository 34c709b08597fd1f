"""Asking by sound and by clip, on real files: in Python, on the command line and in batches.

The models are the small random ones of the parity tests: what is alike is told by them as well.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pixr
from pixr.encoders import EncoderOptions
from pixr.errors import SpeechUnavailable, UnreadableVideo

pytest.importorskip("av")

from tests.python.media.videos import textured, write_video

OPTIONS = EncoderOptions(threads=1, batch_size=4)
SHOT_SECONDS = 5.0  # the window of the small CLAP

Sound = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def hum(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * np.sin(2 * np.pi * 110 * at))


def buzz(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.4 * np.sign(np.sin(2 * np.pi * 200 * at)))


def whistle(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * np.sin(2 * np.pi * 5000 * at))


def siren(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * np.sin(2 * np.pi * (600 * at + 60 * np.sin(2 * np.pi * at))))


# Each video has two shots, each with a picture and a sound of its own.
SHOTS: dict[str, tuple[tuple[int, Sound], ...]] = {"port": ((1, hum), (2, buzz)), "yard": ((3, whistle), (4, siren))}


def film(path: Path, *shots: tuple[int, Sound]) -> Path:
    pictures = [textured(seed, 160, 120) for seed, _ in shots for _ in range(int(SHOT_SECONDS * 5))]

    def heard(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([make(part) for (_, make), part in zip(shots, np.split(at, len(shots)), strict=True)])

    return write_video(path, pictures, rate=5, sound=heard, sound_seconds=SHOT_SECONDS * len(shots))


def write_sound(path: Path, make: Sound, seconds: float = SHOT_SECONDS) -> Path:
    samples = (make(np.arange(int(seconds * 16_000)) / 16_000) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture(scope="module")
def folder(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the videos, and beside it what it is asked with."""
    folder = tmp_path_factory.mktemp("examples")
    encoders = [recorded / "clip", recorded / "clap-unfused"]
    with pixr.open(folder / "films.pixr", encoder=encoders, encoder_options=OPTIONS) as library:
        for name, shots in SHOTS.items():
            path = film(folder / f"{name}.mp4", *shots)
            library.add(path, id=name, title=name, tags=[name], speech=False, screen=False)
    write_sound(folder / "buzz.wav", buzz)
    write_sound(folder / "whistle.wav", whistle)
    film(folder / "cut.mp4", (2, buzz))
    film(folder / "other.mp4", (4, siren))
    return folder


@pytest.fixture
def library(folder: Path) -> Iterator[pixr.Library]:
    with pixr.open(folder / "films.pixr", read_only=True, encoder_options=OPTIONS) as library:
        yield library


def best(hits: pixr.Hits) -> tuple[str, bool]:
    """The best hit's video, and whether its best moment lies in the second shot."""
    return hits[0].video.id, hits[0].moments[0].peak >= SHOT_SECONDS


def test_a_sound_finds_where_it_is_heard(library: pixr.Library, folder: Path) -> None:
    for name, expected in (("buzz.wav", ("port", True)), ("whistle.wav", ("yard", False))):
        hits = library.search(audio=folder / name, channels=["sound"], min_score=0.0, moments=1)
        assert best(hits) == expected, name
        (match,) = hits[0].moments[0].matches
        assert (match.channel, match.mode) == ("sound", "audio")
    from_bytes = library.search(audio=(folder / "buzz.wav").read_bytes(), channels=["sound"], min_score=0.0, moments=1)
    assert best(from_bytes) == ("port", True)


def test_a_clip_finds_what_looks_like_it_and_with_modes_what_sounds_like_it(
    library: pixr.Library, folder: Path
) -> None:
    seen = library.search(clip=folder / "cut.mp4", min_score=0.0, moments=1)
    assert best(seen) == ("port", True)
    assert {match.channel for match in seen[0].moments[0].matches} == {"frame"}
    both = library.search(clip=folder / "cut.mp4", channels=["frame", "sound"], min_score=0.0, moments=1)
    assert best(both) == ("port", True)
    assert {match.channel for match in both[0].moments[0].matches} == {"frame", "sound"}
    assert best(library.search(clip=(folder / "other.mp4").read_bytes(), min_score=0.0, moments=1)) == ("yard", True)


def test_sounds_and_clips_are_parts_of_related_questions(library: pixr.Library, folder: Path) -> None:
    heard = pixr.ask(audio=folder / "whistle.wav", channels=["sound"])
    seen = pixr.ask(clip=folder / "other.mp4")
    hits = library.search(pixr.then(heard, seen, within=2), min_score=0.0, moments=1)
    assert hits[0].video.id == "yard"
    moment = hits[0].moments[0]
    assert (moment.start, round(moment.end)) == (0.0, 10)
    assert [match.part for match in moment.matches] == ["like whistle.wav", "like other.mp4"]


def test_what_is_no_media_is_an_error_that_names_it(library: pixr.Library, folder: Path) -> None:
    (folder / "no.wav").write_text("this is no sound")
    with pytest.raises(UnreadableVideo, match=r"no\.wav"):
        library.search(audio=folder / "no.wav")
    with pytest.raises(UnreadableVideo, match=r"gone\.mp4"):
        library.search(clip=folder / "gone.mp4")


def test_a_file_without_sound_is_not_laid_to_a_missing_model(library: pixr.Library, tmp_path: Path) -> None:
    silent = write_video(tmp_path / "silent.mp4", [textured(1, 160, 120)] * 10)
    with pytest.raises(pixr.errors.InvalidQuery, match="nothing else is heard in it"):
        library.search(audio=silent)


def pixr_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from pixr.cli import main; main()", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_asks_by_sound_and_by_clip(folder: Path) -> None:
    for arguments, video in ((("--audio", "whistle.wav"), "yard"), (("--video-like", "cut.mp4"), "port")):
        done = pixr_command(folder, "search", "films.pixr", *arguments, "--min-score", "0", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["results"][0]["videoId"] == video


def test_a_batch_takes_sounds_clips_relations_and_filters(folder: Path) -> None:
    """Paths are relative to the file of queries, which lies elsewhere than where the command runs."""
    sound = {"channels": ["sound"]}
    asked: list[tuple[dict[str, Any], str | None]] = [
        ({"audio": "buzz.wav", **sound}, "port"),
        ({"clip": "cut.mp4"}, "port"),
        ({"clip": "other.mp4", "modes": ["visual", "audio"], "filters": {"tags": ["yard"]}}, "yard"),
        ({"audio": "buzz.wav", **sound, "filters": {"tags": ["yard"]}}, "yard"),
        ({"audio": "whistle.wav", "then": {"clip": "other.mp4", "modes": ["visual"]}, "within": 2}, "yard"),
        ({"clip": "cut.mp4", "while": {"audio": "buzz.wav", **sound}, "filters": {"tags": ["port"]}}, "port"),
        ({"clip": "cut.mp4", "not": {"audio": "whistle.wav", **sound}}, None),
        ({"query": {"clip": "cut.mp4", "not": "people"}, "then": {"audio": "siren.wav"}, "within": 3}, "error"),
    ]
    (folder / "ask").mkdir(exist_ok=True)
    for name in ("buzz.wav", "whistle.wav", "cut.mp4", "other.mp4"):
        shutil.copy(folder / name, folder / "ask")
    lines = [json.dumps({"id": at, **query}) for at, (query, _) in enumerate(asked)]
    (folder / "ask" / "in.jsonl").write_text("\n".join(lines) + "\n")
    done = pixr_command(
        folder, "search", "films.pixr", "--queries", "ask/in.jsonl", "--out", "out.jsonl", "--min-score", "0"
    )
    assert done.returncode == 1, "one sound is not there"
    answers = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    for (query, expected), answer in zip(asked, answers, strict=True):
        if expected == "error":
            assert "siren.wav" in answer["error"]["detail"]
            continue
        assert "error" not in answer, (query, answer)
        if expected is not None:
            assert answer["results"][0]["videoId"] == expected, query
        else:
            assert {result["videoId"] for result in answer["results"]} <= set(SHOTS)


def test_what_is_said_in_a_sound_is_found_where_it_is_said(tmp_path: Path) -> None:
    """The library has its words from captions; the question's are recognised."""
    from pixr.media.speech_model import find_speech_model

    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng, which speaks the sentence, is not installed")
    try:
        find_speech_model()
    except SpeechUnavailable as error:
        pytest.skip(f"no speech weights on this machine: {error}")
    clip = film(tmp_path / "talk.mp4", (1, hum), (2, hum))
    (tmp_path / "talk.srt").write_text(
        "1\n00:00:00,000 --> 00:00:05,000\nThe garden needs water in summer.\n\n"
        "2\n00:00:05,000 --> 00:00:10,000\nBring the ladder to the old stone house.\n"
    )
    said = tmp_path / "said.wav"
    subprocess.run(["espeak-ng", "-s", "140", "-w", str(said), "bring the ladder to the old stone house"], check=True)
    with pixr.open(tmp_path / "films.pixr") as library:
        library.add(clip, captions=tmp_path / "talk.srt", screen=False)
        hits = library.search(audio=said, channels=["speech"])
        assert (len(hits), hits[0].moments[0].start) == (1, 5.0)
        (match,) = hits[0].moments[0].matches
        assert match.channel == "speech"
