"""Sessions: providers, damaged files, lazy import."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pixr import _engine
from pixr.encoders import EncoderOptions
from pixr.encoders.concepts import MODEL_FILE
from pixr.encoders.onnx import CPU_PROVIDER, OnnxModel, choose_providers
from pixr.encoders.registry import EMBEDDED
from pixr.errors import ModelError, ModelNotFound


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_encoders_loads_no_model_library() -> None:
    heavy = "{'onnxruntime', 'numpy', 'tokenizers', 'PIL'}"
    assert run_python(f"import sys, pixr.encoders; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_sums_of_bytes_are_cut_without_vnni() -> None:
    """Exact sums take twice as long where they aren't needed."""
    about = Path("/proc/cpuinfo").read_text(encoding="utf-8").split() if Path("/proc/cpuinfo").is_file() else []
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    if is_x86 and "avx2" not in about:
        pytest.skip("the system doesn't tell what its processor can")
    assert _engine.cuts_sums_of_bytes() == (is_x86 and not {"avx512_vnni", "avx_vnni"} & set(about))


@pytest.mark.parametrize("file", [MODEL_FILE, "minilm-l6-v2-int8.onnx"])
def test_the_embedded_models_can_be_asked_for_exact_sums_on_every_processor(file: str) -> None:
    """Without VNNI they are: onnxruntime 1.23, the last for Python 3.10, then ended the process at the text model."""
    code = f"""
import onnxruntime
settings = onnxruntime.SessionOptions()
settings.add_session_config_entry("session.x64quantprecision", "1")
onnxruntime.InferenceSession({str(EMBEDDED / file)!r}, settings, providers=["CPUExecutionProvider"])
print("loaded")
"""
    assert run_python(code) == "loaded"


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_missing_package_says_what_to_install(package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from pixr.encoders import default_encoders
try:
    default_encoders()
except ImportError as error:
    print(error.code, '|', error)
"""
    code_and_message = run_python(code)
    assert code_and_message.startswith("missing_extra |")
    assert package in code_and_message
    assert "pip install" in code_and_message


def test_missing_provider_is_said_and_the_processor_used() -> None:
    with pytest.warns(RuntimeWarning, match="NoSuchExecutionProvider is not available.*using CPUExecutionProvider"):
        model = OnnxModel(EMBEDDED / MODEL_FILE, EncoderOptions(providers=("NoSuchExecutionProvider",)), inputs=("x",))
    assert model.providers == (CPU_PROVIDER,)


def test_wanted_providers_come_in_order_and_the_processor_last() -> None:
    assert choose_providers(["B", CPU_PROVIDER, "A", "B"], ["A", "B", CPU_PROVIDER]) == ["B", "A", CPU_PROVIDER]


def test_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"gone\.onnx"):
        OnnxModel(tmp_path / "gone.onnx", EncoderOptions(), inputs=("x",))


def test_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "words.onnx"
    path.write_text("not a model")
    with pytest.raises(ModelError, match=r"words\.onnx") as caught:
        OnnxModel(path, EncoderOptions(), inputs=("x",))
    assert caught.value.code == "model_invalid"


def test_model_with_other_inputs_is_an_error() -> None:
    with pytest.raises(ModelError, match="expected"):
        OnnxModel(EMBEDDED / MODEL_FILE, EncoderOptions(), inputs=("pixel_values",))
