"""SigLIP and SigLIP 2, as transformers has them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from parity.recording import (
    CORPUS,
    OUT,
    SIDE,
    Call,
    export,
    features,
    parity_inputs,
    pictures,
    record,
    save_json,
    shaken,
)


def siglip_model(vocabulary: int):
    from transformers import SiglipConfig, SiglipModel

    shared = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config=shared | {"vocab_size": vocabulary, "max_position_embeddings": 24, "projection_size": 8},
        vision_config=shared | {"image_size": SIDE, "patch_size": 8},
    )
    return config, shaken(SiglipModel(config))


def siglip() -> None:
    """Reference tokenizer: sentencepiece; published: tokenizer.json that was converted from it."""
    import sentencepiece
    from transformers import SiglipTokenizer
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    folder = OUT / "siglip"
    folder.mkdir()
    texts = [text for text in CORPUS if text.strip()]
    (folder / "corpus.txt").write_text("\n".join(texts), encoding="utf8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"),
        model_prefix=str(folder / "spiece"),
        vocab_size=120,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
        normalization_rule_name="identity",  # the usual one is 300 KB a file, and the tokenizers library's own work
    )
    tokenizer = SiglipTokenizer(str(folder / "spiece.model"), model_max_length=24)
    config, model = siglip_model(len(tokenizer))
    # This class alone makes a token of blanks before a text; the paper's own code and the published file don't.
    texts = [text.lstrip() for text in parity_inputs.TEXTS]
    words = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    unigram_json(folder / "spiece.model", folder / "tokenizer.json")
    save_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "SiglipTokenizer",
            "model_max_length": 24,
            "pad_token": tokenizer.pad_token,
            "eos_token": "</s>",
        },
    )
    finish_siglip(
        folder, config, model, words["input_ids"], SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    )
    for name in ("corpus.txt", "spiece.model", "spiece.vocab"):
        (folder / name).unlink()


def unigram_json(spiece: Path, path: Path) -> None:
    """tokenizer.json of a sentencepiece unigram model, as T5's published ones are."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(spiece.read_bytes())
    assert sentencepiece.SentencePieceProcessor(str(spiece)).vocab_size() == len(proto.pieces)
    raw = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=2))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    raw.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    raw.add_special_tokens(["</s>", "<unk>"])
    raw.save(str(path))


def siglip2() -> None:
    from tokenizers import Tokenizer, models, trainers
    from transformers import Siglip2Tokenizer
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    folder = OUT / "siglip2"
    trained = Tokenizer(models.BPE())
    trained.train_from_iterator(
        [text.lower().replace(" ", "▁") for text in CORPUS], trainers.BpeTrainer(vocab_size=160, show_progress=False)
    )
    learned = json.loads(trained.to_str())["model"]
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = {token: at for at, token in enumerate(specials)}
    for token in learned["vocab"]:
        vocabulary.setdefault(token, len(vocabulary))
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in learned["merges"]]
    tokenizer = Siglip2Tokenizer(vocab=vocabulary, merges=merges, model_max_length=24, padding_side="right")
    tokenizer.save_pretrained(folder)
    # The published tokenizer.json of these models is Gemma's own, which keeps the case of letters.
    saved = json.loads((folder / "tokenizer.json").read_text(encoding="utf8"))
    saved["normalizer"] = saved["normalizer"]["normalizers"][-1]
    save_json(folder / "tokenizer.json", saved)
    said = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf8"))
    save_json(folder / "tokenizer_config.json", said | {"tokenizer_class": "GemmaTokenizer"})
    config, model = siglip_model(len(tokenizer))
    words = tokenizer(
        list(parity_inputs.TEXTS), padding="max_length", truncation=True, max_length=24, return_tensors="pt"
    )
    finish_siglip(
        folder,
        config,
        model,
        words["input_ids"],
        SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}, resample=2),
    )


def finish_siglip(folder: Path, config, model, ids: torch.Tensor, processor) -> None:
    seen = processor(pictures(), return_tensors="pt")
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    said = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf8"))
    save_json(folder / "preprocessor_config.json", said | {"image_processor_type": "SiglipImageProcessor"})
    record(
        folder,
        texts=features(model.get_text_features(input_ids=ids)),
        pictures=features(model.get_image_features(**seen)),
    )

    def text(m, ids):
        out = m.text_model(input_ids=ids)
        return out.last_hidden_state, out.pooler_output

    def vision(m, pixels):
        out = m.vision_model(pixel_values=pixels)
        return out.last_hidden_state, out.pooler_output

    names = ["last_hidden_state", "pooler_output"]
    export(Call(model, text), {"input_ids": ids}, folder / "onnx/text_model.onnx", names)
    export(Call(model, vision), {"pixel_values": seen["pixel_values"]}, folder / "onnx/vision_model.onnx", names)
