#!/usr/bin/env python3
"""Rewrite the published int8 MiniLM so that onnxruntime multiplies by its int8 weights as they are (see README.md).

    pip install onnx onnxruntime tokenizers
    python rewrite_minilm.py minilm-l6-v2-published.onnx embedded

Beside it, `tests/python/encoders/minilm.npy` gets what the published graph makes of the texts of the parity tests.

The published graph makes float32 weights of its int8 ones before anything else: onnxruntime does that once, when it
loads the file, so it keeps and reads four times the bytes. Here weights, scales and biases are the same to the bit, but

- products are `MatMulNBits` with eight bits, which takes numbers by 32 and rounds these to int8 by a scale of their
  own,
- word vectors are scaled after they are looked up,
- attention, GELU and sums with their normalisation are one operator each.

All operators beyond ONNX's own are onnxruntime's (domain com.microsoft), of version 1.22 or later; on Arm 1.23.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests/python/encoders"
sys.path.insert(0, str(TESTS))
import parity_inputs  # noqa: E402

LAYERS, HEADS, WIDTH, TOKENS = 6, 12, 384, 256
BLOCK = 32
EPSILON = 1e-12
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"
RUNTIME = "com.microsoft"


class Graph:
    """Nodes and weights of the new graph, from the weights of the published one."""

    def __init__(self, published: onnx.ModelProto) -> None:
        self.weights = {entry.name: numpy_helper.to_array(entry) for entry in published.graph.initializer}
        # In the order of the network: query, key, value, what attention gives, and the two of the feed-forward layer.
        self.products = [
            node.input[1]
            for node in published.graph.node
            if node.op_type == "MatMul" and node.input[1] + "_q" in self.weights
        ]
        if len(self.products) != 6 * LAYERS:
            raise SystemExit(f"expected {6 * LAYERS} products with int8 weights, found {len(self.products)}")
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: object) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], output, domain=domain, **attributes))
        return output

    def split(self, packed: str, outputs: Sequence[str]) -> None:
        self._nodes.append(helper.make_node("Split", [packed], outputs, packed + ".split", axis=-1, num_outputs=3))

    def product(self, given: str, names: Sequence[str], bias: NDArray, output: str) -> str:
        """`given` by the matrices `names` side by side, and the bias."""
        columns = np.concatenate([self.weights[name + "_q"] for name in names], axis=1)
        scales = np.concatenate([self.weights[name + "_scale"] for name in names], axis=1)
        rows, count = columns.shape
        # The operator's weights are unsigned about 128, a column after another in blocks, with a scale for each block.
        packed = (columns.T.astype(np.int16) + 128).astype(np.uint8).reshape(count, rows // BLOCK, BLOCK)
        inputs = [
            given,
            self.constant(output + ".weight", packed),
            self.constant(output + ".scales", np.repeat(scales.reshape(count, 1), rows // BLOCK, axis=1)),
            "",
            "",
            self.constant(output + ".bias", bias),
        ]
        sizes = {"K": rows, "N": count, "bits": 8, "block_size": BLOCK}
        return self.node("MatMulNBits", inputs, output, domain=RUNTIME, accuracy_level=4, **sizes)

    def normalised_sum(self, one: str, other: str, name: str, output: str) -> str:
        gain, bias = (self.constant(f"{output}.{part}", self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        inputs = [one, other, gain, bias]
        return self.node("SkipLayerNormalization", inputs, output, domain=RUNTIME, epsilon=EPSILON)

    def embeddings(self) -> str:
        name = "inner.embeddings."
        words = self.constant("words", self.weights[name + "word_embeddings.weight_q"])
        scales = self.constant("word_scales", self.weights[name + "word_embeddings.weight_scale"])
        self.node("Gather", [words, "input_ids"], "int8_words")
        self.node("Cast", ["int8_words"], "unscaled_words", to=TensorProto.FLOAT)
        self.node("Gather", [scales, "input_ids"], "scales_of_words")
        self.node("Mul", ["unscaled_words", "scales_of_words"], "embedded_words")
        positions = self.weights[name + "position_embeddings.weight_q"].astype(np.float32)
        positions *= self.weights[name + "position_embeddings.weight_scale"]
        zero = self.constant("zero", np.array([0], np.int64))
        self.node("Shape", ["input_ids"], "tokens", start=1, end=2)
        self.node("Slice", [self.constant("positions", positions), zero, "tokens", zero], "embedded_positions")
        types = self.constant("types", self.weights[name + "token_type_embeddings.weight"])
        self.node("Gather", [types, "token_type_ids"], "embedded_types")
        self.node("Add", ["embedded_words", "embedded_types"], "words_and_types")
        self.node("Add", ["words_and_types", "embedded_positions"], "embedded")
        gain = self.constant("embeddings.weight", self.weights[name + "LayerNorm.weight"])
        bias = self.constant("embeddings.bias", self.weights[name + "LayerNorm.bias"])
        return self.node("LayerNormalization", ["embedded", gain, bias], "embeddings", axis=-1, epsilon=EPSILON)

    def layer(self, number: int, given: str, output: str) -> str:
        name, here = f"inner.encoder.layer.{number}.", f"layer{number}."
        query, key, value, attended, wide, narrow = self.products[6 * number : 6 * number + 6]
        biases = [self.weights[f"{name}attention.self.{part}.bias"] for part in ("query", "key", "value")]
        packed = self.product(given, [query, key, value], np.concatenate(biases), here + "packed")
        parts = [here + part for part in ("query", "key", "value")]
        self.split(packed, parts)
        inputs = [*parts, "", "mask"]
        self.node("MultiHeadAttention", inputs, here + "attention", domain=RUNTIME, num_heads=HEADS)
        bias = self.weights[name + "attention.output.dense.bias"]
        mixed = self.product(here + "attention", [attended], bias, here + "mixed")
        middle = self.normalised_sum(mixed, given, name + "attention.output.LayerNorm", here + "middle")
        self.product(middle, [wide], self.weights[name + "intermediate.dense.bias"], here + "wide")
        self.node("Gelu", [here + "wide"], here + "activated", domain=RUNTIME)
        self.product(here + "activated", [narrow], self.weights[name + "output.dense.bias"], here + "narrow")
        return self.normalised_sum(here + "narrow", middle, name + "output.LayerNorm", output)

    def model(self) -> onnx.ModelProto:
        states = self.embeddings()
        self.node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
        for number in range(LAYERS):
            states = self.layer(number, states, OUTPUT if number == LAYERS - 1 else f"layer{number}.states")
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in INPUTS]
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", "tokens", WIDTH])]
        graph = helper.make_graph(self._nodes, "all-MiniLM-L6-v2", inputs, outputs, self._constants)
        versions = [helper.make_opsetid("", 18), helper.make_opsetid(RUNTIME, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=9)


def record(published: pathlib.Path, tokenizer: pathlib.Path) -> None:
    """Write the published graph's sentence vectors, by itself: no padding, the mean, length one."""
    session = onnxruntime.InferenceSession(str(published), providers=["CPUExecutionProvider"])
    cut = Tokenizer.from_file(str(tokenizer))
    cut.enable_truncation(TOKENS)
    rows = []
    for encoding in cut.encode_batch(parity_inputs.TEXTS):
        ids = np.array([encoding.ids], np.int64)
        feeds = dict(zip(INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))
        mean = session.run([OUTPUT], feeds)[0][0].mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
    np.save(TESTS / "minilm.npy", np.array(rows, np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("published", type=pathlib.Path)
    parser.add_argument("embedded", type=pathlib.Path)
    arguments = parser.parse_args()
    onnx.save(Graph(onnx.load(arguments.published)).model(), arguments.embedded / "minilm-l6-v2-int8.onnx")
    record(arguments.published, arguments.embedded / "minilm-l6-v2-tokenizer.json")


if __name__ == "__main__":
    main()
