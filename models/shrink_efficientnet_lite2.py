#!/usr/bin/env python3
"""Fold the constants of an exported EfficientNet-Lite2 and keep its weights as fp16.

    pip install onnx onnxruntime
    python shrink_efficientnet_lite2.py efficientnet-lite2-fp32.onnx embedded/efficientnet-lite2-fp16.onnx

Only the storage is fp16. Each weight is followed by a Cast, which onnxruntime folds once when it loads the model, so the
arithmetic stays fp32 and keeps its speed: processors without fp16 arithmetic would run a true fp16 graph slower.
"""

import argparse
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

KEEP_BELOW = 2048  # elements; biases and shapes stay as they are


def fold_constants(source: str, target: str) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = target
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def store_as_fp16(model: onnx.ModelProto) -> None:
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < KEEP_BELOW:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [f"{name}.fp16"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folded = str(pathlib.Path(folder) / "folded.onnx")
        fold_constants(arguments.source, folded)
        model = onnx.load(folded)
    store_as_fp16(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(arguments.out))
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, {len(model.graph.node)} nodes")


if __name__ == "__main__":
    main()
