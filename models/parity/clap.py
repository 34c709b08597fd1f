"""CLAP, as transformers has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity.recording import CORPUS, OUT, Call, export, features, parity_inputs, record, shaken

SAMPLE_RATE_HZ = 48_000


def clap() -> None:
    """Fused and unfused; where the reference draws lots, the middle of what it may draw."""
    np.random.choice = lambda choices: choices[len(choices) // 2]
    np.random.randint = lambda low, high: (high - 1) // 2
    for name, fused in (("clap-unfused", False), ("clap-fused", True)):
        build_clap(OUT / name, fused=fused)


def build_clap(folder: Path, *, fused: bool) -> None:
    """Build, record and export one model."""
    from transformers import ClapFeatureExtractor

    tokenizer = roberta_tokenizer(folder)
    config, model = clap_model(len(tokenizer), fused=fused)
    extractor = ClapFeatureExtractor(truncation="fusion" if fused else "rand_trunc", frequency_min=50)
    words = tokenizer(list(parity_inputs.TEXTS), padding=True, truncation=True, return_tensors="pt")
    sounds = [parity_inputs.sound(seconds).astype(np.float64) for seconds in parity_inputs.SOUND_SECONDS]
    heard = [extractor(sound, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt") for sound in sounds]
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
        hear = Call(
            model, lambda m, mels, longer: features(m.get_audio_features(input_features=mels, is_longer=longer))
        )
        inputs = {"input_features": mels, "is_longer": longer}
    else:
        hear = Call(model, lambda m, mels: features(m.get_audio_features(input_features=mels)))
        inputs = {"input_features": mels}
    export(hear, inputs, folder / "onnx/audio_model.onnx", ["audio_embeds"])


def roberta_tokenizer(folder: Path) -> Any:
    """A small RoBERTa tokenizer, trained on the corpus and saved."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    raw = ByteLevelBPETokenizer()
    raw.train_from_iterator(
        CORPUS, vocab_size=300, show_progress=False, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    )
    learned = json.loads(raw._tokenizer.to_str())["model"]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in learned["merges"]]
    tokenizer = RobertaTokenizer(vocab=learned["vocab"], merges=merges, model_max_length=24)
    tokenizer.save_pretrained(folder)
    return tokenizer


def clap_model(vocabulary: int, *, fused: bool) -> tuple[Any, Any]:
    """A small CLAP of random weights: its configuration and the model."""
    from transformers import ClapConfig, ClapModel

    text = {
        "vocab_size": vocabulary,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 26,
        "projection_dim": 12,
    }
    audio = {
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
    }
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=12)
    return config, shaken(ClapModel(config))
