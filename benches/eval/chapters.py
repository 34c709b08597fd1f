"""How well chapters are cut: boundaries against those of videos whose topics are known.

    python -m benches.eval.chapters WORK [--seed 1] [--videos 6]

Photographs of one topic stand next to each other in `../shared/eval/photos.tsv` (ordered by WordNet's numbers: fish,
then birds, then dogs, …). A chapter is a run of 4 to 14 of them, 5 s each, some with what a person says of them as
captions; the next chapter is a run from far away in the list. So every shot is cut, and only where the topic changes is
a boundary. It needs that folder and ffmpeg.

A boundary counts as found within 2.5 s, half a shot. `evenly` is what as many cuts at equal distances find, `any cut`
what as many cuts drawn from the shots by lot do, in the mean of 200 drawings.
"""

from __future__ import annotations

import argparse
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pixr
from pixr.chapters import find_chapters

EVAL = Path(__file__).resolve().parents[3] / "shared" / "eval"
SHOT_SECONDS = 5.0
NEAR_SECONDS = 2.5
CHAPTERS = 8

Photo = tuple[Path, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--videos", type=int, default=6)
    parser.add_argument("--photos", type=Path, default=EVAL, help="folder with photos/ and photos.tsv")
    given = parser.parse_args()
    lines = (given.photos / "photos.tsv").read_text(encoding="utf8").splitlines()
    photos = [(given.photos / "photos" / name, said) for name, _, said in (line.split("\t") for line in lines)]
    given.work.mkdir(parents=True, exist_ok=True)
    lot = random.Random(given.seed)
    truths = {}
    with pixr.open(given.work / f"chapters-{given.seed}.pixr") as library:
        known = {video.id for video in library.videos()}
        for number in range(given.videos):
            id = f"video{number}"
            shots, bounds = plan(photos, lot)
            truths[id] = bounds, [SHOT_SECONDS * at for at in range(1, len(shots))]
            if id not in known:
                clip = make_video(given.work / f"{given.seed}-{id}.mp4", shots, lot)
                library.add(clip, id=id, captions=clip.with_suffix(".srt"), screen=False)
        report(library, truths, lot)


def plan(photos: Sequence[Photo], lot: random.Random) -> tuple[list[Photo], list[float]]:
    """The shots of a video, and where its chapters end, in seconds; the end of the video is none."""
    shots: list[Photo] = []
    bounds: list[float] = []
    places: list[int] = []
    while len(bounds) < CHAPTERS:
        count = lot.randint(4, 14)
        at = lot.randrange(len(photos) - count)
        if all(abs(at - other) > 40 for other in places):
            places.append(at)
            shots += photos[at : at + count]
            bounds.append(SHOT_SECONDS * len(shots))
    return shots, bounds[:-1]


def make_video(path: Path, shots: Sequence[Photo], lot: random.Random) -> Path:
    """Photographs one after the other, and beside it captions of two in three."""
    from PIL import Image, ImageOps

    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "320x240"]
    command += ["-r", f"{1 / SHOT_SECONDS}", "-i", "-", "-vf", "fps=5,format=yuv420p", "-c:v", "libx264"]
    with subprocess.Popen([*command, "-preset", "veryfast", str(path)], stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for picture, _ in shots:
            with Image.open(picture) as opened:
                encoder.stdin.write(ImageOps.fit(opened.convert("RGB"), (320, 240)).tobytes())
    captions = [
        f"{at}\n{clock(SHOT_SECONDS * at + 0.5)} --> {clock(SHOT_SECONDS * at + 4.5)}\n{said}\n"
        for at, (_, said) in enumerate(shots)
        if lot.random() < 2 / 3
    ]
    path.with_suffix(".srt").write_text("\n".join(captions), encoding="utf8")
    return path


def clock(seconds: float) -> str:
    """An instant as SRT writes it."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{thousandths:03}"


def found(cuts: Sequence[float], bounds: Sequence[float]) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean."""
    right = sum(any(abs(cut - bound) <= NEAR_SECONDS for cut in cuts) for bound in bounds)
    precision, recall = right / len(cuts) if cuts else 1.0, right / len(bounds)
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


def report(library: pixr.Library, truths: dict[str, tuple[list[float], list[float]]], lot: random.Random) -> None:
    """Print precision, recall and F1 of the chapters, by what is known of the videos, and of cuts that know nothing."""
    figures: dict[str, list[tuple[float, float, float]]] = {}

    def note(name: str, cuts: Sequence[float], bounds: Sequence[float]) -> None:
        figures.setdefault(name, []).append(found(cuts, bounds))

    for id, (bounds, shots) in truths.items():
        rows, duration = library._rows(id), library.video(id).duration
        silent = [{name: value for name, value in row.items() if not name.startswith("speech.")} for row in rows]
        blind = [{name: value for name, value in row.items() if not name.startswith("frame.")} for row in rows]
        chosen = {"pictures and words": rows, "pictures alone": silent, "words alone": blind}
        for name, of in chosen.items():
            cuts = [chapter.start for chapter in find_chapters(of, duration)][1:]
            note(name, cuts, bounds)
        count = len(find_chapters(rows, duration)) - 1
        note("evenly", [duration * at / (count + 1) for at in range(1, count + 1)], bounds)
        drawn = [found(lot.sample(shots, count), bounds) for _ in range(200)]
        figures.setdefault("any cut", []).append(
            (fmean(d[0] for d in drawn), fmean(d[1] for d in drawn), fmean(d[2] for d in drawn))
        )
    print(
        f"{len(truths)} videos, {sum(len(bounds) for bounds, _ in truths.values())} boundaries within {NEAR_SECONDS} s"
    )
    for name, taken in figures.items():
        precision, recall, both = (fmean(one[at] for one in taken) for at in range(3))
        print(f"{name:20} precision {precision:.2f}  recall {recall:.2f}  F1 {both:.2f}")


if __name__ == "__main__":
    main()
