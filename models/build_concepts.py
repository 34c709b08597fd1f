#!/usr/bin/env python3
"""Build the concept table: what each class of the picture model means in words, and how words and pictures meet.

    apt install wordnet-base
    PYTHONPATH=../python python build_concepts.py embedded/concepts.npz

Concepts are the 1000 ImageNet classes (their ids are WordNet 3.0 offsets, listed in imagenet-1k-synsets.txt) and the
hypernyms that join at least three and at most 250 of them ("dog", "wheeled vehicle"). A class's prototype is the MiniLM
vector of its line in concept-descriptions.txt: its name, and in everyday words how it looks or what it is for.
WordNet's definitions are a dictionary's ("any of several ..."), and people don't ask that way. A hypernym's prototype
is the weighted mean of the vectors of four phrasings made of its WordNet words and definition.

A picture has probabilities p over the classes, and so M p over all concepts, where M is the identity above the
hypernyms' membership times HYPERNYM_WEIGHT. A query has weights w over all concepts, those of hypernyms scaled by
QUERY_HYPERNYM_WEIGHT; its score is w . M p. With G = M' M this is (G^-1/2 M' w) . (G^1/2 p), which needs 1000 numbers
a picture instead of 1000 + hypernyms: the table holds both maps.
"""

import argparse
import pathlib

import numpy as np
from wordnet import Synset, ancestors, read_nouns

from pixr.encoders.minilm import MiniLMEncoder
from pixr.encoders.protocol import EncoderOptions

HERE = pathlib.Path(__file__).resolve().parent
HYPERNYM_WEIGHT = 0.5
QUERY_HYPERNYM_WEIGHT = 0.5
PHRASING_WEIGHTS = (0.5, 1.5, 1.0, 1.0)
FEWEST_CLASSES, MOST_CLASSES = 3, 250


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--wordnet", type=pathlib.Path, default=pathlib.Path("/usr/share/wordnet/data.noun"))
    parser.add_argument("--minilm", type=pathlib.Path, default=HERE / "embedded")
    arguments = parser.parse_args()

    nouns = read_nouns(arguments.wordnet)
    classes = [line[1:] for line in (HERE / "imagenet-1k-synsets.txt").read_text().split()]
    hypernyms = choose_hypernyms(nouns, classes)
    concepts = classes + list(hypernyms)

    minilm = MiniLMEncoder(arguments.minilm, EncoderOptions(threads=1, batch_size=1), cached_texts=0)
    described = (HERE / "concept-descriptions.txt").read_text(encoding="utf8").splitlines()
    for offset, line in zip(classes, described, strict=True):
        if line.partition(": ")[0] != nouns[offset].lemmas[0]:
            raise SystemExit(f"concept-descriptions.txt: {line!r} is not about {nouns[offset].lemmas[0]}")
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

    np.savez_compressed(
        arguments.out,
        names=np.array([nouns[offset].lemmas[0] for offset in concepts]),
        prototypes=prototypes.astype(np.float16),
        image_map=image_map.astype(np.float16),
        query_map=query_map.astype(np.float16),
    )
    print(f"{arguments.out}: {len(classes)} classes, {len(hypernyms)} hypernyms, {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
