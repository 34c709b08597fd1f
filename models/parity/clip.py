"""CLIP, as transformers has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parity.recording import (
    OUT,
    SIDE,
    Call,
    copy_but,
    export,
    features,
    other_precisions,
    parity_inputs,
    pictures,
    record,
    save_json,
    shaken,
)
from parity.vocabularies import clip_tokenizer

# How MobileCLIP's repositories say that pictures are prepared.
MOBILECLIP_PREPROCESSOR = {
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": False,
    "do_rescale": True,
    "do_resize": True,
    "resample": 2,
    "image_processor_type": "CLIPFeatureExtractor",
    "size": {"shortest_edge": SIDE},
}


def clip() -> None:
    """One model in three layouts: transformers.js's two files, optimum's one, and MobileCLIP's plain pictures."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = OUT / "clip"
    tokenizer = clip_tokenizer(folder)
    config, model = clip_model(tokenizer)
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    words = tokenizer(list(parity_inputs.TEXTS), padding=True, truncation=True, return_tensors="pt")
    seen = processor(pictures(), return_tensors="pt")
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    record_vectors(folder, model, words, seen)
    export_halves(folder, model, words, seen)

    whole = OUT / "clip-one-file"
    copy_but(folder, whole, "onnx", "expected.npz")
    export_whole(whole, model, words, seen)
    record_vectors(whole, model, words, seen)

    mobile = OUT / "mobileclip"
    copy_but(
        folder,
        mobile,
        "expected.npz",
        "vision_model_fp16.onnx",
        "vision_model_int8.onnx",
        "text_model_fp16.onnx",
        "text_model_int8.onnx",
        "preprocessor_config.json",
    )
    save_json(mobile / "preprocessor_config.json", MOBILECLIP_PREPROCESSOR)
    settings = {key: value for key, value in MOBILECLIP_PREPROCESSOR.items() if "type" not in key}
    record_vectors(mobile, model, words, CLIPImageProcessorPil(**settings)(pictures(), return_tensors="pt"))


def clip_model(tokenizer: Any) -> tuple[Any, Any]:
    """A small CLIP of random weights: its configuration and the model."""
    from transformers import CLIPConfig, CLIPModel

    shared = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 20,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = CLIPConfig(
        text_config=shared | text,
        vision_config=shared | {"image_size": SIDE, "patch_size": 8},
        projection_dim=12,
    )
    return config, shaken(CLIPModel(config))


def record_vectors(folder: Path, model: Any, words: Any, seen: Any) -> None:
    """Record the reference's vectors of texts and pictures."""
    record(
        folder, texts=features(model.get_text_features(**words)), pictures=features(model.get_image_features(**seen))
    )


def export_halves(folder: Path, model: Any, words: Any, seen: Any) -> None:
    """Export the two halves to a file each, in every precision."""
    text, vision = folder / "onnx/text_model.onnx", folder / "onnx/vision_model.onnx"
    export(
        Call(model, lambda m, ids: features(m.get_text_features(ids))),
        {"input_ids": words["input_ids"]},
        text,
        ["text_embeds"],
    )
    export(
        Call(model, lambda m, pixels: features(m.get_image_features(pixels))),
        {"pixel_values": seen["pixel_values"]},
        vision,
        ["image_embeds"],
    )
    other_precisions(vision)
    other_precisions(text)


def export_whole(folder: Path, model: Any, words: Any, seen: Any) -> None:
    """Export both halves to one file."""

    def both(m, ids, pixels, mask):
        out = m(input_ids=ids, pixel_values=pixels, attention_mask=mask)
        return out.logits_per_image, out.logits_per_text, out.text_embeds, out.image_embeds

    inputs = {
        "input_ids": words["input_ids"],
        "pixel_values": seen["pixel_values"],
        "attention_mask": words["attention_mask"],
    }
    outputs = ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"]
    export(Call(model, both), inputs, folder / "model.onnx", outputs)
