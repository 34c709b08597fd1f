#!/usr/bin/env python3
"""Rewrite the published int8 MiniLM so that onnxruntime multiplies whole numbers by its weights (see README.md).

    pip install onnx onnxruntime tokenizers
    python rewrite_minilm.py minilm-l6-v2-published.onnx embedded

Beside it, `tests/python/encoders/minilm.npy` gets what the published graph makes of the texts of the parity tests.

The published graph makes float32 weights of its int8 ones before anything else: onnxruntime does that once, when it
loads the file, so it keeps and reads four times the bytes, and multiplies float32. Here

- products are of uint8 by int8, added up as int32, as processors have instructions for. A few components of what is
  multiplied are far larger than all others, and equal steps for all would leave little of those: so each is centred and
  divided by a number of its own, by which its weights are multiplied (SmoothQuant, Xiao et al. 2022,
  https://arxiv.org/abs/2211.10438). The normalisation before a product does that, and the sum after it undoes it. What
  GELU gives is divided by the largest of each token in place of that;
- the steps are fixed, from what the network makes of the texts in `calibration_texts`, so a text's vector does not
  depend on those beside it; what lies beyond all that was seen is cut;
- word vectors are scaled after they are looked up;
- attention with the product before it, GELU, and sums with their normalisation are one operator each.

All operators beyond ONNX's own are onnxruntime's (domain com.microsoft).
"""

import argparse
import pathlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

MODELS = pathlib.Path(__file__).resolve().parent
TESTS = MODELS.parent / "tests/python/encoders"
sys.path.insert(0, str(TESTS))
import parity_inputs  # noqa: E402

LAYERS, HEADS, WIDTH, TOKENS = 6, 12, 384, 256
EASE = 0.8  # how much of the components' unevenness the weights take
EPSILON = 1e-12
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"
RUNTIME = "com.microsoft"
QUERY, KEY, VALUE, MIXED, WIDE, NARROW = range(6)  # a layer's products, in the order of the network

Vector = NDArray[np.float32]
Span = tuple[float, float]


class Published:
    """The published graph's weights, as numbers, and what its products are given."""

    def __init__(self, path: pathlib.Path, tokenizer: Tokenizer) -> None:
        self._model = onnx.load(path)
        self._tokenizer = tokenizer
        self._weights = {entry.name: numpy_helper.to_array(entry) for entry in self._model.graph.initializer}
        nodes = [node for node in self._model.graph.node if node.op_type == "MatMul"]
        self._products = [node for node in nodes if node.input[1] + "_q" in self._weights]
        if len(self._products) != 6 * LAYERS:
            raise SystemExit(f"expected {6 * LAYERS} products with int8 weights, found {len(self._products)}")

    def __getitem__(self, name: str) -> NDArray:
        return self._weights[name]

    def matrix(self, layer: int, *places: int) -> Vector:
        """The weights of some products of a layer, side by side."""
        names = [self._products[6 * layer + place].input[1] for place in places]
        return np.concatenate([self[name + "_q"] * self[name + "_scale"].astype(np.float32) for name in names], axis=1)

    def bias(self, layer: int, *parts: str) -> Vector:
        """The biases of some products of a layer, one after another."""
        return np.concatenate([self[f"inner.encoder.layer.{layer}.{part}.bias"] for part in parts])

    def seen(self) -> list[dict[int, "Seen"]]:
        """What each layer's products are given for the calibration's texts, by place."""
        places = [(layer, place) for layer in range(LAYERS) for place in (QUERY, MIXED, WIDE, NARROW)]
        names = [self._products[6 * layer + place].input[0] for layer, place in places]
        shown = onnx.ModelProto()
        shown.CopyFrom(self._model)
        shown.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
        session = onnxruntime.InferenceSession(shown.SerializeToString(), providers=["CPUExecutionProvider"])
        layers: list[dict[int, Seen]] = [{} for _ in range(LAYERS)]
        for text in calibration_texts(self._tokenizer):
            given = session.run(names, feeds(self._tokenizer, text))
            for (layer, place), tokens in zip(places, given, strict=True):
                now = Seen.of(tokens.reshape(-1, tokens.shape[-1]))
                layers[layer][place] = now.widened(layers[layer].get(place, now))
        return layers

    def vectors(self, texts: Sequence[str]) -> Vector:
        """Sentence vectors, each text by itself: no padding, the mean, length one."""
        session = onnxruntime.InferenceSession(self._model.SerializeToString(), providers=["CPUExecutionProvider"])
        means = [session.run([OUTPUT], feeds(self._tokenizer, text))[0][0].mean(axis=0) for text in texts]
        return np.array([mean / np.linalg.norm(mean) for mean in means], np.float32)


