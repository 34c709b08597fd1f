"""The encoders that one library is indexed and searched with, loaded when they are first needed."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixr.encoder_choice import Choice, Given, chosen, recall, remember

if TYPE_CHECKING:
    from pixr.encoders.load import Encoders
    from pixr.encoders.protocol import EncoderOptions

__all__ = ["LibraryEncoders"]


class LibraryEncoders:
    """The encoders of the library in one folder. Safe to use from several threads.

    They are those that were given when the library was opened, or else those that it was indexed with, or else the
    embedded ones.
    """

    def __init__(self, folder: Path, given: Given | None, options: EncoderOptions | None) -> None:
        self._folder = folder
        self._given = given
        self._options = options
        self._lock = threading.Lock()
        self._loaded: tuple[Choice, Encoders] | None = None

    @property
    def options(self) -> EncoderOptions:
        """How the encoders run."""
        from pixr.encoders.protocol import EncoderOptions

        return self._options or EncoderOptions()

    def loaded(self) -> Encoders:
        """The encoders to search with; the first call loads them.

        Raises:
            MissingExtra: onnxruntime or tokenizers is not installed.
            ModelNotFound, ModelError.
        """
        with self._lock:
            if self._loaded is None:
                from pixr.encoders.load import load_encoders

                choice, options = self._choose()
                self._loaded = choice, load_encoders(choice.names, options)
            return self._loaded[1]

    def renewed(self) -> Encoders:
        """The same, but loaded anew if others are on record by now: another handle may have reindexed the library.

        Raises: as `loaded`.
        """
        with self._lock:
            is_current = self._loaded is not None and self._loaded[0] == self.choice()
        if not is_current:
            self.forget()
        return self.loaded()

    def for_indexing(self) -> Encoders:
        """Encoders to index with, loaded anew by each call.

        Each of their calls keeps to one thread, since many are made at once.

        Raises: as `loaded`.
        """
        from pixr.encoders.load import load_encoders

        choice, options = self._choose()
        return load_encoders(choice.names, replace(options, threads=options.threads or 1))

    def choice(self) -> Choice:
        """Which encoders these are."""
        return self._choose()[0]

    def remember(self) -> None:
        """Record in the library's folder which encoders these are, so that it is searched with the same ones."""
        remember(self._folder, self.choice())

    def forget(self) -> None:
        """Choose and load the encoders anew at the next call, because the library now holds vectors of other spaces."""
        with self._lock:
            self._loaded = None
            self._given = None

    def _choose(self) -> tuple[Choice, EncoderOptions]:
        from pixr.encoders.load import DEFAULT_MODEL

        options = self.options
        on_record = recall(self._folder) if self._given is None else None
        choice = on_record or chosen(self._given or DEFAULT_MODEL, options.precision)
        if options.precision == "auto":
            options = replace(options, precision=choice.precision)
        return choice, options
