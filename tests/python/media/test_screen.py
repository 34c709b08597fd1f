"""Words on screen are read once, where they stand, for as long as they stand."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pixr.media import CutSegment, SampledFrame, ScreenReader
from tests.python.media.videos import textured


@pytest.fixture(scope="module")
def reader() -> ScreenReader:
    return ScreenReader()


def captioned(text: str, seed: int = 1) -> np.ndarray:
    image = Image.fromarray(textured(seed, 320, 240))
    draw = ImageDraw.Draw(image)
    if text:
        draw.rectangle((0, 205, 320, 240), fill=(0, 0, 0))
        draw.text((10, 208), text, fill=(255, 255, 255), font=ImageFont.load_default(size=22))
    return np.asarray(image)


def segment(pictures: list[np.ndarray], start: float = 0.0, length: float | None = None) -> CutSegment:
    frames = tuple(SampledFrame(start + index, picture) for index, picture in enumerate(pictures))
    return CutSegment(0, start, start + (length or len(pictures)), start, frames)


def test_a_caption_is_read_over_the_whole_segment(reader: ScreenReader) -> None:
    reader.forget()
    (text,) = reader.read(segment([captioned("velvet harbor falcon", seed) for seed in (1, 1, 2, 2)]))
    assert text.text.lower() == "velvet harbor falcon"
    assert (text.start_seconds, text.end_seconds) == (0.0, 4.0)
    assert text.confidence > 0.8


def test_a_picture_without_words_has_none(reader: ScreenReader) -> None:
    reader.forget()
    assert reader.read(segment([captioned("")] * 4)) == []


def test_a_still_caption_is_read_once(reader: ScreenReader) -> None:
    reader.forget()
    before = reader.read_count
    first = reader.read(segment([captioned("nectar onyx")] * 10))
    again = reader.read(segment([captioned("nectar onyx")] * 10, start=10.0))
    assert reader.read_count == before + 1
    assert [text.text for text in first] == [text.text for text in again] == ["nectar onyx"]
    assert (again[0].start_seconds, again[0].end_seconds) == (10.0, 20.0)


def test_changing_subtitles_are_all_read(reader: ScreenReader) -> None:
    reader.forget()
    lines = ["amber anvil", "basalt cobalt", "quartz raven"]
    texts = reader.read(segment([captioned(lines[index // 3]) for index in range(9)]))
    assert [text.text for text in texts] == lines
    assert texts[0].start_seconds == 0.0
    assert texts[-1].end_seconds == 9.0
    for left, right in itertools.pairwise(texts):
        assert left.end_seconds == right.start_seconds


def test_words_do_not_leak_into_the_next_video(reader: ScreenReader) -> None:
    reader.read(segment([captioned("saffron timber")] * 3))
    reader.forget()
    assert reader.read(segment([captioned("", seed=5)] * 3)) == []


def test_importing_the_media_room_loads_no_heavy_library() -> None:
    program = (
        "import sys, pixr.media; "
        "heavy = {'numpy', 'av', 'decord', 'cv2', 'onnxruntime', 'faster_whisper', 'ctranslate2', 'rapidocr'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
