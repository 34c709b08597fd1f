"""CLIP, as transformers has it."""

from __future__ import annotations

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


def clip() -> None:
    """transformers.js: two files; optimum: one; MobileCLIP: pictures that aren't normalised."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = OUT / "clip"
    tokenizer = clip_tokenizer(folder)
    shared = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=shared
        | {
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 20,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config=shared | {"image_size": SIDE, "patch_size": 8},
        projection_dim=12,
    )
    model = shaken(CLIPModel(config))
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    words = tokenizer(list(parity_inputs.TEXTS), padding=True, truncation=True, return_tensors="pt")
    seen = processor(pictures(), return_tensors="pt")
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    record(
        folder, texts=features(model.get_text_features(**words)), pictures=features(model.get_image_features(**seen))
    )
    ids, mask, pixels = words["input_ids"], words["attention_mask"], seen["pixel_values"]
    export(
        Call(model, lambda m, ids: features(m.get_text_features(ids))),
        {"input_ids": ids},
        folder / "onnx/text_model.onnx",
        ["text_embeds"],
    )
    export(
        Call(model, lambda m, pixels: features(m.get_image_features(pixels))),
        {"pixel_values": pixels},
        folder / "onnx/vision_model.onnx",
        ["image_embeds"],
    )
    other_precisions(folder / "onnx/vision_model.onnx")
    other_precisions(folder / "onnx/text_model.onnx")

    whole = OUT / "clip-one-file"
    copy_but(folder, whole, "onnx", "expected.npz")

    def both(m, ids, pixels, mask):
        out = m(input_ids=ids, pixel_values=pixels, attention_mask=mask)
        return out.logits_per_image, out.logits_per_text, out.text_embeds, out.image_embeds

    names = ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"]
    export(
        Call(model, both),
        {"input_ids": ids, "pixel_values": pixels, "attention_mask": mask},
        whole / "model.onnx",
        names,
    )
    record(whole, texts=features(model.get_text_features(**words)), pictures=features(model.get_image_features(**seen)))

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
    plain = {
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
    save_json(mobile / "preprocessor_config.json", plain)
    unnormalised = CLIPImageProcessorPil(**{key: value for key, value in plain.items() if "type" not in key})
    record(
        mobile,
        texts=features(model.get_text_features(**words)),
        pictures=features(model.get_image_features(**unnormalised(pictures(), return_tensors="pt"))),
    )
