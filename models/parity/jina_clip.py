"""Jina CLIP, of OpenCLIP's pictures and BERT's words."""

from __future__ import annotations

import torch

from parity.recording import OUT, SIDE, export, parity_inputs, pictures, record, save_json, shaken
from parity.vocabularies import wordpiece_tokenizer


def jina_clip() -> None:
    """jina-clip's classes are code of its repository; what its export does is put together of BERT and OpenCLIP."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from transformers import BertConfig, BertModel

    folder = OUT / "jina-clip"
    tokenizer = wordpiece_tokenizer(folder, 30)
    text = shaken(
        BertModel(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=12,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=16,
                max_position_embeddings=30,
            )
        )
    )
    vision_cfg = {"image_size": SIDE, "layers": 1, "width": 8, "patch_size": 8, "head_width": 4}
    vision = shaken(
        open_clip.CLIP(
            embed_dim=12,
            vision_cfg=vision_cfg,
            text_cfg={"context_length": 4, "vocab_size": 8, "width": 8, "heads": 2, "layers": 1},
        )
    )
    prepare = {
        "size": SIDE,
        "mode": "RGB",
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "longest",
        "fill_color": 0,
    }
    save_json(folder / "preprocessor_config.json", prepare | {"image_processor_type": "JinaCLIPImageProcessor"})
    save_json(folder / "config.json", {"model_type": "jina_clip", "projection_dim": 12})
    words = tokenizer(list(parity_inputs.TEXTS), padding=True, truncation=True, return_tensors="pt")
    transform = image_transform_v2(PreprocessCfg(**prepare), is_train=False)
    pixels = torch.stack([transform(picture) for picture in pictures()])

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.text, self.vision = text, vision

        def forward(self, ids, pixels):
            mask = (ids != tokenizer.pad_token_id).long()
            states = self.text(input_ids=ids, attention_mask=mask).last_hidden_state
            mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            seen = self.vision.encode_image(pixels)
            return mean, seen, mean / mean.norm(dim=1, keepdim=True), seen / seen.norm(dim=1, keepdim=True)

    both = Both().eval()
    names = ["text_embeddings", "image_embeddings", "l2norm_text_embeddings", "l2norm_image_embeddings"]
    texts, seen, _, _ = both(words["input_ids"], pixels)
    record(folder, texts=texts, pictures=seen)
    export(both, {"input_ids": words["input_ids"], "pixel_values": pixels}, folder / "onnx/model.onnx", names)
