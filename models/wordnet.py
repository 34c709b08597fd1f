"""Reads the nouns of WordNet 3.0 (Debian package `wordnet-base`, /usr/share/wordnet/data.noun; format: wndb(5WN))."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Synset:
    """One meaning: its words, its definition (examples left out) and the offsets of its hypernyms."""

    lemmas: tuple[str, ...]
    gloss: str
    hypernyms: tuple[str, ...]


def read_nouns(path: pathlib.Path) -> dict[str, Synset]:
    """Read every noun, keyed by its eight-digit offset."""
    nouns = {}
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("  "):  # the licence, at the top
            continue
        head, gloss = line.rstrip().split(" | ", 1)
        fields = head.split()
        word_count = int(fields[3], 16)
        lemmas = tuple(fields[4 + 2 * i].replace("_", " ") for i in range(word_count))
        at = 4 + 2 * word_count
        pointers = [fields[at + 1 + 4 * i : at + 4 + 4 * i] for i in range(int(fields[at]))]
        hypernyms = tuple(target for symbol, target, kind in pointers if symbol in ("@", "@i") and kind == "n")
        nouns[fields[0]] = Synset(lemmas, gloss.split('; "')[0].strip(), hypernyms)
    return nouns


def ancestors(nouns: dict[str, Synset], offset: str) -> set[str]:
    """Every hypernym of a meaning, direct or not."""
    found: set[str] = set()
    open_offsets = [offset]
    while open_offsets:
        for hypernym in nouns[open_offsets.pop()].hypernyms:
            if hypernym not in found:
                found.add(hypernym)
                open_offsets.append(hypernym)
    return found
