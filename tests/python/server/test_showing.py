"""Thumbnails, sprites, players and analytics."""

from __future__ import annotations

import io
import threading
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from sqlalchemy import select, text

from pixr.server.database import now
from pixr.server.maintenance import Maintenance
from pixr.server.models import Organization, SearchRecord
from pixr.server.pictures import Pictures
from pixr.server.searchability import searchability
from pixr.server.state import ServerState
from pixr.types import Segment, Video
from tests.python.clips import make_clip
from tests.python.server.partner import Partner, code_of


@pytest.fixture
def shown(acme: Partner, server: ServerState, tmp_path_factory: pytest.TempPathFactory) -> Partner:
    """Acme, whose video "roof" has a file of two colours, a second each."""
    pytest.importorskip("av")
    clip = make_clip(tmp_path_factory.mktemp("clip") / "roof.mp4", ["", ""], seconds=1.0)
    with server.libraries.writing(acme.organization) as library:
        library.update("roof", source=str(clip), duration=2.0)
    return acme


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def test_a_thumbnail_is_the_frame_at_its_moment_and_is_cached(shown: Partner) -> None:
    colours = []
    for seconds in (0.5, 1.5):
        answer = shown.get(f"/v1/videos/roof/thumbnail?t={seconds}&width=64")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
        picture = Image.open(io.BytesIO(answer.content)).convert("RGB")
        assert picture.size == (64, 48)
        colours.append(picture.getpixel((5, 5)))
    (red, green, _), (other_red, other_green, _) = colours  # type: ignore[misc]
    assert red > green
    assert other_green > other_red
    tag = answer.headers["etag"]
    again = shown.get("/v1/videos/roof/thumbnail?t=1.5&width=64", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert "max-age" in again.headers["cache-control"]


def test_a_thumbnail_is_its_own_whatever_was_asked_before(shown: Partner) -> None:
    """Pictures were kept by the tenth of a second, so the last of a shot was shown for the first of the next."""
    colours = []
    for seconds in (0.98, 1.0, 1.02):
        answer = shown.get(f"/v1/videos/roof/thumbnail?t={seconds}&width=64")
        colours.append(Image.open(io.BytesIO(answer.content)).convert("RGB").getpixel((5, 5)))
    assert [red > green for red, green, _ in colours] == [True, False, False]  # type: ignore[misc]


def test_players_and_pictures_begin_at_the_very_instant_of_a_long_video(shown: Partner, server: ServerState) -> None:
    """URLs had six digits: past a quarter of an hour they led to the picture before, and later to the shot before."""
    with server.libraries.writing(shown.organization) as library:
        library.update("roof", duration=20_000.0)
    code = shown.get("/v1/videos/roof/embed?t=12345.678").json()
    assert code["url"].endswith("?t=12345.678")
    page = shown.client.get(path_of(code["url"])).text
    assert 'data-start="12345.678"' in page
    assert "thumbnail?t=12345.678&" in unescape(page)
    third = shown.client.get(path_of(shown.get(f"/v1/videos/roof/embed?t={1 / 3}").json()["url"])).text
    assert 'data-start="0.334"' in third, "0.333 is before the picture that begins at a third"


def test_asking_for_every_moment_and_width_does_not_fill_the_disk(
    shown: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had a signed URL could have a file made for each of ten million moments and 1905 widths."""
    monkeypatch.setattr("pixr.server.pictures._MOST_KEPT", 3)
    assert shown.get("/v1/videos/roof/sprite").status_code == 200
    (kept,) = server.videos.pictures_of(shown.organization, "roof").iterdir()
    for seconds, width in ((2.0, 1900), (2.5, 1920), (99999.1, 1281), (1e6, 1800)):
        assert shown.get(f"/v1/videos/roof/thumbnail?t={seconds}&width={width}").status_code == 200
    assert {file.name for file in kept.iterdir()} == {"sprite.webp", "2000ms-1920.webp"}
    for tenth in range(5):
        assert shown.get(f"/v1/videos/roof/thumbnail?t={tenth / 10}&width=16").status_code == 200
    assert {file.name for file in kept.iterdir()} == {"sprite.webp", "200ms-64.webp", "300ms-64.webp", "400ms-64.webp"}


@pytest.mark.parametrize("path", ["thumbnail?t=0.5&width=64", "sprite"])
def test_pictures_are_those_of_the_file_that_the_video_has_now(
    shown: Partner, server: ServerState, tmp_path: Path, path: str
) -> None:
    """Those kept of the file before were shown for good, and deleted only with the video."""
    before = shown.get(f"/v1/videos/roof/{path}").content
    with server.libraries.writing(shown.organization) as library:
        library.update("roof", source=str(make_clip(tmp_path / "new.mp4", ["another", "film"], seconds=1.0)))
    after = shown.get(f"/v1/videos/roof/{path}").content
    assert after != before
    assert shown.get(f"/v1/videos/roof/{path}").content == after
    kept = server.videos.pictures_of(shown.organization, "roof")
    assert [file.read_bytes() for file in kept.rglob("*.webp")] == [after]


@pytest.mark.parametrize("path", ["thumbnail", "sprite"])
def test_a_picture_that_is_taken_while_its_video_is_deleted_is_not_kept(
    shown: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """It was put where the deletion had just taken the others, and stayed for good."""
    make = Pictures._make

    def deleted(*arguments: Any) -> bytes:
        made = make(*arguments)
        assert shown.delete("/v1/videos/roof").status_code == 204
        return made

    monkeypatch.setattr(Pictures, "_make", deleted)
    assert code_of(shown.get(f"/v1/videos/roof/{path}")) == "VIDEO_NOT_FOUND"
    assert not server.videos.pictures_of(shown.organization, "roof").exists()


def test_urls_of_pictures_are_signed_for_one_video(shown: Partner) -> None:
    found = shown.post("/v1/search", json={"query": "solar panels"}).json()["results"][0]
    url = path_of(found["thumbnailUrl"])
    assert shown.client.get(url).status_code == 200
    assert shown.client.get(url.replace("/roof/", "/boat/")).status_code == 401
    assert shown.client.get(url[:-2]).status_code == 401
    assert shown.client.get(url.partition("&token")[0]).status_code == 401


def test_signed_urls_of_a_suspended_organization_open_nothing(shown: Partner, server: ServerState) -> None:
    """Its keys were refused; pictures, players, media and uploads under URLs given before went on."""
    picture = path_of(shown.post("/v1/search", json={"query": "solar panels"}).json()["results"][0]["thumbnailUrl"])
    player = path_of(shown.get("/v1/videos/roof/embed").json()["url"])
    upload = path_of(shown.post("/v1/videos/upload/init", json={"filename": "a.mp4", "size": 4}).json()["uploadUrl"])
    urls = [picture, picture.replace("/thumbnail", "/sprite"), player, f"{player}/media"]
    assert [shown.client.get(url).status_code for url in urls] == [200] * 4
    with server.database.write() as session:
        session.get_one(Organization, shown.organization).suspended = now()
    assert [shown.client.get(url).status_code for url in urls] == [403] * 4
    piece = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    assert code_of(shown.client.patch(upload, content=b"abcd", headers=piece)) == "FORBIDDEN"
    with server.database.write() as session:
        session.get_one(Organization, shown.organization).suspended = None
    assert [shown.client.get(url).status_code for url in urls] == [200] * 4
    assert shown.client.patch(upload, content=b"abcd", headers=piece).status_code == 204


def test_a_sprite_has_a_field_for_each_span_of_its_track(shown: Partner) -> None:
    sheet = Image.open(io.BytesIO(shown.get("/v1/videos/roof/sprite").content)).convert("RGB")
    assert sheet.size == (800, 450)
    track = shown.get("/v1/videos/roof/sprite.vtt").text.split("\n\n")
    assert track[0] == "WEBVTT"
    assert track[1].startswith("00:00:00.000 --> 00:00:00.080\nsprite?token=")
    assert track[25].startswith("00:00:01.920 --> 00:00:02.000")
    first, last = (sheet.getpixel(place) for place in ((80, 45), (720, 405)))
    assert first != last


def test_a_video_without_its_file_has_no_pictures(acme: Partner) -> None:
    missing = acme.get("/v1/videos/roof/thumbnail")
    assert (missing.status_code, code_of(missing)) == (409, "CONFLICT")


def test_a_file_that_is_no_video_costs_only_its_picture(shown: Partner, server: ServerState) -> None:
    with server.libraries.reading(shown.organization) as library:
        source = str(library.video("roof").source)
    with open(source, "wb") as file:
        file.write(b"\x00\x00\x00\x20ftypisom" + b"\xff" * 4000)
    broken = shown.get("/v1/videos/roof/thumbnail")
    assert (broken.status_code, code_of(broken)) == (422, "UNREADABLE_VIDEO")
    assert shown.client.get("/health/ready").status_code == 200


def test_a_player_seeks_and_serves_ranges_under_a_token_that_expires(
    shown: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    branding: dict[str, Any] = {
        "colors": {"background": "#123456", "accent": "red;}</style>"},
        "texts": {"title": "<b>Acme</b>"},
    }
    branding |= {"allowedOrigins": ["https://acme.example", "x; script-src *"]}
    with server.database.write() as session:  # as an older version may have stored it
        session.get_one(Organization, shown.organization).branding = branding
    code = shown.get("/v1/videos/roof/embed?t=1.5").json()
    assert code["iframe"].startswith("<iframe src=")
    page = shown.client.get(path_of(code["url"]))
    assert 'data-start="1.500"' in page.text
    assert "#123456" in page.text
    assert "&lt;b&gt;Acme" in page.text
    assert "red;}" not in page.text
    assert "ixr" not in page.text.replace("/embed/", ""), "no mark of ours"
    assert page.headers["content-security-policy"].endswith("frame-ancestors https://acme.example")
    media = path_of(code["url"]).partition("?")[0] + "/media"
    part = shown.client.get(media, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert shown.client.get(media.replace("/embed/", "/embed/x")).status_code == 401
    monkeypatch.setattr("pixr.server.routes.embed.EMBED_SECONDS", -1)
    assert shown.client.get(media).status_code == 401


def test_ranges_past_the_end_are_problems_and_those_that_mean_nothing_are_ignored(shown: Partner) -> None:
    media = path_of(shown.get("/v1/videos/roof/embed").json()["url"]) + "/media"
    whole = shown.client.get(media).content
    for range in ("items=0-1", "bytes=a-b", "bytes=5-2", "bytes", "bytes="):
        ignored = shown.client.get(media, headers={"Range": range})
        assert (ignored.status_code, ignored.content == whole) == (200, True), range
    beyond = shown.client.get(media, headers={"Range": f"bytes={len(whole)}-"})
    assert (beyond.status_code, code_of(beyond)) == (416, "RANGE_NOT_SATISFIABLE")
    assert beyond.headers["content-range"] == f"bytes */{len(whole)}"


def test_the_poster_of_a_video_whose_id_is_any_text_is_found(shown: Partner, server: ServerState) -> None:
    with server.libraries.writing(shown.organization) as library:
        held: list[dict[str, Any]] = [{"id": "a b?c#d", "duration": 2.0, "source": library.video("roof").source}]
        rows = {"video_id": ["a b?c#d"], "start": [0.0], "end": [2.0], "speech": ["odd"]}
        library.add_segments(pa.RecordBatch.from_pydict(rows), videos=held)
    page = shown.client.get(path_of(shown.get("/v1/videos/a%20b%3Fc%23d/embed").json()["url"])).text
    poster = unescape(page.partition('poster="')[2].partition('"')[0])
    assert shown.client.get(path_of(poster)).status_code == 200


def test_embeds_and_their_parts_are_known_again_by_their_tags(shown: Partner) -> None:
    code = shown.get("/v1/videos/roof/embed?t=1.5")
    assert code.headers["etag"]
    assert "max-age" in code.headers["cache-control"]
    url = path_of(code.json()["url"])
    media = url.partition("?")[0] + "/media"
    for path in (url, media, "/v1/videos/roof/sprite.vtt", "/v1/videos/roof/sprite"):
        first = shown.get(path)
        assert "cache-control" in first.headers
        tag = first.headers["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            again = shown.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), path
        assert shown.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    shown.patch("/v1/videos/roof", json={"title": "Another"})
    assert shown.get(url, headers={"If-None-Match": shown.get(media).headers["etag"]}).status_code == 200


def test_a_result_of_a_later_page_has_its_place_among_all_results(acme: Partner) -> None:
    """Places were counted anew on each page, so that the last of all results was as good as the first."""
    asked: dict[str, Any] = {"query": "solar harbour", "minScore": 0.0, "pagination": {"limit": 1}}
    first = acme.post("/v1/search", json=asked).json()
    asked["pagination"]["cursor"] = first["pagination"]["nextCursor"]
    second = acme.post("/v1/search", json=asked).json()
    for place, page in enumerate((first, second), start=1):
        (result,) = page["results"]
        click = acme.post(f"/v1/search/{page['searchId']}/clicks", json={"videoId": result["videoId"]})
        assert click.status_code == 204
        assert acme.get(f"/v1/videos/{result['videoId']}/analytics").json()["averagePosition"] == place


def test_searches_and_clicks_are_counted_for_video_and_organization(acme: Partner, server: ServerState) -> None:
    for _ in range(2):
        found = acme.post("/v1/search", json={"query": "solar panels"}).json()
    acme.post("/v1/search", json={"query": "zeppelin"})
    assert acme.post(f"/v1/search/{found['searchId']}/clicks", json={"videoId": "roof"}).status_code == 204
    assert acme.post(f"/v1/search/{found['searchId']}/clicks", json={"videoId": "boat"}).status_code == 404
    video = acme.get("/v1/videos/roof/analytics").json()
    assert (video["appearances"], video["clicks"], video["clickThroughRate"]) == (2, 1, 0.5)
    assert (video["averagePosition"], video["topQueries"]) == (
        1.0,
        [{"query": "solar panels", "appearances": 2, "clicks": 1}],
    )
    shown = acme.get("/v1/analytics/appearances").json()
    assert (shown["appearances"], shown["clicks"]) == (2, 1)
    assert shown["videos"] == [
        {"videoId": "roof", "appearances": 2, "clicks": 1, "clickThroughRate": 0.5, "averagePosition": 1.0}
    ]
    server.usage.flush()
    usage = acme.get("/v1/analytics/usage?days=1").json()
    assert usage["byDay"] == acme.get("/v1/usage").json()["days"]
    assert usage["calls"] >= 7
    whole = acme.get("/v1/analytics/searches").json()
    assert (whole["searches"], whole["searchesWithoutResults"], whole["searchesWithClicks"]) == (3, 1, 1)
    assert whole["topQueries"][0] == {"query": "solar panels", "count": 2}
    assert whole["queriesWithoutResults"] == [{"query": "zeppelin", "count": 1}]
    with server.database.write() as session:
        session.get_one(Organization, acme.organization).retention_days = 10
        for one in session.scalars(select(SearchRecord).where(SearchRecord.query == "solar panels")):
            one.created = now() - timedelta(days=11)
    Maintenance(server).sweep()
    assert acme.get("/v1/analytics/searches").json()["searches"] == 1
    assert acme.get("/v1/videos/roof/analytics").json()["appearances"] == 0


def test_the_searchability_score_is_the_weighted_sum_of_its_parts() -> None:
    video = Video("v", title="Solar install guide", description="word " * 10, tags=("a",), duration=10.0)
    segments = [
        Segment(0.0, 5.0, channels=("frame",)),
        Segment(4.0, 8.0, channels=("frame",)),
        Segment(0.0, 2.0, channels=("speech",)),
        Segment(0.0, 0.5, channels=("screen",)),
    ]
    found = searchability(video, segments)
    expected = {"frame": 0.8, "speech": 0.6, "screen": 0.5, "title": 1.0, "description": 0.5, "tags": 1 / 3}
    assert found["parts"] == pytest.approx(expected)
    assert found["searchabilityScore"] == pytest.approx(
        100 * (0.35 * 0.8 + 0.25 * 0.6 + 0.1 * 0.5 + 0.1 + 0.1 * 0.5 + 0.1 / 3), abs=0.05
    )
    assert searchability(Video("empty"), [])["searchabilityScore"] == 0.0


def test_an_organization_says_how_its_players_look(shown: Partner) -> None:
    asked = {
        "colors": {"background": "#101820"},
        "texts": {"title": "Acme"},
        "allowedOrigins": ["https://acme.example"],
    }
    assert shown.call("PUT", "/v1/branding", json=asked).json() == asked
    assert shown.get("/v1/branding").json() == asked
    page = shown.client.get(path_of(shown.get("/v1/videos/roof/embed").json()["url"]))
    assert "#101820" in page.text
    assert "<title>Acme</title>" in page.text
    assert page.headers["content-security-policy"].endswith("frame-ancestors https://acme.example")
    for wrong in ({"colors": {"accent": "red;"}}, {"logoUrl": "javascript:x"}, {"allowedOrigins": ["x; script-src *"]}):
        assert shown.call("PUT", "/v1/branding", json=wrong).status_code == 422
    assert shown.call("PUT", "/v1/branding", json={}).json() == {}


def test_what_another_thread_writes_is_written_when_a_flush_returns(acme: Partner, server: ServerState) -> None:
    """A click right after its search, and a deletion right after one, find the search while it is being written."""
    acme.post("/v1/search", json={"query": "solar panels"})
    lock = "LOCK TABLE searches" if not server.database.is_sqlite else "SELECT 1"
    with server.database.write() as session:
        session.execute(text(lock))  # nobody else writes now
        threads = [threading.Thread(target=server.search_log.flush) for _ in range(2)]
        for thread in threads:
            thread.start()
        threads[1].join(0.3)
        assert all(thread.is_alive() for thread in threads), "one writes, the other waits for it"
    for thread in threads:
        thread.join()
    with server.database.read() as session:
        assert session.scalars(select(SearchRecord.query)).all() == ["solar panels"]
