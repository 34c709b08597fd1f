"""The test clips: short videos with things to see, words on the screen, and words that are said (as captions)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixr.progress import Source
from pixr.types import Creator
from pixr.whole_file import whole_file

__all__ = ["write_clips"]

_SIZE = (320, 240)
_RATE = 5
_SHOT_SECONDS = 4


@dataclass(frozen=True)
class _Clip:
    id: str
    title: str
    description: str
    tags: tuple[str, ...]
    quality: str
    created: str
    shots: tuple[tuple[tuple[int, int, int], str, str], ...]  # colour, words on the screen, words that are said


_CLIPS = (
    _Clip(
        "vid_test_solar",
        "Installing solar panels",
        "How two people put solar panels on a tiled roof in an afternoon.",
        ("diy", "energy"),
        "hd",
        "2024-03-01",
        (
            ((70, 110, 170), "Tools you need", "first we lay out the rails and the tools"),
            ((160, 80, 60), "Safety first", "always wear a harness on the roof"),
            ((40, 50, 90), "Wiring", "now we connect the panels to the inverter"),
        ),
    ),
    _Clip(
        "vid_test_harbour",
        "A morning at the harbour",
        "Fishing boats come in while the market opens.",
        ("travel", "sea"),
        "4k",
        "2023-07-15",
        (
            ((230, 150, 90), "Sunrise", "the boats come home at sunrise"),
            ((60, 130, 160), "The catch", "they sell mackerel and sardines on the quay"),
        ),
    ),
    _Clip(
        "vid_test_bread",
        "Sourdough bread for beginners",
        "From starter to crust, with times for each step.",
        ("cooking", "diy"),
        "sd",
        "2024-11-05",
        (
            ((220, 200, 160), "Mix", "mix the flour with water and salt"),
            ((150, 100, 50), "Bake", "bake it for forty minutes until the crust is brown"),
        ),
    ),
)
_CREATOR = Creator("usr_test", "Test creator", verified=True)


def write_clips(folder: Path) -> Sequence[Source]:
    """Write the clips with their captions, those that are not there; what to index."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for clip in _CLIPS:
        video, captions = folder / f"{clip.id}.mp4", folder / f"{clip.id}.json"
        if not video.exists():
            said = [
                {"start": number * _SHOT_SECONDS, "end": (number + 1) * _SHOT_SECONDS, "text": text}
                for number, (_, _, text) in enumerate(clip.shots)
            ]
            captions.write_text(json.dumps(said))
            _draw(clip, video)
        sources.append(
            Source(
                video,
                id=clip.id,
                title=clip.title,
                description=clip.description,
                tags=clip.tags,
                created=clip.created,
                quality=clip.quality,
                creator=_CREATOR,
                metadata={"sandbox": True},
                captions=captions,
            )
        )
    return sources


def _draw(clip: _Clip, path: Path) -> None:
    import av
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=32)
    with whole_file(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *_SIZE, "yuv420p"
        for colour, words, _ in clip.shots:
            for number in range(_SHOT_SECONDS * _RATE):
                picture = Image.new("RGB", _SIZE, colour)
                drawing = ImageDraw.Draw(picture)
                drawing.text((20, 30), words, fill=(255, 255, 255), font=font)
                at = 20 + number * (_SIZE[0] - 80) // (_SHOT_SECONDS * _RATE)
                drawing.ellipse((at, 140, at + 40, 180), fill=(250, 230, 120))
                container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))
