"""CLIP and SigLIP, as OpenCLIP has them."""

from __future__ import annotations

from pathlib import Path

import torch

from parity.recording import OUT, SIDE, Call, export, parity_inputs, pictures, record, save_json, shaken
from parity.vocabularies import clip_tokenizer


def open_clip_model() -> None:
    """Immich's layout of an OpenCLIP model."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    folder = OUT / "open-clip"
    tokenizer = clip_tokenizer(folder / "textual")
    text_cfg = {"context_length": 20, "vocab_size": len(tokenizer), "width": 8, "heads": 2, "layers": 1}
    vision_cfg = {"image_size": SIDE, "layers": 1, "width": 8, "patch_size": 8, "head_width": 4}
    model = shaken(open_clip.CLIP(embed_dim=12, vision_cfg=vision_cfg, text_cfg=text_cfg))
    simple = open_clip.tokenizer.HFTokenizer(str(folder / "textual"), context_length=20)
    prepare = {
        "size": [SIDE, SIDE],
        "mode": "RGB",
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    }
    save_json(folder / "config.json", {"embed_dim": 12, "vision_cfg": vision_cfg, "text_cfg": text_cfg})
    save_json(folder / "visual/preprocess_cfg.json", prepare)
    transform = image_transform_v2(PreprocessCfg(**(prepare | {"size": SIDE})), is_train=False)
    finish_open_clip(folder, model, simple(list(parity_inputs.TEXTS)), torch.stack([transform(p) for p in pictures()]))


def open_siglip_model() -> None:
    """Immich's layout of a SigLIP of OpenCLIP: canonical texts, squashed pictures."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    folder = OUT / "open-siglip"
    textual = folder / "textual"
    textual.mkdir(parents=True)
    raw = Tokenizer.from_file(str(OUT / "siglip/tokenizer.json"))
    PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="</s>", eos_token="</s>", unk_token="<unk>", model_max_length=24
    ).save_pretrained(textual)
    text_cfg = {
        "context_length": 24,
        "vocab_size": raw.get_vocab_size(),
        "width": 8,
        "heads": 2,
        "layers": 1,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
        "hf_tokenizer_name": "local",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    vision_cfg = {"image_size": SIDE, "layers": 1, "width": 8, "patch_size": 8, "head_width": 4}
    used = {key: value for key, value in text_cfg.items() if not key.endswith(("_name", "tokenizer_kwargs"))}
    model = shaken(open_clip.CLIP(embed_dim=12, vision_cfg=vision_cfg, text_cfg=used))
    tokenizer = open_clip.tokenizer.HFTokenizer(str(textual), context_length=24, clean="canonicalize")
    prepare = {
        "size": [SIDE, SIDE],
        "mode": "RGB",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "resize_mode": "squash",
        "fill_color": 0,
    }
    save_json(folder / "config.json", {"embed_dim": 12, "vision_cfg": vision_cfg, "text_cfg": text_cfg})
    save_json(folder / "visual/preprocess_cfg.json", prepare)
    transform = image_transform_v2(PreprocessCfg(**(prepare | {"size": (SIDE, SIDE)})), is_train=False)
    finish_open_clip(
        folder, model, tokenizer(list(parity_inputs.TEXTS)), torch.stack([transform(p) for p in pictures()])
    )


def finish_open_clip(folder: Path, model, ids: torch.Tensor, pixels: torch.Tensor) -> None:
    record(folder, texts=model.encode_text(ids), pictures=model.encode_image(pixels))
    export(
        Call(model, lambda m, text: m.encode_text(text, normalize=True)),
        {"text": ids.int()},
        folder / "textual/model.onnx",
        ["embedding"],
    )
    export(
        Call(model, lambda m, image: m.encode_image(image, normalize=True)),
        {"image": pixels},
        folder / "visual/model.onnx",
        ["embedding"],
    )
