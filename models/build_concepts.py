#!/usr/bin/env python3
"""Build the concept table: what each class of the picture model means in words, and how words and pictures meet.

    apt install wordnet-base
    PYTHONPATH=../python python build_concepts.py embedded/concepts.npz
    PYTHONPATH=../python python build_concepts.py embedded/concepts.npz --others-only

Concepts are the 1000 ImageNet classes (their ids are WordNet 3.0 offsets, listed in imagenet-1k-synsets.txt) and the
hypernyms that join at least three and at most 250 of them ("dog", "wheeled vehicle"). A class's prototype is the MiniLM
vector of its line in concept-descriptions.txt: its name, and in everyday words how it looks or what it is for.
WordNet's definitions are a dictionary's ("any of several ..."), and people don't ask that way. A hypernym's prototype
is the weighted mean of the vectors of four phrasings made of its WordNet words and definition.

A picture has probabilities p over the classes, and so M p over all concepts, where M is the identity above the
hypernyms' membership times HYPERNYM_WEIGHT. A query has weights w over all concepts, those of hypernyms scaled by
QUERY_HYPERNYM_WEIGHT; its score is w . M p. With G = M' M this is (G^-1/2 M' w) . (G^1/2 p), which needs 1000 numbers
a picture instead of 1000 + hypernyms: the table holds both maps.

Whether a question is about a class at all is told by what else it could be about: the nouns of WordNet that are neither
a class nor above or below one, and occur in the texts in which WordNet counts its meanings. Their vectors (word and
definition) are kept in their OTHER_DIMENSIONS principal directions. Beside them stand the classes' descriptions without
the names. `--others-only` makes these anew and leaves all else as it is in the file: libraries hold vectors under its
maps.

What a question reads is kept as bytes, each row with a scale: the text model before it pushes the tables out of the
cache, and half of the bytes are read in half of the time.
"""

import argparse
import pathlib

import numpy as np
from wordnet import Synset, ancestors, read_counted, read_nouns

from pixr.encoders.minilm import MiniLMEncoder
from pixr.encoders.protocol import EncoderOptions

HERE = pathlib.Path(__file__).resolve().parent
HYPERNYM_WEIGHT = 0.5
QUERY_HYPERNYM_WEIGHT = 0.5
PHRASING_WEIGHTS = (0.5, 1.5, 1.0, 1.0)
FEWEST_CLASSES, MOST_CLASSES = 3, 250
OTHER_DIMENSIONS = 96
MOST_LETTERS = 160  # of a word and its definition


def choose_hypernyms(nouns: dict[str, Synset], classes: list[str]) -> dict[str, list[int]]:
    """Choose the hypernyms and list their classes; of two with the same classes the more specific one stays."""
    above = [ancestors(nouns, offset) for offset in classes]
    chosen: dict[tuple[int, ...], str] = {}
    for offset in sorted(set().union(*above)):
        members = tuple(index for index, hypernyms in enumerate(above) if offset in hypernyms)
        if not FEWEST_CLASSES <= len(members) <= MOST_CLASSES:
            continue
        if members not in chosen or chosen[members] in ancestors(nouns, offset):
            chosen[members] = offset
    return {offset: list(members) for members, offset in sorted(chosen.items(), key=lambda item: item[1])}


def phrase(nouns: dict[str, Synset], offset: str) -> list[str]:
    """Word one meaning in four ways, in the order of PHRASING_WEIGHTS."""
    synset = nouns[offset]
    words = ", ".join(synset.lemmas)
    kind = nouns[synset.hypernyms[0]].lemmas[0]
    return [words, synset.gloss, f"{words}: {synset.gloss}", f"{words}, a kind of {kind}: {synset.gloss}"]


def quantise(**rows: np.ndarray) -> dict[str, np.ndarray]:
    """Levels of -127 to 127, and under `NAME_scales` what a level of each row stands for."""
    quantised = {}
    for name, values in rows.items():
        scales = (np.abs(values).max(axis=1) / 127).astype(np.float32)
        steps = np.where(scales > 0, scales, 1.0)[:, None]
        quantised |= {name: np.rint(values / steps).astype(np.int8), f"{name}_scales": scales}
    return quantised


