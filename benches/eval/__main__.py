"""`make eval`: search quality, indexing speed and query cost, into `eval/report.json` and `eval/report.md`.

python -m benches.eval                    all of it
python -m benches.eval --only quality     on the library that an earlier run made
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pixr
from benches.eval import latency, quality, report, speed
from benches.eval.corpus import get_corpus, read_queries

PARTS = ("index", "stages", "quality", "latency")


def main() -> int:
    """Measure what is asked for and write both reports."""
    arguments = _arguments()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    corpus = arguments.corpus or get_corpus(out)
    library_path = out / f"{corpus.name}.pixr"
    videos = sorted((corpus / "videos").glob("*.mp4"))
    queries = read_queries(corpus)
    kept = out / "report.json"
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    found["corpus"] = {"name": corpus.name, "videos": len(videos), "queries": len(queries)}
    found["machine"] = report.machine()
    if "index" in arguments.only or not library_path.exists():
        _say(f"indexing {len(videos)} videos")
        found["index"] = speed.index(videos, library_path, _titles(corpus))
    if "stages" in arguments.only:
        _say("each stage alone on the same videos")
        found["stages"] = speed.measure_stages(videos)
        found["pipeline"] = speed.compare(found["index"], found["stages"])
    if "quality" in arguments.only:
        _say(f"asking {len(queries)} queries")
        with pixr.open(library_path, create=False, read_only=True) as library:
            found["quality"] = quality.measure(library, queries, out / "answers")
    if "latency" in arguments.only:
        _say("timing queries")
        texts = [query["query"] for query in queries if "query" in query]
        found["latency"] = latency.measure(library_path, texts, arguments.published)
    kept.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    text = report.write(found)
    (out / "report.md").write_text(text, encoding="utf-8")
    print(text)
    _say(f"written to {kept} and {out / 'report.md'}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.eval", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("eval"), help="folder for corpus, library and reports")
    parser.add_argument("--corpus", type=Path, help="a corpus that is there already, in the files of make_corpus.py")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument(
        "--published", type=Path, help="MiniLM as models/fetch_minilm.py leaves it, to time beside the embedded one"
    )
    return parser.parse_args()


def _titles(corpus: Path) -> dict[str, dict[str, Any]]:
    """What `videos.jsonl` says of each file, as a source takes it."""
    titles = {}
    with (corpus / "videos.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            video = json.loads(line)
            titles[video["video"]] = {
                "title": video["title"],
                "tags": tuple(video["tags"]),
                "created": video.get("created"),
            }
    return titles


def _say(text: str) -> None:
    print(f"eval: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
