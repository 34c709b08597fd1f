"""One ONNX file and what goes in and comes out of it, whatever its exporter called them.

A file may hold both halves of a model (`model.onnx` of optimum). Then the half that isn't asked gets the smallest input
that it takes, and its outputs are ignored: correct, and as slow as the file is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pixr.encoders.onnx import OnnxModel
from pixr.encoders.published.mel import features
from pixr.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pixr.encoders.protocol import EncoderOptions, Vectors
    from pixr.encoders.published.description import Description

TEXT_INPUTS: Final = ("input_ids", "text")
PICTURE_INPUTS: Final = ("pixel_values", "image")
SOUND_INPUTS: Final = ("input_features",)
TEXT_OUTPUTS: Final = (
    "text_embeds", "text_embeddings", "text_features", "sentence_embedding", "pooler_output", "embedding",
)  # fmt: skip
PICTURE_OUTPUTS: Final = ("image_embeds", "image_embeddings", "image_features", "pooler_output", "embedding")
SOUND_OUTPUTS: Final = ("audio_embeds", "audio_embeddings", "pooler_output", "embedding")
TOKEN_OUTPUTS: Final = ("last_hidden_state", "token_embeddings")


class Towers:
    """The ONNX files of one model, each loaded once, with what the half that isn't asked is given."""

    def __init__(self, description: Description, options: EncoderOptions) -> None:
        """Nothing is loaded yet."""
        self._options = options
        self._models: dict[Path, OnnxModel] = {}
        self._idle = _idle(description)

    def open(self, path: Path) -> OnnxModel:
        """Load a file, or give the one that is loaded. Raises as `OnnxModel`."""
        if path not in self._models:
            self._models[path] = OnnxModel(path, self._options)
        return self._models[path]

    def run(self, path: Path, feeds: Mapping[str, NDArray[Any]], output: str) -> Vectors:
        """Run with the inputs given: those that the model doesn't take are left out, the rest are filled in.

        Raises:
            ModelError: the model doesn't accept them, or needs an input of which nothing is known.
        """
        import numpy as np

        model = self.open(path)
        batch = {model.inputs[name].batch: len(value) for name, value in feeds.items() if name in model.inputs}
        made: dict[str, NDArray[Any]] = {}
        for name, entry in model.inputs.items():
            if name in feeds:
                made[name] = feeds[name]
            elif name == "token_type_ids" and "input_ids" in feeds:
                made[name] = np.zeros_like(feeds["input_ids"])
            elif name == "position_ids" and "input_ids" in feeds:
                rows, columns = feeds["input_ids"].shape
                made[name] = np.tile(np.arange(columns), (rows, 1))
            elif name in self._idle:
                made[name] = np.repeat(self._idle[name], batch.get(entry.batch, 1), axis=0)
            else:
                raise ModelError(f"model {path} needs input {name!r}, of which nothing is known")
        return model.run_for(made, output)


def _idle(description: Description) -> dict[str, NDArray[Any]]:
    """The smallest inputs that each half takes: one text, one black picture, one silence."""
    import numpy as np

    tokens = description.text.max_tokens if description.text.padding == "full" else 2
    idle: dict[str, NDArray[Any]] = {name: np.zeros((1, tokens), np.int64) for name in (*TEXT_INPUTS, "token_type_ids")}
    idle["attention_mask"] = np.ones((1, tokens), np.int64)
    if (picture := description.picture) is not None:
        black = np.zeros((1, 3, picture.height, picture.width), np.float32)
        idle |= dict.fromkeys(PICTURE_INPUTS, black)
    if (sound := description.sound) is not None:
        silence = features(np.zeros(sound.hop, np.float32), sound)[None]
        idle |= dict.fromkeys(SOUND_INPUTS, silence)
        idle["is_longer"] = np.zeros((1, 1), np.bool_)
    return idle


def input_name(model: OnnxModel, known: tuple[str, ...]) -> str:
    """Which of the known inputs a model has.

    Raises:
        ModelError: none; names what it has.
    """
    for name in known:
        if name in model.inputs:
            return name
    raise ModelError(f"model {model.path} has inputs {list(model.inputs)}, expected one named {' or '.join(known)}")


def output_name(model: OnnxModel, wanted: str | None, known: tuple[str, ...]) -> str:
    """The output that a recipe names, else the first known one, else the only one.

    Raises:
        ModelError: there is no such output; names what it has.
    """
    if wanted is not None:
        known = (wanted,)
    for name in known:
        if name in model.outputs:
            return name
    if wanted is None and len(model.outputs) == 1:
        return model.outputs[0]
    raise ModelError(f"model {model.path} has outputs {list(model.outputs)}, expected one named {' or '.join(known)}")