@dataclass(frozen=True)
class Seen:
    """The least and the greatest of each component over many tokens, and the least share of a token's greatest."""

    low: Vector
    high: Vector
    least_share: float

    @classmethod
    def of(cls, tokens: Vector) -> "Seen":
        return cls(tokens.min(axis=0), tokens.max(axis=0), float((tokens / tokens.max(axis=1, keepdims=True)).min()))

    def widened(self, other: "Seen") -> "Seen":
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Seen(low, high, min(self.least_share, other.least_share))

    def ease(self, matrix: Vector) -> "Eased":
        """Centre each component, and divide it so that it and its weights share the unevenness."""
        centre, reach = (self.low + self.high) / 2, np.maximum((self.high - self.low) / 2, 1e-3)
        scale = reach**EASE / np.maximum(np.abs(matrix).max(axis=1), 1e-5) ** (1 - EASE)
        scale /= np.exp(np.log(scale).mean())
        return Eased(centre, scale, float((reach / scale).max()))


@dataclass(frozen=True)
class Eased:
    """Values that stand in the graph as `(value - centre) / scale`, within `reach` of zero."""

    centre: Vector
    scale: Vector
    reach: float

    @property
    def span(self) -> Span:
        """From the least eased value to the greatest."""
        return -self.reach, self.reach

    def weights_for(self, matrix: Vector, bias: Vector | None = None) -> "Weights":
        """The weights by which eased values are multiplied in place of the values themselves."""
        return Weights(matrix * self.scale[:, None], bias)


@dataclass(frozen=True)
class Weights:
    """What a product multiplies by, and what it adds."""

    matrix: Vector
    bias: Vector | None = None


@dataclass(frozen=True)
class Values:
    """A node's output, and how its values stand in it."""

    name: str
    eased: Eased


@dataclass(frozen=True)
class Normalisation:
    """A normalisation of the published graph, and how its result is to stand; None for as it is."""

    name: str
    eased: Eased | None


def feeds(tokenizer: Tokenizer, text: str) -> dict[str, NDArray[np.int64]]:
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    return dict(zip(INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))


