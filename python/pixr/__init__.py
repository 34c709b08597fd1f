"""Pixr, an embeddable, multi-modal video search engine.

    import pixr

    library = pixr.open("films.pixr")
    library.add("roof.mp4", title="Solar install", tags=["diy"])
    for hit in library.search("installing solar panels on roof"):
        print(hit.video.title, hit.score, hit.moments[0].start)

Importing loads no media or model library; each is loaded by the first call that needs it.
"""

from pixr import captions, errors, webhooks
from pixr.captions import Caption
from pixr.chapters import Chapter
from pixr.encoders.protocol import EncoderOptions, Space
from pixr.errors import PixrError
from pixr.ingest_options import ScreenOptions, SpeechOptions
from pixr.library import Library, open
from pixr.progress import Outcome, Progress, Reindexed, Source, Stage
from pixr.questions import Ask, Blend, Question, Then, While, Without, ask, blend, parse, then, while_, without
from pixr.types import (
    Channel,
    Creator,
    FacetMode,
    Facets,
    Fusion,
    Hit,
    Hits,
    Limits,
    Match,
    Mode,
    Moment,
    Segment,
    Sync,
    Timing,
    Total,
    Video,
    Way,
)
from pixr.upkeep import repair, restore

__version__ = "0.1.0"

__all__ = [
    "Ask",
    "Blend",
    "Caption",
    "Channel",
    "Chapter",
    "Creator",
    "EncoderOptions",
    "FacetMode",
    "Facets",
    "Fusion",
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
    "Reindexed",
    "ScreenOptions",
    "Segment",
    "Source",
    "Space",
    "SpeechOptions",
    "Stage",
    "Sync",
    "Then",
    "Timing",
    "Total",
    "Video",
    "Way",
    "While",
    "Without",
    "__version__",
    "ask",
    "blend",
    "captions",
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
