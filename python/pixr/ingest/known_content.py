"""Knows which content a library holds and which is being indexed, so that a file under two names is indexed once.

It also knows from which paths several videos were indexed, because the file there was replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from pixr.types import Video

__all__ = ["KnownContent"]


class KnownContent:
    """Videos by the hash of their content, shared by the threads that index."""

    def __init__(self, videos: Iterable[Video], *, skip: bool) -> None:
        """With `skip`, content that is known need not be indexed again."""
        self._skip = skip
        self._known: dict[str, Video] = {}
        self._indexed_from: dict[str, dict[str, str]] = {}  # the hash of each video by its source and id
        for video in videos:
            self._add(video)
        self._under_way: set[str] = set()
        self._changed = threading.Condition()

    def claim(self, digest: str) -> Video | None:
        """The video with this content. If there is none, returns None: then the caller indexes it and calls `release`.

        Waits while another thread has claimed it, since two that write the same video would undo each other's work.
        """
        with self._changed:
            self._changed.wait_for(lambda: digest not in self._under_way)
            if digest in self._known:
                return self._known[digest]
            self._under_way.add(digest)
            return None

    def release(self, digest: str, video: Video | None) -> None:
        """End a claim with its outcome: the video, or None if it failed."""
        with self._changed:
            self._under_way.discard(digest)
            if video is not None:
                self._add(video)
            self._changed.notify_all()

    def before(self, source: str | None, digest: str | None) -> list[str]:
        """The ids of the videos that were indexed from a source when it had other content."""
        with self._changed:
            return sorted(id for id, known in self._indexed_from.get(source or "", {}).items() if known != digest)

    def warnings(self, video: Video, source: str | None) -> tuple[str, ...]:
        """A warning if other videos were indexed from the same source when it had other content."""
        before = [id for id in self.before(source, video.content_hash) if id != video.id]
        if not before:
            return ()
        there = f"{', '.join(before)}, indexed from here when the content was another, is still there"
        return (f"{there}: delete it if it isn't wanted any more",)

    def _add(self, video: Video) -> None:
        if not video.content_hash:
            return
        if self._skip:
            self._known[video.content_hash] = video
        if video.source:
            self._indexed_from.setdefault(video.source, {})[video.id] = video.content_hash
