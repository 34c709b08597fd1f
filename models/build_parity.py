#!/usr/bin/env python3
"""Build small models of random weights from the reference classes, export them, and record what the references say.

    python -m venv refenv && refenv/bin/pip install torch transformers open_clip_torch sentence-transformers \
        onnx onnxscript onnxruntime sentencepiece pillow
    refenv/bin/python models/build_parity.py          # writes tests/python/encoders/parity.zip

One folder a model, in the layout in which its family is published, with `expected.npz`: the references' vectors,
brought to length one, of the texts, pictures and sounds of `tests/python/encoders/parity_inputs.py`. The references
decode and prepare pictures and tokenize texts themselves; nothing of Pixr is imported. Recorded with torch
2.15.0, transformers 5.23.0, open_clip 3.3.0, sentence-transformers 6.2.0.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/python/encoders"))
import parity_inputs  # noqa: E402

OUT = Path(tempfile.mkdtemp())
CORPUS = [*parity_inputs.TEXTS, "the quick brown fox jumps over the lazy dog", "a cat and a dog on a red sofa"] * 3
SIDE = 32


def main() -> None:
    parity_inputs.write_pictures(OUT)
    torch.manual_seed(7)
    for build in (clip, siglip, siglip2, open_clip_model, open_siglip_model, jina_clip, clap, sentences):
        build()
        print(build.__name__)
    prune(OUT)
    pack(OUT, parity_inputs.ARCHIVE)
    shutil.rmtree(OUT)
    print(parity_inputs.ARCHIVE, parity_inputs.ARCHIVE.stat().st_size // 1024, "KB")


def pack(folder: Path, archive: Path) -> None:
    """One file, the same bytes for the same content."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(str(path.relative_to(folder)), (1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_LZMA
                file.writestr(entry, path.read_bytes())


# -- inputs and outputs ------------------------------------------------------------------------------------------------


def pictures() -> list[Image.Image]:
    """As `transformers.image_utils.load_image` opens them."""
    return [ImageOps.exif_transpose(Image.open(OUT / name)).convert("RGB") for name in parity_inputs.PICTURES]


def record(folder: Path, **vectors: torch.Tensor | np.ndarray) -> None:
    made = {}
    for name, value in vectors.items():
        rows = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value, np.float32)
        made[name] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.savez(folder / "expected.npz", **made)


def export(module: torch.nn.Module, inputs: dict, path: Path, outputs: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tokens = {"input_ids", "attention_mask", "token_type_ids"}
    axes = {name: {0: "batch", 1: "tokens"} if name in tokens else {0: "batch"} for name in inputs}
    torch.onnx.export(
        module.eval(),
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=outputs,
        dynamic_axes=axes | {name: {0: "batch"} for name in outputs},
        opset_version=17,
        dynamo=False,
    )


class Call(torch.nn.Module):
    """A module whose forward is a function, to choose inputs and outputs of an export."""

    def __init__(self, model: torch.nn.Module, call) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, *inputs):
        return self.call(self.model, *inputs)


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Weights large enough that every input matters: fresh ones make all vectors alike."""
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.mul_(4.0)
            else:
                weights.add_(0.1 * torch.randn_like(weights))
    return model.eval()


def save_json(path: Path, values: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1), encoding="utf8")


def prune(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".safetensors", ".bin", ".md", ".model", ".jinja"):
            path.unlink()


# -- tokenizers --------------------------------------------------------------------------------------------------------


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


# -- families ----------------------------------------------------------------------------------------------------------


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


def features(output):
    """Newer transformers return an object whose pooled output is the projected features."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def copy_but(source: Path, target: Path, *names: str) -> None:
    shutil.copytree(source, target, ignore=lambda _, here: [name for name in here if name in names])


def other_precisions(path: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.float16 import convert_float_to_float16

    half = convert_float_to_float16(onnx.load(path), keep_io_types=False)
    onnx.save(half, path.with_name(path.stem + "_fp16.onnx"))
    quantize_dynamic(path, path.with_name(path.stem + "_int8.onnx"), weight_type=QuantType.QUInt8)


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


if __name__ == "__main__":
    main()