def calibration_texts(tokenizer: Tokenizer) -> Iterator[str]:
    """Names, sentences, several at once, and pieces of the vocabulary: alone, repeated, and many in no order."""
    lines = (MODELS / "concept-descriptions.txt").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        name, description = line.split(": ", 1)
        yield (name, description, f"a photo of {name}", " ".join(reversed(line.split())))[number % 4]
    for first in range(0, len(lines), 50):
        yield ". ".join(lines[first : first + 2 + first // 50])
    yield from parity_inputs.TEXTS
    pieces = [piece.removeprefix("##") for piece in sorted(tokenizer.get_vocab())]
    chosen = np.random.default_rng(7)
    for number, piece in enumerate(chosen.choice(pieces, 3000, replace=False)):
        yield " ".join([piece] * (1 if number % 4 else 2 + number % 29))
    for number in range(600):
        yield " ".join(chosen.choice(pieces, 2 + number // 10))


class Graph:
    """Nodes and weights of the new graph."""

    def __init__(self, published: Published) -> None:
        self._published = published
        self._seen = published.seen()
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: object) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], output, domain=domain, **attributes))
        return output

    def levels(self, given: str, span: Span, output: str) -> tuple[str, str, str]:
        """`given` in 256 equal steps over `span`: the levels, what a step is, and the level of zero."""
        low, high = span
        size = (high - low) / 255
        step = self.constant(output + ".step", np.array(size, np.float32))
        zero = self.constant(output + ".zero", np.array(round(-low / size), np.uint8))
        return self.node("QuantizeLinear", [given, step, zero], output + ".levels"), step, zero

    def weights(self, matrix: Vector, output: str) -> tuple[str, str, str]:
        """A matrix in 255 equal steps for each column, what a step is, and the level of zero.

        That is 0, as where it is not given; but onnxruntime 1.23 ends the process when it prepares such weights for
        exact sums.
        """
        steps = np.abs(matrix).max(axis=0) / 127
        levels = np.round(matrix / steps).astype(np.int8)
        zero = self.constant(output + ".weight_zero", np.array(0, np.int8))
        return self.constant(output + ".weight", levels), self.constant(output + ".steps", steps), zero

    def product(self, given: str, span: Span, weights: Weights, output: str) -> str:
        """`given`, whose values lie within `span`, times weights, in whole numbers."""
        levels, step, zero = self.levels(given, span, output)
        weight, steps, weight_zero = self.weights(weights.matrix, output)
        inputs = [levels, weight, step, steps, zero, weight_zero]
        if weights.bias is not None:
            inputs.append(self.constant(output + ".bias", weights.bias))
        return self.node("MatMulIntegerToFloat", inputs, output, domain=RUNTIME)

    def normalised(self, norm: Normalisation, output: str) -> tuple[str, str]:
        """Gain and bias of a normalisation, which eases what it gives."""
        gain, bias = self._published[norm.name + ".weight"], self._published[norm.name + ".bias"]
        if eased := norm.eased:
            gain, bias = gain / eased.scale, (bias - eased.centre) / eased.scale
        return self.constant(output + ".gain", gain), self.constant(output + ".bias", bias)

    def normalised_sum(self, one: str, other: Values, bias: Vector, norm: Normalisation, output: str) -> str:
        """The normalised sum of a product, its bias, and values that stand eased."""
        scale, centre = other.eased.scale, other.eased.centre
        uneased = self.node("Mul", [other.name, self.constant(output + ".uneased.scale", scale)], output + ".uneased")
        inputs = [one, uneased, *self.normalised(norm, output), self.constant(output + ".added", bias + centre)]
        return self.node("SkipLayerNormalization", inputs, output, domain=RUNTIME, epsilon=EPSILON)

    def embeddings(self, eased: Eased) -> str:
        published, name = self._published, "inner.embeddings."
        words = self.constant("words", published[name + "word_embeddings.weight_q"])
        scales = self.constant("word_scales", published[name + "word_embeddings.weight_scale"])
        self.node("Gather", [words, "input_ids"], "int8_words")
        self.node("Cast", ["int8_words"], "unscaled_words", to=TensorProto.FLOAT)
        self.node("Gather", [scales, "input_ids"], "scales_of_words")
        self.node("Mul", ["unscaled_words", "scales_of_words"], "embedded_words")
        positions = published[name + "position_embeddings.weight_q"].astype(np.float32)
        positions *= published[name + "position_embeddings.weight_scale"]
        zero = self.constant("zero", np.array([0], np.int64))
        self.node("Shape", ["input_ids"], "tokens", start=1, end=2)
        self.node("Slice", [self.constant("positions", positions), zero, "tokens", zero], "embedded_positions")
        types = self.constant("types", published[name + "token_type_embeddings.weight"])
        self.node("Gather", [types, "token_type_ids"], "embedded_types")
        self.node("Add", ["embedded_words", "embedded_types"], "words_and_types")
        self.node("Add", ["words_and_types", "embedded_positions"], "embedded")
        inputs = ["embedded", *self.normalised(Normalisation(name + "LayerNorm", eased), "embeddings")]
        return self.node("LayerNormalization", inputs, "embeddings", axis=-1, epsilon=EPSILON)

    def attention(self, layer: int, given: Values, mixed: Eased, output: str) -> str:
        """Attention by `given`. Its result is eased for the product that follows, since its values' columns are."""
        parts = ("attention.self.query", "attention.self.key", "attention.self.value")
        packed, bias = self._published.matrix(layer, QUERY, KEY, VALUE), self._published.bias(layer, *parts)
        bias = bias + given.eased.centre @ packed
        packed = packed * given.eased.scale[:, None]
        bias[-WIDTH:] = (bias[-WIDTH:] - mixed.centre) / mixed.scale
        packed[:, -WIDTH:] /= mixed.scale
        levels, step, zero = self.levels(given.name, given.eased.span, output)
        weight, steps, weight_zero = self.weights(packed, output)
        inputs = [levels, weight, self.constant(output + ".bias", bias), step, steps, "mask", zero, weight_zero]
        return self.node("QAttention", inputs, output, domain=RUNTIME, num_heads=HEADS)

    def layer(self, layer: int, given: Values, output: str, eased: Eased | None) -> str:
        """One layer of the network; its result is eased for the next one, or as it is after the last."""
        published, here = self._published, f"layer{layer}."
        name = f"inner.encoder.layer.{layer}."
        matrix = published.matrix(layer, MIXED)
        easy = self._seen[layer][MIXED].ease(matrix)
        attention = self.attention(layer, given, easy, here + "attention")
        mixed = self.product(attention, easy.span, easy.weights_for(matrix), here + "mixed")
        bias = published.bias(layer, "attention.output.dense") + easy.centre @ matrix
        easy = self._seen[layer][WIDE].ease(published.matrix(layer, WIDE))
        norm = Normalisation(name + "attention.output.LayerNorm", easy)
        middle = Values(self.normalised_sum(mixed, given, bias, norm, here + "middle"), easy)
        narrow = self.feed_forward(layer, middle, here)
        norm = Normalisation(name + "output.LayerNorm", eased)
        return self.normalised_sum(narrow, middle, published.bias(layer, "output.dense"), norm, output)

    def feed_forward(self, layer: int, middle: Values, here: str) -> str:
        """The two products around GELU, without the bias of the second."""
        matrix = self._published.matrix(layer, WIDE)
        bias = self._published.bias(layer, "intermediate.dense") + middle.eased.centre @ matrix
        self.product(middle.name, middle.eased.span, middle.eased.weights_for(matrix, bias), here + "wide")
        activated = self.node("Gelu", [here + "wide"], here + "activated", domain=RUNTIME)
        axis = self.constant(here + "axis", np.array([-1], np.int64))
        largest = self.node("ReduceMax", [activated, axis], here + "largest", keepdims=1)
        shares = self.node("Div", [activated, largest], here + "shares")
        span = (self._seen[layer][NARROW].least_share, 1.0)
        self.product(shares, span, Weights(self._published.matrix(layer, NARROW)), here + "shared")
        return self.node("Mul", [here + "shared", largest], here + "narrow")

    def model(self) -> onnx.ModelProto:
        eased = [
            self._seen[layer][QUERY].ease(self._published.matrix(layer, QUERY, KEY, VALUE)) for layer in range(LAYERS)
        ]
        states = self.embeddings(eased[0])
        self.node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
        for layer in range(LAYERS):
            last = layer == LAYERS - 1
            output, after = (OUTPUT, None) if last else (f"layer{layer}.states", eased[layer + 1])
            states = self.layer(layer, Values(states, eased[layer]), output, after)
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in INPUTS]
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", "tokens", WIDTH])]
        graph = helper.make_graph(self._nodes, "all-MiniLM-L6-v2", inputs, outputs, self._constants)
        versions = [helper.make_opsetid("", 18), helper.make_opsetid(RUNTIME, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("published", type=pathlib.Path)
    parser.add_argument("embedded", type=pathlib.Path)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.embedded / "minilm-l6-v2-tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    published = Published(arguments.published, tokenizer)
    onnx.save(Graph(published).model(), arguments.embedded / "minilm-l6-v2-int8.onnx")
    np.save(TESTS / "minilm.npy", published.vectors(parity_inputs.TEXTS))


if __name__ == "__main__":
    main()
