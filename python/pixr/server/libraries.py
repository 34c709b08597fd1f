"""Opens each organization's library when it is needed.

Reading handles are kept open, and the one that was unused the longest is closed first, so that a thousand idle
organizations cost nothing. A slow disk makes opening, closing and loading models long, so none of these happens under a
lock that all libraries share. A write holds the library's lock for one operation only, so that any process can write
next: another process of the server, a worker, or `pixr index` beside them. A write is acknowledged once every reader
sees it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pixr
from pixr.errors import LibraryLocked, LibraryNotFound
from pixr.inside import engine_of
from pixr.library import Library
from pixr.library_encoders import LibraryEncoders

if TYPE_CHECKING:
    from pixr.encoders.load import Encoders
    from pixr.server.homes import Homes

__all__ = ["Libraries", "SharedEncoders", "SharedLibraryEncoders", "open_to_write"]

T = TypeVar("T")

# After this time every reader sees a write: a reader looks for a new snapshot if its last look is 50 ms old.
VISIBLE_SECONDS = 0.06
LOCK_WAIT_SECONDS = 10.0
# How many of this process's threads may write to one library or wait for it. Forty threads serve all libraries.
MOST_WRITERS = 16


@dataclass
class _Once(Generic[T]):
    """What the first who needs it makes, while others who need it wait. It is made again only if that failed."""

    made: T | None = None
    making: threading.Lock = field(default_factory=threading.Lock)

    def get(self, make: Callable[[], T]) -> T:
        with self.making:
            if self.made is None:
                self.made = make()
            return self.made


class SharedEncoders:
    """The models, loaded once in this process for all libraries that are indexed with them."""

    def __init__(self, encoder: str | None) -> None:
        self.encoder = encoder
        self._lock = threading.Lock()
        self._known: dict[str, _Once[Encoders]] = {}

    def load(self, names: Any = None) -> Encoders:
        """The encoders of these names, by default the configured ones. The first call loads them."""
        from pixr.encoders.load import DEFAULT_MODEL

        chosen = names or self.encoder or DEFAULT_MODEL
        with self._lock:
            known = self._known.setdefault(repr(chosen), _Once())
        return known.get(lambda: self._load(chosen))

    def _load(self, names: Any) -> Encoders:
        from pixr.encoders.load import load_encoders

        return load_encoders(names, None)


class SharedLibraryEncoders(LibraryEncoders):
    """The encoders that one library is searched and indexed with, shared with all other libraries."""

    def __init__(self, path: Path, shared: SharedEncoders) -> None:
        super().__init__(path, shared.encoder, None)
        self._shared = shared

    def loaded(self) -> Encoders:
        """The encoders that are loaded for all libraries."""
        return self._shared.load(self.choice().names)

    def for_indexing(self) -> Encoders:
        """The same encoders: they need not be loaded again, because they outlive the library."""
        return self.loaded()


def _open_to_read(path: Path, shared: SharedEncoders) -> Library:
    """Open a library for reading, with the process's shared encoders."""
    return Library(engine_of(pixr.open(path, read_only=True)), path, SharedLibraryEncoders(path, shared))


@dataclass
class _Open(_Once[Library]):
    """A library that is open, or that its first user opens."""

    users: int = 0


@dataclass
class _Writers:
    """The threads that write to one library, or wait for their turn without polling the library's lock."""

    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def turn(self) -> Iterator[None]:
        if not self.lock.acquire(timeout=LOCK_WAIT_SECONDS):
            raise LibraryLocked("another request writes to the library")
        try:
            yield
        finally:
            self.lock.release()


