"""Reads the nouns of WordNet 3.0 (Debian package `wordnet-base`, /usr/share/wordnet/data.noun; format: wndb(5WN))."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Synset:
    """One meaning: its words, its definition (examples left out) and the offsets of its hypernyms.

    `senses` are the words' keys in `cntlist.rev`; `is_instance` says that it names one thing ("Paris").
    """

    lemmas: tuple[str, ...]
    gloss: str
    hypernyms: tuple[str, ...]
    senses: tuple[str, ...]
    is_instance: bool


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
        words = ((fields[4 + 2 * i].lower(), int(fields[5 + 2 * i], 16)) for i in range(word_count))
        senses = tuple(f"{word}%1:{fields[1]}:{number:02d}::" for word, number in words)
        is_instance = any(symbol == "@i" for symbol, _, _ in pointers)
        nouns[fields[0]] = Synset(lemmas, gloss.split('; "')[0].strip(), hypernyms, senses, is_instance)
    return nouns


def read_counted(path: pathlib.Path) -> set[str]:
    """The keys of the senses that WordNet's own texts use: those with a count in `cntlist.rev`."""
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {key for key, _, count in lines if int(count) > 0}


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