def choose_others(nouns: dict[str, Synset], classes: list[str], counted: set[str]) -> list[str]:
    """Word the meanings that are no class's, nor above or below one."""
    known = set(classes)
    above = set().union(*(ancestors(nouns, offset) for offset in classes))
    return [
        f"{synset.lemmas[0]}: {synset.gloss}"[:MOST_LETTERS]
        for offset, synset in nouns.items()
        if offset not in known | above
        and not synset.is_instance
        and not counted.isdisjoint(synset.senses)
        and known.isdisjoint(ancestors(nouns, offset))
    ]


def reduce(vectors: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """The map to the principal directions, `(width, dimensions)`, and the vectors in them."""
    values, directions = np.linalg.eigh(vectors.T @ vectors)
    kept = directions[:, np.argsort(values)[::-1][:dimensions]]
    return kept, vectors @ kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--wordnet", type=pathlib.Path, default=pathlib.Path("/usr/share/wordnet/data.noun"))
    parser.add_argument("--minilm", type=pathlib.Path, default=HERE / "embedded")
    parser.add_argument("--others-only", action="store_true")
    arguments = parser.parse_args()

    nouns = read_nouns(arguments.wordnet)
    classes = [line[1:] for line in (HERE / "imagenet-1k-synsets.txt").read_text().split()]
    minilm = MiniLMEncoder(arguments.minilm, EncoderOptions(threads=1, batch_size=1), cached_texts=0)
    described = (HERE / "concept-descriptions.txt").read_text(encoding="utf8").splitlines()
    for offset, line in zip(classes, described, strict=True):
        if line.partition(": ")[0] != nouns[offset].lemmas[0]:
            raise SystemExit(f"concept-descriptions.txt: {line!r} is not about {nouns[offset].lemmas[0]}")
    if arguments.others_only:
        with np.load(arguments.out, allow_pickle=False) as kept:
            table = {name: kept[name] for name in kept.files}
    else:
        table = build(minilm, nouns, classes, described)
    others = choose_others(nouns, classes, read_counted(arguments.wordnet.with_name("cntlist.rev")))
    to_others, placed = reduce(minilm.encode_text(others).astype(np.float64), OTHER_DIMENSIONS)
    descriptions = minilm.encode_text([line.partition(": ")[2] for line in described])
    table |= {"to_others": to_others.astype(np.float32), **quantise(descriptions=descriptions, others=placed)}
    np.savez_compressed(arguments.out, **table)
    print(f"{arguments.out}: {len(classes)} classes, {len(others)} others, {arguments.out.stat().st_size} bytes")


def build(
    minilm: MiniLMEncoder, nouns: dict[str, Synset], classes: list[str], described: list[str]
) -> dict[str, np.ndarray]:
    """The concepts, their prototypes and the maps by which words and pictures meet."""
    hypernyms = choose_hypernyms(nouns, classes)
    concepts = classes + list(hypernyms)
    phrases = [text for offset in hypernyms for text in phrase(nouns, offset)]
    vectors_by_phrasing = minilm.encode_text(phrases).reshape(len(hypernyms), len(PHRASING_WEIGHTS), -1)
    of_hypernyms = np.average(vectors_by_phrasing, axis=1, weights=PHRASING_WEIGHTS)
    prototypes = np.concatenate([minilm.encode_text(described), of_hypernyms])

    concept_map = np.zeros((len(concepts), len(classes)))
    concept_map[: len(classes)] = np.eye(len(classes))
    for row, members in enumerate(hypernyms.values(), start=len(classes)):
        concept_map[row, members] = HYPERNYM_WEIGHT
    values, vectors = np.linalg.eigh(concept_map.T @ concept_map)
    image_map = (vectors * np.sqrt(values)) @ vectors.T
    query_map = (vectors / np.sqrt(values)) @ vectors.T @ concept_map.T
    query_map[:, len(classes) :] *= QUERY_HYPERNYM_WEIGHT

    return {
        "names": np.array([nouns[offset].lemmas[0] for offset in concepts]),
        "image_map": image_map.astype(np.float16),
        **quantise(prototypes=prototypes, query_map=query_map),
    }


if __name__ == "__main__":
    main()
