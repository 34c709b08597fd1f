"""Pixr, an embeddable, multi-modal video search engine.

    import pixr

    library = pixr.open("films.pixr")
    library.add("roof.mp4", title="Solar install", tags=["diy"])
    for hit in library.search("installing solar panels on roof"):
        print(hit.video.title, hit.score, hit.moments[0].start)

Importing loads no media or model library; each is loaded by the first call that needs it.
"""

from pixr import errors, webhooks
from pixr.encoders.protocol import EncoderOptions, Space
from pixr.errors import PixrError
from pixr.ingest_options import ScreenOptions, SpeechOptions
from pixr.library import Library, open
from pixr.progress import Outcome, Progress, Source
from pixr.questions import Ask, Blend, Question, Then, While, Without, ask, blend, parse, then, while_, without
from pixr.types import Channel, Creator, Facets, Hit, Hits, Limits, Match, Mode, Moment, Segment, Sync, Timing, Video
from pixr.upkeep import repair, restore

__version__ = "0.1.0"

__all__ = [
    "Ask",
    "Blend",
    "Channel",
    "Creator",
    "EncoderOptions",
    "Facets",
    "Hit",
    "Hits",
    "Library",
    "Limits",
    "Match",
    "Mode",
    "Moment",
    "Outcome",
    "PixrError",
    "Progress",
    "Question",
    "ScreenOptions",
    "Segment",
    "Source",
    "Space",
    "SpeechOptions",
    "Sync",
    "Then",
    "Timing",
    "Video",
    "While",
    "Without",
    "__version__",
    "ask",
    "blend",
    "errors",
    "open",
    "parse",
    "repair",
    "restore",
    "then",
    "webhooks",
    "while_",
    "without",
]
