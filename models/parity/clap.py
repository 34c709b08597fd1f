"""CLAP, as transformers has it."""

from __future__ import annotations

import json

import numpy as np
import torch

from parity.recording import CORPUS, OUT, Call, export, features, parity_inputs, record, shaken


def clap() -> None:
    """Fused and unfused; where the reference draws lots, the middle of what it may draw."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizer

    np.random.choice = lambda choices: choices[len(choices) // 2]
    np.random.randint = lambda low, high: (high - 1) // 2
    for name, fused in (("clap-unfused", False), ("clap-fused", True)):
        folder = OUT / name
        raw = ByteLevelBPETokenizer()
        raw.train_from_iterator(
            CORPUS, vocab_size=300, show_progress=False, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        )
        learned = json.loads(raw._tokenizer.to_str())["model"]
        merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in learned["merges"]]
        tokenizer = RobertaTokenizer(vocab=learned["vocab"], merges=merges, model_max_length=24)
        tokenizer.save_pretrained(folder)
        config = ClapConfig(
            text_config={
                "vocab_size": len(tokenizer),
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 24,
                "max_position_embeddings": 26,
                "projection_dim": 12,
            },
            audio_config={
                "patch_embeds_hidden_size": 8,
                "depths": [1, 1],
                "num_attention_heads": [1, 2],
                "hidden_size": 16,
                "spec_size": 256,
                "window_size": 4,
                "projection_dim": 12,
                "enable_fusion": fused,
                "num_classes": 4,
                "aff_block_r": 2,
                "num_hidden_layers": 2,
                "patch_size": 8,
                "patch_stride": [8, 8],
            },
            projection_dim=12,
        )
        model = shaken(ClapModel(config))
        extractor = ClapFeatureExtractor(truncation="fusion" if fused else "rand_trunc", frequency_min=50)
        words = tokenizer(list(parity_inputs.TEXTS), padding=True, truncation=True, return_tensors="pt")
        sounds = [parity_inputs.sound(seconds).astype(np.float64) for seconds in parity_inputs.SOUND_SECONDS]
        heard = [extractor(sound, sampling_rate=48_000, return_tensors="pt") for sound in sounds]
        mels = torch.cat([one["input_features"] for one in heard]).float()
        longer = torch.cat([one["is_longer"] for one in heard])
        config.save_pretrained(folder)
        extractor.save_pretrained(folder)
        vectors = features(model.get_audio_features(input_features=mels, is_longer=longer))
        record(folder, texts=features(model.get_text_features(**words)), sounds=vectors)
        export(
            Call(model, lambda m, ids, mask: features(m.get_text_features(input_ids=ids, attention_mask=mask))),
            {"input_ids": words["input_ids"], "attention_mask": words["attention_mask"]},
            folder / "onnx/text_model.onnx",
            ["text_embeds"],
        )
        if fused:
            export(
                Call(
                    model, lambda m, mels, longer: features(m.get_audio_features(input_features=mels, is_longer=longer))
                ),
                {"input_features": mels, "is_longer": longer},
                folder / "onnx/audio_model.onnx",
                ["audio_embeds"],
            )
        else:
            export(
                Call(model, lambda m, mels: features(m.get_audio_features(input_features=mels))),
                {"input_features": mels},
                folder / "onnx/audio_model.onnx",
                ["audio_embeds"],
            )
