"""What a description becomes: an encoder of sentences, of pictures and words, or of sound and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pixr.encoders.protocol import Space
from pixr.encoders.published.families import FAMILIES
from pixr.encoders.published.mel import features
from pixr.encoders.published.pixels import preprocess
from pixr.encoders.published.towers import (
    PICTURE_INPUTS,
    PICTURE_OUTPUTS,
    SOUND_INPUTS,
    SOUND_OUTPUTS,
    Towers,
    input_name,
    output_name,
)
from pixr.encoders.published.words import Words, unit_rows
from pixr.errors import ModelError, SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixr.encoders.protocol import EncoderOptions, Picture, Sound, Vectors
    from pixr.encoders.published.description import Description


# A model that hears ten seconds at once repeats shorter sound; a moment of ten seconds would be a coarse answer.
_INDEXED_SECONDS = 5.0


class SentenceEncoder:
    """Encodes texts. Safe to use from several threads.

    Attributes:
        space: of its vectors.
        description: what it was made of.
        options: how it runs, with what was measured filled in.
        prior_calibration: its family's, or None.
    """

    def __init__(self, description: Description, version: str, options: EncoderOptions) -> None:
        """Load the model.

        Raises:
            MissingExtra: a package is not installed.
            ModelNotFound: a file is missing.
            ModelError: a file is damaged, or holds another model than the description says.
        """
        self.description = description
        self.prior_calibration: dict[str, Any] | None = FAMILIES[description.family].prior
        self.options = options
        self._towers = Towers(description, options)
        self._words = Words(description.text, self._towers, options)
        name = description.name.replace("@", "-").replace("/", "-")
        self.space = Space(name, version, self._words.dimension)

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Encode texts that look for something: float32 `(len(texts), dimension)`, unit rows."""
        return self._words.encode(texts, self.description.text.query_prefix)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Encode texts that are looked for: float32 `(len(texts), dimension)`, unit rows."""
        return self._words.encode(texts, self.description.text.document_prefix)

    def describe(self, vectors: Vectors) -> list[str | None]:
        """Such a vector has no words of its own: None for every row."""
        return [None] * len(vectors)

    def _check(self, rows: Vectors, output: str) -> Vectors:
        if rows.ndim != 2 or rows.shape[1] != self.space.dimension:
            raise ModelError(
                f"{self.description.folder}: output {output} has shape {rows.shape}, but texts have "
                f"{self.space.dimension} dimensions"
            )
        return unit_rows(rows)


class PictureTextEncoder(SentenceEncoder):
    """Encodes pictures and texts into one space. Safe to use from several threads."""

    def __init__(self, description: Description, version: str, options: EncoderOptions) -> None:
        """Load both halves. Raises as `SentenceEncoder`."""
        super().__init__(description, version, options)
        if description.picture is None:
            raise ModelError(f"{description.folder} has no half that sees pictures")
        self._recipe = description.picture
        model = self._towers.open(self._recipe.file)
        self._input = input_name(model, PICTURE_INPUTS)
        self._output = output_name(model, self._recipe.output, PICTURE_OUTPUTS)

    def encode_images(self, images: Sequence[Picture]) -> Vectors:
        """Encode RGB pictures (uint8, height x width x 3, any size): float32 `(len(images), dimension)`, unit rows.

        Raises:
            ValueError: a picture has another type or shape, or no pixels.
        """
        import numpy as np

        rows = np.empty((len(images), self.space.dimension), np.float32)
        for at in range(0, len(images), self.options.rows_a_call):
            batch = images[at : at + self.options.rows_a_call]
            pixels = np.stack([preprocess(image, self._recipe) for image in batch])
            encoded = self._towers.run(self._recipe.file, {self._input: pixels}, self._output)
            rows[at : at + len(batch)] = self._check(encoded, self._output)
        return rows

    def pool(self, vectors: Vectors) -> Vectors:
        """Make one vector of a shot's frames, their mean brought to length one: `(frames, d)` in, `(d,)` out.

        Raises:
            ValueError: there are no frames.
            SpaceMismatch: the vectors have another dimension than this encoder's space.
        """
        if len(vectors) == 0:
            raise ValueError("a shot needs at least one frame to pool")
        if vectors.ndim != 2 or vectors.shape[1] != self.space.dimension:
            raise SpaceMismatch(f"vectors of shape {vectors.shape} are not of space {self.space}")
        row: Vectors = unit_rows(vectors.mean(axis=0, keepdims=True))[0]
        return row


class SoundTextEncoder(SentenceEncoder):
    """Encodes sound and texts into one space. Safe to use from several threads."""

    def __init__(self, description: Description, version: str, options: EncoderOptions) -> None:
        """Load both halves. Raises as `SentenceEncoder`."""
        super().__init__(description, version, options)
        if description.sound is None:
            raise ModelError(f"{description.folder} has no half that hears sound")
        self._recipe = description.sound
        model = self._towers.open(self._recipe.file)
        self._input = input_name(model, SOUND_INPUTS)
        self._output = output_name(model, self._recipe.output, SOUND_OUTPUTS)

    @property
    def sample_rate_hz(self) -> int:
        """The rate at which sound must come."""
        return self._recipe.sample_rate_hz

    @property
    def window_seconds(self) -> float:
        """How much sound one vector of an index stands for: what the model hears, or five seconds if that is less."""
        return min(self._recipe.max_seconds, _INDEXED_SECONDS)

    def encode_sounds(self, sounds: Sequence[Sound]) -> Vectors:
        """Encode mono sound (float32 in [-1, 1], any length above zero): float32 `(len(sounds), dimension)`, unit rows.

        Raises:
            ValueError: a sound has another shape, or no samples.
        """
        import numpy as np

        rows = np.empty((len(sounds), self.space.dimension), np.float32)
        for at in range(0, len(sounds), self.options.rows_a_call):
            batch = sounds[at : at + self.options.rows_a_call]
            heard = np.stack([features(sound, self._recipe) for sound in batch])
            feeds = {self._input: heard, "is_longer": np.ones((len(batch), 1), np.bool_)}
            encoded = self._towers.run(self._recipe.file, feeds, self._output)
            rows[at : at + len(batch)] = self._check(encoded, self._output)
        return rows


PublishedEncoder = SentenceEncoder | PictureTextEncoder | SoundTextEncoder


def make_encoder(description: Description, version: str, options: EncoderOptions) -> PublishedEncoder:
    """The encoder that a description asks for.

    Raises:
        MissingExtra, ModelNotFound, ModelError.
    """
    if description.picture is not None:
        return PictureTextEncoder(description, version, options)
    if description.sound is not None:
        return SoundTextEncoder(description, version, options)
    return SentenceEncoder(description, version, options)
