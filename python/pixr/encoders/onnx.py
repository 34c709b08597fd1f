"""Runs ONNX models. The only module that imports onnxruntime, and only when the first model is loaded."""

from __future__ import annotations

import ctypes
import importlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from pixr._engine import cuts_sums_of_bytes
from pixr.encoders.protocol import EncoderOptions
from pixr.errors import MissingExtra, ModelError, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

CPU_PROVIDER = "CPUExecutionProvider"
# The short names that options and the command line accept, besides onnxruntime's own.
PROVIDERS: Final = {
    "cpu": CPU_PROVIDER,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
}

_sessions: WeakSet[Any] = WeakSet()


def _keep_in_fork() -> None:
    """Never destroy sessions that a forked process inherited: each would wait for threads that do not exist in it."""
    for session in _sessions:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_in_fork)


def import_onnxruntime() -> Any:
    """Import onnxruntime, and numpy before it.

    Its native part imports numpy by itself, and reports anything that stops that, or itself, as an ImportError, even
    Ctrl-C.

    Raises:
        MissingExtra: onnxruntime is not installed.
        KeyboardInterrupt: Ctrl-C came meanwhile.
    """
    try:
        importlib.import_module("numpy")
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise MissingExtra("onnxruntime", "encoders", error) from error


def choose_providers(wanted: Sequence[str], available: Sequence[str]) -> list[str]:
    """Choose the wanted providers that are available, in the wanted order, and the processor last.

    Warns with RuntimeWarning, naming what is missing and what is used instead: it takes long to notice a GPU that is
    silently left unused.
    """
    full = [PROVIDERS.get(name.lower(), name) for name in wanted]
    chosen = [name for name in dict.fromkeys(full) if name in available and name != CPU_PROVIDER]
    chosen.append(CPU_PROVIDER)
    missing = [name for name in dict.fromkeys(full) if name not in available]
    if missing:
        message = (
            f"execution provider {', '.join(missing)} is not available in this onnxruntime; using {', '.join(chosen)}"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    return chosen


def uses_gpu(wanted: Sequence[str]) -> bool:
    """Whether the first wanted provider is available and isn't the processor."""
    first = PROVIDERS.get(wanted[0].lower(), wanted[0]) if wanted else CPU_PROVIDER
    return first != CPU_PROVIDER and first in import_onnxruntime().get_available_providers()


@dataclass(frozen=True)
class ModelInput:
    """An input as a model declares it. A side of any length is None, and inputs of one `batch` have equal lengths."""

    shape: tuple[int | None, ...]
    type: str
    batch: int | str | None = None


class OnnxModel:
    """One loaded model file.

    Calls may come from several threads at once; onnxruntime runs them side by side.

    Attributes:
        path: the model file.
        providers: the execution providers that are really in use.
        inputs: by name, in the model's order.
        outputs: names, in the model's order.
    """

    def __init__(self, path: Path, options: EncoderOptions, *, inputs: Sequence[str] | None = None) -> None:
        """Load a model. If `inputs` are given, it must have exactly these.

        Warns with RuntimeWarning if a provider that onnxruntime offers can't be started and another is used.

        Raises:
            MissingExtra: onnxruntime is not installed.
            ModelNotFound: there is no such file.
            ModelError: the file is not a model, or has other inputs.
        """
        runtime = import_onnxruntime()
        if not path.is_file():
            raise ModelNotFound(f"model file not found: {path}")
        settings = runtime.SessionOptions()
        settings.log_severity_level = 3
        if cuts_sums_of_bytes():
            settings.add_session_config_entry("session.x64quantprecision", "1")
        if options.threads is not None:
            settings.intra_op_num_threads = options.threads
        providers = choose_providers(options.providers, runtime.get_available_providers())
        try:
            self._session = runtime.InferenceSession(str(path), settings, providers=providers)
        except Exception as error:  # onnxruntime raises a dozen unrelated types for a broken file
            raise ModelError(f"cannot load model {path}: {error}") from error
        _sessions.add(self._session)
        self.inputs: dict[str, ModelInput] = {
            entry.name: ModelInput(
                tuple(side if isinstance(side, int) else None for side in entry.shape or ()),
                str(entry.type),
                entry.shape[0] if entry.shape else None,
            )
            for entry in self._session.get_inputs()
        }
        self.outputs: tuple[str, ...] = tuple(entry.name for entry in self._session.get_outputs())
        if inputs is not None and sorted(self.inputs) != sorted(inputs):
            raise ModelError(f"model {path} has inputs {list(self.inputs)}, expected {list(inputs)}")
        self.path = path
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        if lost := [name for name in providers if name not in self.providers]:
            message = f"execution provider {', '.join(lost)} could not be started for {path.name}; using "
            warnings.warn(message + ", ".join(self.providers), RuntimeWarning, stacklevel=2)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Run the model and return its first output.

        Raises:
            ModelError: the model does not accept these inputs.
        """
        return self._run(None, feeds)

    def run_for(self, feeds: Mapping[str, NDArray[Any]], output: str) -> NDArray[np.float32]:
        """Run the model for one output, with numbers converted to the types that its inputs declare.

        Raises:
            ModelError: the model does not accept these inputs.
        """
        import numpy as np

        converted = {name: feeds[name].astype(_type_of(entry), copy=False) for name, entry in self.inputs.items()}
        return self._run([output], converted).astype(np.float32, copy=False)

    def _run(self, outputs: list[str] | None, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        try:
            output: NDArray[np.float32] = self._session.run(outputs, dict(feeds))[0]
        except Exception as error:  # as above
            raise ModelError(f"model {self.path} failed: {error}") from error
        return output


def _type_of(entry: ModelInput) -> Any:
    import numpy as np

    named = entry.type.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(named, named))
