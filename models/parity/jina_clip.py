"""Jina CLIP, put together of OpenCLIP's pictures and BERT's words."""

from __future__ import annotations

from typing import Any

import torch

from parity.recording import OUT, SIDE, export, parity_inputs, pictures, record, save_json, shaken
from parity.vocabularies import wordpiece_tokenizer

MAX_TOKENS = 30
PREPARE = {
    "size": SIDE,
    "mode": "RGB",
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "longest",
    "fill_color": 0,
}


def jina_clip() -> None:
    """jina-clip's classes are code of its repository, so what its export computes is built of BERT and OpenCLIP."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    folder = OUT / "jina-clip"
    tokenizer = wordpiece_tokenizer(folder, MAX_TOKENS)
    both = Both(bert(len(tokenizer)), open_clip_pictures(), tokenizer.pad_token_id).eval()
    save_json(folder / "preprocessor_config.json", PREPARE | {"image_processor_type": "JinaCLIPImageProcessor"})
    save_json(folder / "config.json", {"model_type": "jina_clip", "projection_dim": 12})
    words = tokenizer(list(parity_inputs.TEXTS), padding=True, truncation=True, return_tensors="pt")
    transform = image_transform_v2(PreprocessCfg(**PREPARE), is_train=False)
    pixels = torch.stack([transform(picture) for picture in pictures()])
    names = ["text_embeddings", "image_embeddings", "l2norm_text_embeddings", "l2norm_image_embeddings"]
    texts, seen, _, _ = both(words["input_ids"], pixels)
    record(folder, texts=texts, pictures=seen)
    export(both, {"input_ids": words["input_ids"], "pixel_values": pixels}, folder / "onnx/model.onnx", names)


class Both(torch.nn.Module):
    """Both halves in one graph, with the inputs and outputs of jina-clip's own export."""

    def __init__(self, text: torch.nn.Module, vision: torch.nn.Module, padding: int) -> None:
        super().__init__()
        self.text, self.vision, self.padding = text, vision, padding

    def forward(self, ids, pixels):
        mask = (ids != self.padding).long()
        states = self.text(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        seen = self.vision.encode_image(pixels)
        return mean, seen, mean / mean.norm(dim=1, keepdim=True), seen / seen.norm(dim=1, keepdim=True)


def bert(vocabulary: int) -> Any:
    """A small BERT of random weights."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=MAX_TOKENS,
    )
    return shaken(BertModel(config))


def open_clip_pictures() -> Any:
    """A small OpenCLIP of random weights, of which only the pictures' half is used."""
    import open_clip

    return shaken(
        open_clip.CLIP(
            embed_dim=12,
            vision_cfg={"image_size": SIDE, "layers": 1, "width": 8, "patch_size": 8, "head_width": 4},
            text_cfg={"context_length": 4, "vocab_size": 8, "width": 8, "heads": 2, "layers": 1},
        )
    )
