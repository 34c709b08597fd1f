"""Reads the words in the picture with RapidOCR, whose wheel carries the models, so nothing is downloaded.

Detection costs about 25 ms and recognition about 50 ms on a small picture, so time is saved by reading less:

- Of each segment the middle picture is read; of a long one, the middle picture of every five seconds.
- Another picture is read only if what stood in the boxes of the last one has changed, as subtitles do, and at most one
  every two seconds.
- A near-duplicate of the picture read last has the same words.
- A box that looks as it did in the picture before is not recognised again.
- Pictures are read at the size they come in, never enlarged, and the classifier for upside-down text is left out.
- The networks' denormal weights are set to zero (`pixr.media.denormals`), which makes the detector four times as fast.

onnxruntime releases the GIL. One reader serves one thread at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixr.errors import MissingExtra
from pixr.media.denormals import flushed
from pixr.media.near_duplicates import DuplicateFilter
from pixr.media.screen_model import find_recogniser, of_the_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from pixr.media.frames import SampledFrame
    from pixr.media.segments import CutSegment

_READ_EVERY_SECONDS = 5.0
_LEAST_GAP_SECONDS = 2.0
_LEAST_CONFIDENCE = 0.5
_BOX_LEVELS = 14.0
_BOX_SHAPE = (12, 48)
_LEAST_BOX_PIXELS = 4
# Boxes that overlap by more than this share (intersection over union) are the same place.
_SAME_PLACE_SHARE = 0.85

_Place = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class ScreenText:
    """Words seen in the picture during a span: `text` has one line for each on screen, from top to bottom.

    `confidence` is the recogniser's, averaged over the lines by their length.
    """

    start_seconds: float
    end_seconds: float
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class _Line:
    place: _Place
    look: NDArray[np.float32]
    text: str
    confidence: float


class ScreenReader:
    """Holds the models and what was read last.

    Args:
        thread_count: of onnxruntime, for each of the two models.
        languages: codes of `LETTERS`; the recogniser must be able to write them all.
        model: another recogniser than the wheel's: an ONNX file, or a folder of several.

    Raises:
        MissingExtra: rapidocr is not installed.
        ModelNotFound, ModelError: no recogniser at hand can write the languages, or RapidOCR's wheel has no models.
    """

    def __init__(
        self,
        *,
        thread_count: int = 1,
        read_every_seconds: float = _READ_EVERY_SECONDS,
        languages: Sequence[str] = (),
        model: str | PathLike[str] | None = None,
    ) -> None:
        try:
            import numpy as np
            from rapidocr import RapidOCR
        except ImportError as error:
            raise MissingExtra("rapidocr", "screen", error) from error
        recogniser = find_recogniser(languages, model) or of_the_wheel("rec")
        with flushed(of_the_wheel("det")) as detecting, flushed(recogniser) as recognising:
            self._engine: Any = RapidOCR(
                params={
                    "Det.model_path": str(detecting),
                    "Rec.model_path": str(recognising),
                    "Global.use_cls": False,
                    "Global.log_level": "critical",
                    "Global.text_score": _LEAST_CONFIDENCE,
                    "Det.limit_type": "min",
                    "Det.limit_side_len": 64,  # larger pictures keep their size
                    "EngineConfig.onnxruntime.intra_op_num_threads": thread_count,
                    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                }
            )
            # It opens its files when it first needs them, and the copies are gone after this block.
            blank = np.zeros((64, 64, 3), np.uint8)
            self._engine(blank, use_det=True, use_cls=False, use_rec=False)
            self._engine.recognize_txt([blank])
        self._read_every_seconds = read_every_seconds
        self.read_count = 0
        self.forget()

    def forget(self) -> None:
        """Begin another video: forget everything that was read."""
        self._lines: list[_Line] = []
        self._duplicates = DuplicateFilter()
        self._read_at = float("-inf")

    def read(self, segment: CutSegment) -> list[ScreenText]:
        """The words on screen in a segment: none, one text, or one after the other if they change."""
        reads: list[tuple[float, list[_Line]]] = []
        wanted = _wanted_frames(segment.frames, segment.end_seconds - segment.start_seconds, self._read_every_seconds)
        for index, frame in enumerate(segment.frames):
            if index not in wanted:
                recent = frame.timestamp_seconds - self._read_at < _LEAST_GAP_SECONDS
                # Until a picture of this segment is read, the known boxes belong to another segment.
                if recent or not reads or not self._boxes_changed(frame.image):
                    continue
            if not self._duplicates.repeats(frame.image):
                self._lines = self._read_picture(frame.image)
            self._read_at = frame.timestamp_seconds
            reads.append((frame.timestamp_seconds, self._lines))
        return _spans(reads, segment.start_seconds, segment.end_seconds)

    def _read_picture(self, image: NDArray[np.uint8]) -> list[_Line]:
        import numpy as np

        self.read_count += 1
        picture = np.ascontiguousarray(image[:, :, ::-1])  # RapidOCR takes BGR
        found = self._engine(picture, use_det=True, use_cls=False, use_rec=False)
        boxes = getattr(found, "boxes", None)
        if boxes is None or len(boxes) == 0:
            return []
        lines: list[_Line | None] = []
        unknown: list[tuple[int, Any, _Place, NDArray[np.float32]]] = []
        for position, box in enumerate(boxes):
            corners = np.asarray(box, np.float32)
            left, top = (int(value) for value in np.floor(corners.min(axis=0)))
            right, bottom = (int(value) for value in np.ceil(corners.max(axis=0)))
            place = (max(0, left), max(0, top), min(image.shape[1], right), min(image.shape[0], bottom))
            if place[2] - place[0] < _LEAST_BOX_PIXELS or place[3] - place[1] < _LEAST_BOX_PIXELS:
                continue
            look = _look(image, place)
            known = self._known(place, look)
            lines.append(known)
            if known is None:
                unknown.append((len(lines) - 1, boxes[position], place, look))
        if unknown:
            crops = self._engine.crop_text_regions(picture, [box for _, box, _, _ in unknown])
            result = self._engine.recognize_txt(crops)
            for (position, _, place, look), text, score in zip(unknown, result.txts, result.scores, strict=True):
                lines[position] = _Line(place, look, text.strip(), float(score))
        return [line for line in lines if line is not None]

    def _known(self, place: _Place, look: NDArray[np.float32]) -> _Line | None:
        """The line with the words of one in the picture before that stood in the same place and looked the same."""
        import numpy as np

        for line in self._lines:
            same_place = _overlap(place, line.place) > _SAME_PLACE_SHARE
            if same_place and float(np.abs(line.look - look).mean()) < _BOX_LEVELS / 2:
                return _Line(place, look, line.text, line.confidence)
        return None

    def _boxes_changed(self, image: NDArray[np.uint8]) -> bool:
        import numpy as np

        for line in self._lines:
            _, _, right, bottom = line.place
            if bottom > image.shape[0] or right > image.shape[1]:
                return True
            if float(np.abs(_look(image, line.place) - line.look).mean()) > _BOX_LEVELS:
                return True
        return False


def _wanted_frames(frames: Sequence[SampledFrame], seconds: float, every_seconds: float) -> set[int]:
    """The indexes of the frames to read in any case: the middle ones of equal parts of the segment."""
    count = max(1, min(len(frames), round(seconds / every_seconds)))
    return {min(len(frames) - 1, int((part + 0.5) * len(frames) / count)) for part in range(count)}


def _look(image: NDArray[np.uint8], place: _Place) -> NDArray[np.float32]:
    """A box's brightness at 12 × 48 points, which is enough to notice that its words changed."""
    import numpy as np

    left, top, right, bottom = place
    rows = np.linspace(top, bottom - 1, _BOX_SHAPE[0]).astype(np.intp)
    columns = np.linspace(left, right - 1, _BOX_SHAPE[1]).astype(np.intp)
    look: NDArray[np.float32] = image[np.ix_(rows, columns)].mean(axis=2, dtype=np.float32)
    return look


def _overlap(one: _Place, other: _Place) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    area = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return shared / (area - shared)


def _spans(reads: Sequence[tuple[float, Sequence[_Line]]], start: float, end: float) -> list[ScreenText]:
    """Texts with their spans. One changes to the next midway between two pictures; neighbours that are equal join."""
    texts: list[ScreenText] = []
    for index, (at, lines) in enumerate(reads):
        begin = start if index == 0 else (reads[index - 1][0] + at) / 2
        finish = end if index + 1 == len(reads) else (at + reads[index + 1][0]) / 2
        good = [line for line in lines if line.confidence >= _LEAST_CONFIDENCE and any(map(str.isalnum, line.text))]
        if not good:
            continue
        text = "\n".join(line.text for line in good)
        weight = sum(len(line.text) for line in good)
        confidence = sum(line.confidence * len(line.text) for line in good) / weight
        last = texts[-1] if texts else None
        if last is not None and last.text == text and last.end_seconds == begin:
            texts[-1] = ScreenText(last.start_seconds, finish, text, max(last.confidence, confidence))
        else:
            texts.append(ScreenText(begin, finish, text, confidence))
    return texts
