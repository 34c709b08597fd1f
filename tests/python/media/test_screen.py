"""Words on screen are read once, where they stand, for as long as they stand."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pixr.errors import ModelError, ModelNotFound
from pixr.media import CutSegment, SampledFrame, ScreenReader
from pixr.media.screen_model import find_recogniser
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
        "heavy = {'numpy', 'av', 'cv2', 'onnxruntime', 'faster_whisper', 'ctranslate2', 'rapidocr'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_languages_choose_a_recogniser_by_the_letters_it_knows(tmp_path: Path) -> None:
    cyrillic = with_letters(tmp_path / "cyrillic_rec.onnx", dict(zip("velthargfocn", "велтхаргфосн", strict=True)))
    assert find_recogniser(["de", "ja"], None) == find_recogniser(["en"], tmp_path)
    assert find_recogniser([], None) is None
    assert find_recogniser([], cyrillic) == cyrillic
    with pytest.raises(ModelError, match=r"no recogniser at hand can write ru: .* lacks 33 letters"):
        find_recogniser(["ru"], None)
    with pytest.raises(ModelError, match=r"cyrillic_rec\.onnx lacks .* letters"):
        find_recogniser(["ru"], tmp_path)  # it knows eleven of them
    with pytest.raises(ModelError, match="xx can't be asked for"):
        find_recogniser(["xx"], None)
    with pytest.raises(ModelNotFound, match="nowhere"):
        find_recogniser(["ru"], tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match="has no ONNX file"):
        find_recogniser(["ru"], tmp_path / "empty")


def test_another_recogniser_reads_in_its_own_letters(tmp_path: Path) -> None:
    letters = dict(zip("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувшьыз", strict=True))
    rest = dict(zip("äöüßàâçéèêëîïôù", "ёщъэюяжчґєіїўђј", strict=True))
    with_letters(tmp_path / "cyrillic_rec.onnx", letters | rest)
    reader = ScreenReader(languages=["ru"], model=tmp_path)
    (text,) = reader.read(segment([captioned("velvet harbor falcon")] * 2))
    assert text.text.lower() == "velvet harbor falcon".translate({ord(one): other for one, other in letters.items()})


def with_letters(target: Path, changed: Mapping[str, str]) -> Path:
    """The wheel's recogniser, writing other letters for some: its metadata is changed, field 14 of the ONNX message."""
    import rapidocr

    (source,) = (Path(rapidocr.__file__).parent / "models").glob("*rec*.onnx")
    data, kept, at = source.read_bytes(), bytearray(), 0
    while at < len(data):
        begun = at
        key, at = varint(data, at)
        value, after = varint(data, at)
        at = after + value if key & 7 == 2 else after
        if key >> 3 == 14:
            entry = data[after:at]
            _, where = varint(entry, len(b"\n\tcharacter") + 1)
            characters = entry[where:].decode().translate({ord(one): other for one, other in changed.items()}).encode()
            content = entry[: len(b"\n\tcharacter") + 1] + as_varint(len(characters)) + characters
            kept += as_varint(key) + as_varint(len(content)) + content
        else:
            kept += data[begun:at]
    target.write_bytes(kept)
    return target


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
