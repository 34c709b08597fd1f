"""Loads the encoders that a library works with: the embedded ones, except those that named models replace."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pixr.encoders.protocol import EncoderOptions, ImageEncoder, SoundEncoder, TextEncoder
from pixr.encoders.registry import EMBEDDED, PublishedModel, published_models
from pixr.errors import ModelError, ModelNotFound
from pixr.types import Channel

DEFAULT_MODEL: Final = "embedded"
_EMBEDDED_NAMES: Final = (DEFAULT_MODEL, "concepts", "minilm")


@dataclass(frozen=True)
class Encoders:
    """The encoders a library works with.

    Attributes:
        visual: for channel `frame`. The embedded one encodes words with `text`, so a query runs that network once.
        text: for `speech` and `metadata`.
        sound: for `sound`; None if it isn't indexed. The embedded one knows speech, singing, music and silence.
    """

    visual: ImageEncoder
    text: TextEncoder
    sound: SoundEncoder | None = None

    @property
    def by_channel(self) -> dict[Channel, TextEncoder]:
        """The encoder that makes each channel's vectors."""
        channels: dict[Channel, TextEncoder] = {"frame": self.visual, "metadata": self.text, "speech": self.text}
        return channels | ({"sound": self.sound} if self.sound is not None else {})

    @property
    def all(self) -> tuple[TextEncoder, ...]:
        """All of them. Each understands words."""
        return tuple(encoder for encoder in (self.visual, self.text, self.sound) if encoder is not None)


def default_encoders(options: EncoderOptions | None = None) -> Encoders:
    """Load the embedded models: no download, no account.

    Raises:
        MissingExtra: onnxruntime, tokenizers or Pillow is not installed.
        ModelNotFound: a file is missing.
        ModelError: a file is damaged.
    """
    from pixr.encoders.concepts import ConceptEncoder
    from pixr.encoders.minilm import MiniLMEncoder
    from pixr.encoders.sound_labels import SoundLabelEncoder

    text = MiniLMEncoder(EMBEDDED, options)
    return Encoders(ConceptEncoder(EMBEDDED, text, options), text, SoundLabelEncoder(text))


def load_encoders(
    names: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = DEFAULT_MODEL,
    options: EncoderOptions | None = None,
) -> Encoders:
    """Load encoders by name or folder. Each fills the channels it is made for, and the embedded models fill the rest.

    A model of pictures fills channel `frame`, one of sentences `speech` and `metadata`, one of sound `sound`.

    Args:
        names: one or several of: "embedded" (or its halves, "concepts" and "minilm"), a name of `published_models`
            that was pulled, or a folder in any known layout (`pixr.encoders.published.layouts`).
        options: how they run.

    Raises:
        ModelNotFound: there is no model of this name and no such folder, or the model was not pulled.
        ModelError: a folder fits no layout, a file is damaged, or two of the models fill the same channel.
        MissingExtra: a package is not installed.
    """
    given = [names] if isinstance(names, (str, os.PathLike)) else list(names)
    found: dict[str, Any] = {}
    for name in given:
        if os.fspath(name) in _EMBEDDED_NAMES:
            continue
        encoder = load_encoder(name, options)
        kind = _kind(encoder)
        if kind in found:
            raise ModelError(f"{found[kind].space.name} and {os.fspath(name)} fill the same channel; name one")
        found[kind] = encoder
    visual, text, sound = found.get("visual"), found.get("text"), found.get("sound")
    if visual is None or text is None or sound is None:
        embedded = default_encoders(options)
        visual, text, sound = visual or embedded.visual, text or embedded.text, sound or embedded.sound
    return Encoders(visual, text, sound)


def fills(name: str | os.PathLike[str], options: EncoderOptions | None = None) -> frozenset[str]:
    """What a model encodes: "visual", "text" or "sound", and the embedded models all. Raises as `load_encoders`."""
    embedded = {DEFAULT_MODEL: ("visual", "text", "sound"), "concepts": ("visual",), "minilm": ("text",)}
    given = os.fspath(name)
    return frozenset(embedded[given] if given in embedded else (_kind(load_encoder(name, options)),))


def _kind(encoder: TextEncoder) -> str:
    return "visual" if isinstance(encoder, ImageEncoder) else "sound" if isinstance(encoder, SoundEncoder) else "text"


def load_encoder(
    name: str | os.PathLike[str], options: EncoderOptions | None = None
) -> TextEncoder | ImageEncoder | SoundEncoder:
    """Load one published model, by folder or by name. Raises what `load_encoders` does."""
    from pixr.encoders.published import load_folder
    from pixr.encoders.pull import pulled_folder

    given = os.fspath(name)
    known = {model.name: model for model in published_models()}
    if given in known and not Path(given).is_dir():
        return _load_pulled(known[given], pulled_folder(given), options)
    if Path(given).is_dir():
        return load_folder(Path(given), options)
    encoders = [model.name for model in known.values() if model.kind != "speech"]
    raise ModelNotFound(
        f"no model named {given!r}, and no folder at that path; known: {', '.join((*_EMBEDDED_NAMES, *encoders))}"
    )


def _load_pulled(model: PublishedModel, folder: Path, options: EncoderOptions | None) -> TextEncoder:
    from pixr.encoders.published.load import load_folder

    if model.kind == "speech":
        raise ModelError(f"{model.name} recognises speech; give it as the speech model")
    if not folder.is_dir():
        raise ModelNotFound(f"{model.name} is not on this machine; `pixr models pull {model.name}` fetches it")
    return load_folder(folder, options, name=model.name, text=model.text)
