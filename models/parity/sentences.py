"""Sentence encoders, as sentence-transformers has them."""

from __future__ import annotations

import shutil
from pathlib import Path

from parity.recording import OUT, Call, export, parity_inputs, prune, record, shaken
from parity.vocabularies import wordpiece_tokenizer


def sentences() -> None:
    """sentence-transformers: mean, first and last token, and a multilingual model with prefixes."""
    from tokenizers import Tokenizer
    from transformers import (
        BertConfig,
        BertModel,
        PreTrainedTokenizerFast,
        Qwen2Config,
        Qwen2Model,
        XLMRobertaConfig,
        XLMRobertaModel,
    )

    small = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    for name, pooling in (("sentence-mean", "mean"), ("sentence-cls", "cls")):
        tokenizer = wordpiece_tokenizer(OUT / name, 30)
        model = shaken(BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=30, **small)))
        finish_sentence(OUT / name, tokenizer, model, pooling, 30)
    raw = Tokenizer.from_file(str(OUT / "siglip/tokenizer.json"))
    made = {"tokenizer_object": raw, "pad_token": "<unk>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(**made, model_max_length=28)
    model = shaken(
        XLMRobertaModel(
            XLMRobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=31, pad_token_id=2, **small)
        )
    )
    finish_sentence(
        OUT / "sentence-multilingual", tokenizer, model, "mean", 28, {"query": "query: ", "passage": "passage: "}
    )
    tokenizer = PreTrainedTokenizerFast(**made, model_max_length=28, padding_side="left")
    model = shaken(
        Qwen2Model(
            Qwen2Config(
                vocab_size=len(tokenizer),
                num_key_value_heads=2,
                max_position_embeddings=28,
                use_sliding_window=False,
                **small,
            )
        )
    )
    finish_sentence(OUT / "sentence-last", tokenizer, model, "lasttoken", 28)


def finish_sentence(folder: Path, tokenizer, model, pooling: str, limit: int, prompts: dict | None = None) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    plain = folder.with_name(folder.name + "-plain")
    tokenizer.save_pretrained(plain)
    model.save_pretrained(plain)
    shutil.rmtree(folder, ignore_errors=True)
    transformer = Transformer(str(plain), max_seq_length=limit)
    reference = SentenceTransformer(
        modules=[transformer, Pooling(model.config.hidden_size, pooling_mode=pooling), Normalize()],
        prompts=prompts,
        device="cpu",
    )
    reference.save_pretrained(str(folder))
    texts = list(parity_inputs.TEXTS)
    query = {"prompt_name": "query"} if prompts else {}
    passage = {"prompt_name": "passage"} if prompts else {}
    record(folder, texts=reference.encode(texts, **query), documents=reference.encode(texts, **passage))
    words = tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in words]
    if model.config.model_type != "bert":
        names = names[:2]

    def call(m, *given):
        return m(**dict(zip(names, given, strict=True))).last_hidden_state

    export(Call(model, call), {name: words[name] for name in names}, folder / "onnx/model.onnx", ["last_hidden_state"])
    shutil.rmtree(plain)
    prune(folder)
