"""Everything that touches a video file: pictures, shots, sound, speech, words on screen.

`sandbox` decodes in a process of its own; `speech` and `screen` recognise what it gives. Importing this package loads
no media or model library: each is loaded where it is first used, and its absence is `MissingExtra`.
"""

from pixr.media.audio import AudioChunk
from pixr.media.frames import SampledFrame, VideoInfo
from pixr.media.sandbox import SegmentStream, open_audio, open_segments, probe_video
from pixr.media.screen import ScreenReader, ScreenText
from pixr.media.screen_model import LETTERS
from pixr.media.segments import CutOptions, CutSegment
from pixr.media.speech import SpeechRecogniser
from pixr.media.utterances import Utterance, Word, align_to_shots

__all__ = [
    "LETTERS",
    "AudioChunk",
    "CutOptions",
    "CutSegment",
    "SampledFrame",
    "ScreenReader",
    "ScreenText",
    "SegmentStream",
    "SpeechRecogniser",
    "Utterance",
    "VideoInfo",
    "Word",
    "align_to_shots",
    "open_audio",
    "open_segments",
    "probe_video",
]
