"""Small real videos for tests, encoded with PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

COLOURS = ((180, 40, 40), (40, 160, 60), (40, 60, 190), (200, 180, 40))


def make_clip(
    path: Path, captions: Sequence[str], *, seconds: float = 2.0, size: tuple[int, int] = (320, 240), rate: int = 10
) -> Path:
    """A video with a shot a caption: one colour each, with the caption in large letters. Returns `path`."""
    import av
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=36)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number, caption in enumerate(captions):
            picture = Image.new("RGB", size, COLOURS[number % len(COLOURS)])
            ImageDraw.Draw(picture).text((20, 90), caption, fill=(255, 255, 255), font=font)
            for _ in range(round(seconds * rate)):
                container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))
    return path