class Libraries:
    """The libraries of all organizations, by the organization's id."""

    def __init__(
        self, directory: Path, homes: Homes, *, single: Path | None, most_open: int, encoder: str | None
    ) -> None:
        """`homes` has a folder for each organization; `single` is the library, if only one is served."""
        self._directory = directory
        self._homes = homes
        self._single = single
        self._most_open = most_open
        self.shared_encoders = SharedEncoders(encoder)
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._writers: dict[Path, _Writers] = {}
        self._lock = threading.Lock()

    def home(self, organization: str) -> Path:
        """The organization's directory: uploads, thumbnails and, unless one library is served, its library."""
        return self._homes.find(organization).path

    def path(self, organization: str) -> Path:
        """The organization's library."""
        if self._is_single(organization):
            assert self._single is not None
            return self._single
        return self.home(organization) / "library.pixr"

    @contextmanager
    def reading(self, organization: str) -> Iterator[Library]:
        """The library, open for reading. It is created if it does not exist."""
        name, path = "" if self._is_single(organization) else organization, self.path(organization)
        with self._lock:
            opened = self._open.setdefault(name, _Open())
            opened.users += 1
            self._open.move_to_end(name)
        try:
            yield opened.get(lambda: self._open_reader(path))
        finally:
            self._leave({name: opened})

    @contextmanager
    def writing(self, organization: str) -> Iterator[Library]:
        """The library, open for writing. When the block has ended, every reader sees what was written.

        Raises:
            LibraryLocked: others held the lock for too long, or too many threads of this process wait for it.
        """
        path = self.path(organization)
        with self._in_turn(path) as turn:
            with turn, open_to_write(path, self.shared_encoders.encoder) as library:
                yield library
            time.sleep(VISIBLE_SECONDS)

    def check(self) -> None:
        """Raise if the single library can't be read, or else if the data directory can't be written."""
        if self._single is not None:
            with self.reading("") as library:
                library.info()
        else:
            probe = self._directory / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()

    def open_count(self) -> int:
        """How many libraries are open."""
        with self._lock:
            return sum(opened.made is not None for opened in self._open.values())

    def segment_count(self) -> int:
        """How many segments the open libraries hold."""
        with self._lock:
            counted = dict(self._open)
            for opened in counted.values():
                opened.users += 1
        try:
            open_now = [opened.made for opened in counted.values() if opened.made is not None]
            return sum(int(library.info()["segments"]) for library in open_now)
        finally:
            self._leave(counted)

    def forget(self, organization: str) -> None:
        """Close the organization's library, if nobody reads it."""
        with self._lock:
            opened = self._open.get(organization)
            unused = self._open.pop(organization) if opened is not None and opened.users == 0 else None
        _close([unused] if unused is not None else [])

    def close(self) -> None:
        """Close all libraries."""
        with self._lock:
            known = list(self._open.values())
            self._open.clear()
        _close(known)

    @contextmanager
    def _in_turn(self, path: Path) -> Iterator[AbstractContextManager[None]]:
        """Join this process's writers of a library. What is yielded waits for the turn.

        The same threads serve all organizations, so only some of them may wait for one organization's library.
        """
        with self._lock:
            writers = self._writers.setdefault(path, _Writers())
            if writers.count >= MOST_WRITERS:
                raise LibraryLocked("too many requests wait to write to the library")
            writers.count += 1
        try:
            yield writers.turn()
        finally:
            with self._lock:
                writers.count -= 1
                if writers.count == 0:
                    del self._writers[path]

    def _leave(self, left: Mapping[str, _Open]) -> None:
        """Take a user from each of some libraries, and close what is too many."""
        with self._lock:
            for name, opened in left.items():
                opened.users -= 1
                if opened.users == 0 and opened.made is None and self._open.get(name) is opened:
                    del self._open[name]  # it could not be opened
            unused = self._pop_unused()
        _close(unused)

    def _is_single(self, organization: str) -> bool:
        """Whether this organization's library is the single one: so it is for all but a sandbox."""
        return self._single is not None and not (organization and self._homes.find(organization).is_sandbox)

    def _open_reader(self, path: Path) -> Library:
        try:
            return _open_to_read(path, self.shared_encoders)
        except LibraryNotFound:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_to_write(path, self.shared_encoders.encoder):
                pass
            return _open_to_read(path, self.shared_encoders)

    def _pop_unused(self) -> list[_Open]:
        surplus = len(self._open) - self._most_open
        names = [name for name, opened in self._open.items() if opened.users == 0][: max(0, surplus)]
        return [self._open.pop(name) for name in names]


def _close(known: Iterable[_Open]) -> None:
    for opened in known:
        if opened.made is not None:
            opened.made.close()


@contextmanager
def open_to_write(path: Path, encoder: str | None, wait: float = LOCK_WAIT_SECONDS) -> Iterator[Library]:
    """Open a library for writing as soon as nobody else writes.

    Raises:
        LibraryLocked: somebody else still does after `wait` seconds.
    """
    deadline, pause = time.monotonic() + wait, 0.002
    while True:
        try:
            library = pixr.open(path, encoder=encoder)
            break
        except LibraryLocked:
            if time.monotonic() + pause > deadline:
                raise
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
    with library:
        yield library
