"""No file can crash, hang or outlive the process that opened it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from pixr.errors import UnreadableVideo
from pixr.media import open_audio, open_segments, probe_video, sandbox
from pixr.media.frame_at import frame_at
from tests.python.media.videos import cut_video, textured, write_video


def refusal(path: Path) -> UnreadableVideo:
    with pytest.raises(UnreadableVideo) as caught, open_segments(path) as stream:
        list(stream)
    assert caught.value.code == "unreadable_video"
    assert caught.value.path == str(path)
    return caught.value


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "zero.mp4"
    path.touch()
    assert refusal(path).reason == "the file is empty"


def test_a_text_named_mp4_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("hello, I am not a video\n" * 50)
    assert "Invalid data" in refusal(path).reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{file}\n#EXT-X-ENDLIST\n"),
        ("film.mp4", "ffconcat version 1.0\nfile {file}\n"),
    ],
)
def test_a_list_of_other_files_is_refused(tmp_path: Path, name: str, content: str) -> None:
    """It was indexed as what it names, a stranger's file too, and another list of the same text as known already."""
    cut_video(tmp_path / "part.ts", [1], codec="mpeg2video", rate=25)
    path = tmp_path / name
    path.write_text(content.format(file="part.ts"))
    assert refusal(path).reason == "it is a playlist, which only names other files"
    with pytest.raises(UnreadableVideo):  # it may have taken an indexed video's place
        frame_at(path, 0.0, 200)


def test_an_mp4_cut_before_its_index_is_refused(tmp_path: Path) -> None:
    whole = cut_video(tmp_path / "whole.mp4", [1, 2]).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    assert "Invalid data" in refusal(path).reason


def test_an_mp4_cut_after_its_index_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    whole = cut_video(tmp_path / "whole.mp4", list(range(8)), options={"movflags": "+faststart"}).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    with open_segments(path) as stream:
        segments = list(stream)
    assert 1 <= len(segments) < 8
    assert stream.broken_reason is not None
    assert "of 16.0 s" in stream.broken_reason
    assert segments[-1].end_seconds == pytest.approx(stream.decoded_until_seconds)


def test_a_whole_video_is_not_called_broken(tmp_path: Path) -> None:
    with open_segments(cut_video(tmp_path / "whole.mp4", [1, 2])) as stream:
        assert len(list(stream)) == 2
    assert stream.broken_reason is None


