"""Runs ONNX models. The only module that imports onnxruntime, and only when the first model is loaded."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr.encoders.protocol import EncoderOptions
from pixr.errors import MissingExtra, ModelError, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

CPU_PROVIDER = "CPUExecutionProvider"


def import_onnxruntime() -> Any:
    """Import onnxruntime.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtra("onnxruntime", "encoders") from error


def choose_providers(wanted: Sequence[str], available: Sequence[str]) -> list[str]:
    """Keep the wanted providers that exist, in the order wanted, the processor last.

    Warns with RuntimeWarning, naming what is missing and what is used instead: a GPU that is silently not used is the
    slowest kind of bug to find.
    """
    chosen = [name for name in dict.fromkeys(wanted) if name in available and name != CPU_PROVIDER]
    chosen.append(CPU_PROVIDER)
    missing = [name for name in dict.fromkeys(wanted) if name not in available]
    if missing:
        message = (
            f"execution provider {', '.join(missing)} is not available in this onnxruntime; using {', '.join(chosen)}"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    return chosen


class OnnxModel:
    """One loaded model file.

    Calls may come from several threads at once; onnxruntime runs them side by side.

    Attributes:
        path: the model file.
        providers: the execution providers that are really in use.
    """

    def __init__(self, path: Path, options: EncoderOptions, *, inputs: Sequence[str]) -> None:
        """Load a model.

        Raises:
            MissingExtra: onnxruntime is not installed.
            ModelNotFound: there is no such file.
            ModelError: the file is not a model, or lacks one of `inputs`.
        """
        runtime = import_onnxruntime()
        if not path.is_file():
            raise ModelNotFound(f"model file not found: {path}")
        settings = runtime.SessionOptions()
        settings.log_severity_level = 3
        if options.threads is not None:
            settings.intra_op_num_threads = options.threads
        providers = choose_providers(options.providers, runtime.get_available_providers())
        try:
            self._session = runtime.InferenceSession(str(path), settings, providers=providers)
        except Exception as error:  # onnxruntime raises a dozen unrelated types for a broken file
            raise ModelError(f"cannot load model {path}: {error}") from error
        got = [entry.name for entry in self._session.get_inputs()]
        if sorted(got) != sorted(inputs):
            raise ModelError(f"model {path} has inputs {got}, expected {list(inputs)}")
        self.path = path
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Run the model and return its first output.

        Raises:
            ModelError: the model does not accept these inputs.
        """
        try:
            output: NDArray[np.float32] = self._session.run(None, dict(feeds))[0]
        except Exception as error:  # as above
            raise ModelError(f"model {self.path} failed: {error}") from error
        return output
