"""English words that say nothing of what a video is about, however often they are said in it."""

from __future__ import annotations

from typing import Final

__all__ = ["COMMON_WORDS"]

_WORDS: Final = """
about after again all also and any are back because been before being but can could did does doing don't down
each even every few first for from get gets getting give goes going gonna good got had has have having here
here's him his how i'll i'm i've into it's its itself just know let let's like little look lot made make many
maybe more most much must need new not now off okay old one only other our out over own people put really right
said same say see she should show some something still such take than that that's the their them then there
there's these they they're thing things think this those through time too two under until use used using very
video want was way we'll we're we've well went were what what's when where which while who why will with without
won't would yeah yes you you'll you're you've your
"""

COMMON_WORDS: Final = frozenset(_WORDS.split())
