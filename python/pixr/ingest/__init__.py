"""From a file to rows in the library: the only modules that know every step.

`jobs` takes sources, some at a time; `video` is one under way, with models of `tools`, and what it has `found` so far.
"""

from pixr.ingest.content import content_hash
from pixr.ingest.jobs import ingest

__all__ = ["content_hash", "ingest"]
