"""What every family needs: inputs, exports, and the record of what the reference says."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/python/encoders"))
import parity_inputs  # noqa: E402

OUT = Path(tempfile.mkdtemp())
CORPUS = [*parity_inputs.TEXTS, "the quick brown fox jumps over the lazy dog", "a cat and a dog on a red sofa"] * 3
SIDE = 32


def pictures() -> list[Image.Image]:
    """As `transformers.image_utils.load_image` opens them."""
    return [ImageOps.exif_transpose(Image.open(OUT / name)).convert("RGB") for name in parity_inputs.PICTURES]


def record(folder: Path, **vectors: torch.Tensor | np.ndarray) -> None:
    made = {}
    for name, value in vectors.items():
        rows = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value, np.float32)
        made[name] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.savez(folder / "expected.npz", **made)


def export(module: torch.nn.Module, inputs: dict, path: Path, outputs: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tokens = {"input_ids", "attention_mask", "token_type_ids"}
    axes = {name: {0: "batch", 1: "tokens"} if name in tokens else {0: "batch"} for name in inputs}
    torch.onnx.export(
        module.eval(),
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=outputs,
        dynamic_axes=axes | {name: {0: "batch"} for name in outputs},
        opset_version=17,
        dynamo=False,
    )


class Call(torch.nn.Module):
    """A module whose forward is a function, to choose inputs and outputs of an export."""

    def __init__(self, model: torch.nn.Module, call) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, *inputs):
        return self.call(self.model, *inputs)


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Weights large enough that every input matters: fresh ones make all vectors alike."""
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.mul_(4.0)
            else:
                weights.add_(0.1 * torch.randn_like(weights))
    return model.eval()


def save_json(path: Path, values: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1), encoding="utf8")


def features(output):
    """Newer transformers return an object whose pooled output is the projected features."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def copy_but(source: Path, target: Path, *names: str) -> None:
    shutil.copytree(source, target, ignore=lambda _, here: [name for name in here if name in names])


def other_precisions(path: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.float16 import convert_float_to_float16

    half = convert_float_to_float16(onnx.load(path), keep_io_types=False)
    onnx.save(half, path.with_name(path.stem + "_fp16.onnx"))
    quantize_dynamic(path, path.with_name(path.stem + "_int8.onnx"), weight_type=QuantType.QUInt8)


def prune(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".safetensors", ".bin", ".md", ".model", ".jinja"):
            path.unlink()
