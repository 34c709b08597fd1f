"""The JSON of the HTTP API."""

from __future__ import annotations

import json

from pixr.errors import VideoNotFound
from pixr.types import Creator, Hit, Hits, Match, Moment, Timing, Video
from pixr.wire import error_to_dict, hits_to_dict, report_to_dict, source_name, video_to_dict

FRAME = Match(140.0, 150.0, "visual", "frame", 0.89, 1.0, 0.61, cosine=0.31, description="closest concepts: tile roof")
SPEECH = Match(145.3, 169.0, "audio", "speech", 0.5, 2.0, 0.33, bm25=7.5, highlights=((0, 4),))
OTHER = Match(300.0, 304.0, "text", "screen", 0.2, 1.0, 0.2)
VIDEO = Video("vid_1", title="Roof", duration=1247.0, creator=Creator("usr_1", "Ada", True), source="/films/roof.mp4")
HIT = Hit(VIDEO, 0.94, (Moment(140.0, 169.0, 151.0, 0.94, (FRAME, SPEECH)), Moment(300.0, 304.0, 301.0, 0.2, (OTHER,))))
HITS = Hits((HIT,), 1247, "exact", {"quality": {"hd": 3}}, "next", 42, Timing(3.1, 0.8, 4.4))


def test_hits_have_the_shape_of_the_search_response() -> None:
    assert hits_to_dict(HITS) == {
        "results": [
            {
                "videoId": "vid_1",
                "title": "Roof",
                "thumbnailUrl": None,
                "duration": 1247.0,
                "relevance": {
                    "score": 0.94,
                    "moments": [
                        {"timestamp": 140.0, "duration": 29.0, "peak": 151.0, "score": 0.94},
                        {"timestamp": 300.0, "duration": 4.0, "peak": 301.0, "score": 0.2},
                    ],
                    "matches": [
                        {
                            "timestamp": 140.0,
                            "duration": 10.0,
                            "type": "visual",
                            "channel": "frame",
                            "confidence": 0.89,
                            "contribution": 0.61,
                            "description": "closest concepts: tile roof",
                        },
                        {
                            "timestamp": 145.3,
                            "duration": SPEECH.duration,
                            "type": "audio",
                            "channel": "speech",
                            "confidence": 0.5,
                            "contribution": 0.33,
                            "description": None,
                        },
                        {
                            "timestamp": 300.0,
                            "duration": 4.0,
                            "type": "text",
                            "channel": "screen",
                            "confidence": 0.2,
                            "contribution": 0.2,
                            "description": None,
                        },
                    ],
                },
                "creator": {"id": "usr_1", "name": "Ada", "verified": True},
            }
        ],
        "pagination": {"nextCursor": "next", "hasMore": True, "total": 1247, "totalRelation": "exact"},
        "facets": {"quality": {"hd": 3}},
        "timing": {"encode": 3.1, "search": 0.8, "total": 4.4},
        "snapshot": "42",
    }


def test_an_explanation_names_the_moment_and_adds_up_to_its_score() -> None:
    relevance = hits_to_dict(HITS, explain=True)["results"][0]["relevance"]
    for index, moment in enumerate(relevance["moments"]):
        parts = [match["contribution"] for match in relevance["matches"] if match["moment"] == index]
        assert sum(parts) == moment["score"]
    assert relevance["matches"][0]["cosine"] == 0.31
    assert relevance["matches"][1]["bm25"] == 7.5
    assert relevance["matches"][1]["highlights"] == [[0, 4]]


def test_the_last_page_has_no_more() -> None:
    last = Hits((), 0, "exact", {}, None, 1, Timing(0, 0, 0), warnings=("no sound model",))
    assert hits_to_dict(last)["pagination"] == {
        "nextCursor": None,
        "hasMore": False,
        "total": 0,
        "totalRelation": "exact",
    }
    assert hits_to_dict(last)["warnings"] == ["no sound model"]


def test_source_is_the_base_name_of_file_or_url() -> None:
    assert hits_to_dict(HITS, source=True)["results"][0]["source"] == "roof.mp4"
    assert source_name(Video("v", source="https://example.com/a/my%20clip.mp4?x=1")) == "my clip.mp4"
    assert source_name(Video("v")) == "v"


def test_everything_is_json() -> None:
    assert json.loads(json.dumps(hits_to_dict(HITS, explain=True, source=True)))
    assert json.loads(json.dumps(video_to_dict(VIDEO)))["creator"]["name"] == "Ada"


def test_reports_are_in_camel_case_at_every_depth() -> None:
    report = {"byte_len": 7, "spaces": {"frame": {"unit_len": 1}}, "damaged": [{"file_name": "a_b"}]}
    assert report_to_dict(report) == {
        "byteLen": 7,
        "spaces": {"frame": {"unitLen": 1}},
        "damaged": [{"fileName": "a_b"}],
    }


def test_errors_keep_their_code() -> None:
    assert error_to_dict(VideoNotFound("no video 'x'")) == {"code": "video_not_found", "detail": "no video 'x'"}
    assert error_to_dict(OSError(2, "gone"))["code"] == "io"
    assert error_to_dict(KeyError()) == {"code": "internal", "detail": "KeyError"}
