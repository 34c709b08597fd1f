"""The engines that are measured, one module a family. Peers are imported only where they are asked."""

from __future__ import annotations

from benches.peers.engines import chroma, faiss, hnswlib, lancedb, milvus, pixr, usearch, voyager, zvec
from benches.peers.protocol import Engine

FAMILIES = (pixr, hnswlib, faiss, usearch, voyager, zvec, lancedb, milvus, chroma)
ENGINES: dict[str, Engine] = {engine.name: engine for family in FAMILIES for engine in family.ENGINES}
QUICK = tuple(engine.name for family in (pixr, hnswlib, faiss, usearch) for engine in family.ENGINES)
"""What a quick run measures."""
