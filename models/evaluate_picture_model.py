#!/usr/bin/env python3
"""Measure picture models: top-1 and top-5 on labelled photographs, and milliseconds a picture.

    python evaluate_picture_model.py ../../shared/eval/photos MODEL.onnx...             # accuracy
    python evaluate_picture_model.py ../../shared/eval/photos MODEL.onnx... --speed     # speed

Photographs are named for the WordNet id of what they show. Accuracy uses the published preprocessing (short side to
297, bicubic, centre crop) and, with --whole, the encoder's own (the whole picture squeezed to a square).
"""

import argparse
import pathlib
import time

import numpy as np
import onnxruntime
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
CLASS_OF = {name: index for index, name in enumerate((HERE / "imagenet-1k-synsets.txt").read_text().split())}


def read(path: pathlib.Path, whole: bool) -> np.ndarray:
    image = Image.open(path).convert("RGB")
    if whole:
        image = image.resize((260, 260), Image.Resampling.BICUBIC)
    else:
        scale = 297 / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        left, top = (size[0] - 260) // 2, (size[1] - 260) // 2
        image = image.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + 260, top + 260))
    return (np.asarray(image, np.float32).transpose(2, 0, 1) - 127) / 128


def load(path: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--speed", action="store_true")
    arguments = parser.parse_args()
    paths = sorted(arguments.photos.glob("n*.jpg"))
    if arguments.speed:
        pixels = np.stack([read(path, whole=True) for path in paths[:16]])
        for threads in (1, 2):
            sessions = {model: load(model, threads) for model in arguments.models}
            for batch in (1, 4, 8, 16):
                best = dict.fromkeys(sessions, np.inf)
                for _ in range(
                    5
                ):  # interleaved, so that a busy moment hits every model; the minimum is the model's own
                    for model, session in sessions.items():
                        start = time.perf_counter()
                        for at in range(0, 16, batch):
                            session.run(None, {"x": pixels[at : at + batch]})
                        best[model] = min(best[model], (time.perf_counter() - start) / 16 * 1000)
                print(
                    f"threads {threads} batch {batch:>2}: " + "  ".join(f"{best[m]:.1f} ms {m}" for m in best),
                    flush=True,
                )
        return
    truth = np.array([CLASS_OF[path.stem] for path in paths])
    sessions = {model: load(model, 2) for model in arguments.models}
    hits = {model: np.zeros(2) for model in arguments.models}
    for at in range(0, len(paths), 10):
        pixels = np.stack([read(path, arguments.whole) for path in paths[at : at + 10]])
        for model, session in sessions.items():
            order = session.run(None, {"x": pixels})[0].argsort(axis=1)[:, ::-1] == truth[at : at + 10, None]
            hits[model] += order[:, 0].sum(), order[:, :5].any(axis=1).sum()
    for model, (top1, top5) in hits.items():
        print(f"{model}: top-1 {top1 / len(paths):.3f}  top-5 {top5 / len(paths):.3f}  on {len(paths)} photographs")


if __name__ == "__main__":
    main()
