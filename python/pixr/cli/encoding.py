"""The options of every command that encodes: how models run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pixr.encoders.protocol import EncoderOptions

__all__ = ["Precision", "Providers", "encoder_options"]

Precision = Annotated[str, typer.Option(metavar="P", help="Of a published model: auto, fp32, fp16, int8, q4, q4f16.")]
Providers = Annotated[
    list[str] | None,
    typer.Option(metavar="P", help="cuda, tensorrt, coreml, openvino, directml or cpu, the most wanted first."),
]


def encoder_options(precision: str, providers: list[str] | None) -> EncoderOptions:
    """The options for how models run. A misspelt precision is a usage error."""
    from pixr.encoders.protocol import EncoderOptions

    try:
        options = EncoderOptions(precision=precision)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--precision") from None
    return replace(options, providers=tuple(providers)) if providers else options
