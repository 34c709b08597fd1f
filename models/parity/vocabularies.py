"""Small tokenizers that several families share."""

from __future__ import annotations

import json
from pathlib import Path

from parity.recording import CORPUS


def clip_tokenizer(folder: Path):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    raw = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    raw.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=620,
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    raw.train_from_iterator(CORPUS, trainer)
    learned = json.loads(raw.to_str())["model"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in learned["merges"]][:60]
    tokens = alphabet + [letter + "</w>" for letter in alphabet] + ["".join(pair) for pair in merges]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={token: at for at, token in enumerate(tokens)}, merges=merges, model_max_length=20)
    tokenizer.save_pretrained(folder)
    return tokenizer


def wordpiece_tokenizer(folder: Path, limit: int):
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizer

    raw = BertWordPieceTokenizer(lowercase=True)
    raw.train_from_iterator(CORPUS, vocab_size=260, show_progress=False)
    tokenizer = BertTokenizer(vocab=raw.get_vocab(), model_max_length=limit)
    tokenizer.save_pretrained(folder)
    return tokenizer