def test_an_avi_file_that_was_cut_short_says_so(tmp_path: Path) -> None:
    """Its header's claim was measured against the bytes that are there: the tail was missing in silence."""
    whole = cut_video(tmp_path / "whole.avi", list(range(8))).read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(whole[: len(whole) // 2])
    with open_segments(path) as stream:
        list(stream)
    assert stream.broken_reason is not None
    assert "of 16.0 s" in stream.broken_reason


def test_pictures_that_are_damaged_in_the_middle_are_told(tmp_path: Path) -> None:
    """A stretch that could not be read showed the picture before it, and nobody learnt that anything was missing."""
    path = cut_video(tmp_path / "hole.mp4", list(range(8)), codec="mjpeg", pixel_format="yuvj420p")
    whole = path.read_bytes()
    begins = [at for at in range(len(whole)) if whole[at : at + 3] == b"\xff\xd8\xff"]
    path.write_bytes(whole[: begins[60]] + bytes(begins[85] - begins[60]) + whole[begins[85] :])
    with open_segments(path) as stream:
        segments = list(stream)
    assert segments[-1].end_seconds == pytest.approx(16.0, abs=0.01)
    assert stream.broken_reason == "2.5 s of its pictures, from 6.0 s on, can't be decoded: damaged"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_behind_the_last_picture_is_no_sign_of_damage(tmp_path: Path, suffix: str) -> None:
    """Matroska's own claim is that of its longest track."""
    path = write_video(
        tmp_path / f"sound{suffix}",
        [textured(1, 160, 120)] * 20,
        sound=lambda t: 0.3 * np.sin(2000 * t),
        sound_seconds=6.0,
    )
    with open_segments(path) as stream:
        list(stream)
    assert stream.info.duration_seconds == pytest.approx(6.0, abs=0.2)
    assert stream.decoded_until_seconds == pytest.approx(2.0, abs=0.2)
    assert stream.broken_reason is None


def test_matroska_that_begins_late_lasts_no_longer(tmp_path: Path) -> None:
    """A recording of a stream begins at the stream's time, and its header counts from zero: 1,002 s in place of two."""
    times = [1000 + number / 10 for number in range(20)]
    path = write_video(tmp_path / "late.mkv", [textured(1, 160, 120)] * 20, times=times)
    with open_segments(path) as stream:
        list(stream)
    assert stream.info.duration_seconds == pytest.approx(2.0, abs=0.2)
    assert stream.broken_reason is None


def test_fragments_from_the_middle_of_a_stream_last_no_longer(tmp_path: Path) -> None:
    """They count since the stream began: four seconds of a live one lasted as long as it had, and seemed cut short."""
    path = cut_video(
        tmp_path / "live.mp4",
        [1, 2, 3, 4],
        coder_options={"g": "10"},
        options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    )
    whole = path.read_bytes()
    begins = [at - 4 for at in range(len(whole)) if whole[at : at + 4] == b"moof"]
    path.write_bytes(whole[: begins[0]] + whole[begins[4] :])
    with open_segments(path) as stream:
        segments = list(stream)
    assert [segment.end_seconds for segment in segments] == pytest.approx([2.0, 4.0], abs=0.01)
    assert stream.info.duration_seconds == pytest.approx(4.0, abs=0.11)
    assert stream.info.pictures_end_seconds == pytest.approx(4.0, abs=0.11)
    assert stream.broken_reason is None


def test_stamps_that_jump_back_end_pictures_and_sound_alike(tmp_path: Path) -> None:
    """Two recordings put together: the second's pictures were left out silently, its sound lay behind the end."""
    one = write_video(
        tmp_path / "one.ts",
        [textured(1, 160, 120)] * 40,
        codec="mpeg2video",
        rate=25,
        sound=lambda t: 0.3 * np.sin(2000 * t),
        sound_seconds=1.6,
    )
    both = tmp_path / "both.ts"
    both.write_bytes(2 * one.read_bytes())
    with open_segments(both) as stream:
        list(stream)
    assert stream.decoded_until_seconds == pytest.approx(1.6, abs=0.1)
    assert stream.broken_reason == "its time stamps jump back at 1.6 s: what follows is left out until they pass it"
    assert list(open_audio(both))[-1].end_seconds == pytest.approx(1.6, abs=0.15)
    with open_segments(one) as stream:
        list(stream)
    assert stream.broken_reason is None


def test_stamps_that_jump_ahead_are_told(tmp_path: Path) -> None:
    """Of two recordings put together the first's last picture seemed to be shown for an hour, without a word."""
    parts = [
        write_video(
            tmp_path / f"{start}.ts",
            [textured(1, 160, 120)] * 40,
            codec="mpeg2video",
            rate=25,
            options={"output_ts_offset": str(start)},
        )
        for start in (0, 3600)
    ]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_segments(both) as stream:
        list(stream)
    assert stream.broken_reason == "it has no pictures from 1.6 s to 3600.0 s: damaged, or put together"
    with open_segments(parts[1]) as stream:
        list(stream)
    assert stream.broken_reason is None


def test_a_wrong_codec_tag_is_refused(tmp_path: Path) -> None:
    whole = cut_video(tmp_path / "whole.mp4", [1]).read_bytes()
    assert b"mp4v" in whole
    path = tmp_path / "codec.mp4"
    path.write_bytes(whole.replace(b"mp4v", b"zzzz").replace(b"esds", b"free"))
    assert refusal(path).reason


def test_sound_alone_is_refused_as_a_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
    assert refusal(path).reason == "it has no video stream"
    assert sum(len(chunk.samples) for chunk in open_audio(path)) == 16000


def test_missing_unreadable_and_directory_paths_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere.mp4").reason == "No such file or directory"
    assert refusal(tmp_path).reason == "it is a directory"
    locked = cut_video(tmp_path / "locked.mp4", [1])
    locked.chmod(0)
    if os.access(locked, os.R_OK):  # root reads everything but what is no file
        import socket

        locked.unlink()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(locked))
            assert refusal(locked).reason == "it is not a regular file"
    else:
        assert refusal(locked).reason == "Permission denied"


@pytest.mark.parametrize("seed", range(12))
def test_damaged_bytes_never_crash_or_hang(tmp_path: Path, seed: int) -> None:
    whole = bytearray(cut_video(tmp_path / "whole.mp4", [1, 2, 3]).read_bytes())
    noise = np.random.default_rng(seed)
    for place in noise.integers(0, len(whole), 1 + 40 * seed):
        whole[place] = int(noise.integers(0, 256))
    path = tmp_path / "damaged.mp4"
    path.write_bytes(bytes(whole))
    began = time.monotonic()
    with contextlib.suppress(UnreadableVideo), open_segments(path, stall_seconds=20) as stream:
        for segment in stream:
            assert segment.end_seconds >= segment.start_seconds
    assert time.monotonic() - began < 25


def test_a_decoder_that_dies_is_an_error_with_the_signal(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "a.mp4", list(range(30)))
    stream = open_segments(path)
    decoder = next(d for d in subprocess_decoders() if d not in idle_pids())
    segments = iter(stream)
    next(segments)
    os.kill(decoder, signal.SIGSEGV)
    with pytest.raises(UnreadableVideo, match=r"crashed on it \(SIGSEGV\)"):
        list(segments)


def test_a_decoder_that_hangs_is_killed(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "a.mp4", list(range(30)))
    stream = open_segments(path, stall_seconds=1.0)
    decoder = next(d for d in subprocess_decoders() if d not in idle_pids())
    segments = iter(stream)
    next(segments)
    os.kill(decoder, signal.SIGSTOP)
    with pytest.raises(UnreadableVideo, match="no progress"):
        list(segments)
    assert not Path(f"/proc/{decoder}").exists()


def test_a_decoder_may_not_take_all_memory(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "a.mp4", list(range(30)))
    with open_segments(path, memory_byte_limit=3 << 30) as stream:
        next(iter(stream))
        decoder = next(d for d in subprocess_decoders() if d not in idle_pids())
        limits = Path(f"/proc/{decoder}/limits").read_text()
    assert next(line for line in limits.splitlines() if "address space" in line).split()[3:5] == [str(3 << 30)] * 2
    with pytest.raises(UnreadableVideo), open_segments(path, memory_byte_limit=200 << 20) as stream:
        list(stream)


def test_code_beside_the_video_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m` puts the current folder first on the path: a `numpy.py` beside a downloaded video would have run."""
    path = cut_video(tmp_path / "a.mp4", [1])
    (tmp_path / "numpy.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    sandbox.close_idle_decoders()
    with open_segments(path) as stream:
        assert len(list(stream)) == 1
    assert not (tmp_path / "ran").exists()


def test_closing_early_ends_the_decoder(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "a.mp4", list(range(30)))
    with open_segments(path) as stream:
        decoder = next(d for d in subprocess_decoders() if d not in idle_pids())
        next(iter(stream))
    assert not Path(f"/proc/{decoder}").exists()


def test_decoders_are_used_again(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "a.mp4", [1])
    sandbox.close_idle_decoders()
    for _ in range(3):
        probe_video(path)
    assert len(idle_pids()) == 1


def test_decoders_started_ahead_serve_the_next_files(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "short.mp4", [1, 2])
    sandbox.close_idle_decoders()
    sandbox.start_decoders(2)
    sandbox.start_decoders(2)
    ahead = idle_pids()
    assert len(ahead) == 2
    assert set(ahead) <= set(subprocess_decoders())
    with open_segments(path) as stream:
        assert len(idle_pids()) == 1
        list(stream)
    assert sorted(idle_pids()) == sorted(ahead)


def test_decoders_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "a.mp4", list(range(40)))
    program = """
        import sys, time
        from pixr.media import open_segments, sandbox
        stream = open_segments(sys.argv[1])
        next(iter(stream))
        print("ready", flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert children
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, f"{children} outlived their parent"
        time.sleep(0.05)


def subprocess_decoders() -> list[int]:
    listing = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listing]


def idle_pids() -> list[int]:
    return [decoder.process.pid for decoder in sandbox._idle]
