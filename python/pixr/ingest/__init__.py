"""Turns files into rows of the library. Only these modules know every step.

`jobs` indexes several sources at a time. `video` indexes one, with the models of `tools`, and keeps in `found` what its
stages have found so far.
"""

from pixr.ingest.content import content_hash
from pixr.ingest.jobs import ingest

__all__ = ["content_hash", "ingest"]
