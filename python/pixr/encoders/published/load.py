"""From a folder to an encoder: describe it, name its space by what is in its files, load it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr.encoders.digests import sha256_of
from pixr.encoders.onnx import uses_gpu
from pixr.encoders.protocol import EncoderOptions
from pixr.encoders.published.encoders import PublishedEncoder, make_encoder
from pixr.encoders.published.layouts import describe_folder
from pixr.encoders.published.weights import external_data
from pixr.errors import ModelError, ModelNotFound

if TYPE_CHECKING:
    from pixr.encoders.published.description import Description


def load_folder(
    folder: Path,
    options: EncoderOptions | None = None,
    *,
    name: str | None = None,
    text: Mapping[str, Any] | None = None,
) -> PublishedEncoder:
    """Load the model in a folder of any known layout.

    `name` is its space's, in place of what the folder says; `text` has fields of its text recipe that the folder
    doesn't state.

    Threads and batch size that the options leave open are measured once on this machine and remembered.

    Raises:
        MissingExtra: a package is not installed.
        ModelNotFound: there is no such folder, or a file is missing.
        ModelError: the folder fits no layout, or a file is damaged.
    """
    options = options or EncoderOptions()
    if not folder.is_dir():
        raise ModelNotFound(f"no model folder at {folder}")
    description = describe_folder(folder, options.precision, gpu=uses_gpu(options.providers))
    try:
        description = replace(
            description, name=name or description.name, text=replace(description.text, **dict(text or {}))
        )
    except TypeError as error:
        raise ModelError(f"{folder}: {error}") from error
    version = version_of(description)
    if options.threads is None or options.batch_size is None:
        from pixr.encoders.published.tuning import tuned

        threads, batch_size = tuned(description, version, options)
        options = replace(options, threads=options.threads or threads, batch_size=options.batch_size or batch_size)
    return make_encoder(description, version, options)


def version_of(description: Description) -> str:
    """Twelve hex digits that change with any file or setting on which a vector depends."""
    digest = hashlib.sha256()
    for path in description.files:
        for part in (path, *external_data(path)):
            digest.update(sha256_of(part).encode())
    for recipe in (description.text, description.picture, description.sound):
        if recipe is not None:
            settings = {key: value for key, value in vars(recipe).items() if not isinstance(value, Path)}
            digest.update(repr(sorted(settings.items())).encode())
    return digest.hexdigest()[:12]
