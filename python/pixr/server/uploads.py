"""Uploads by tus 1.0.0: begun, continued at an offset, ended, and resumed after either side was killed.

A piece is acknowledged once it is on disk and then its length is in the database. What a crash leaves beyond the
acknowledged length is overwritten. Only one request at a time writes to an upload, even across processes (`flock`).
All work on its file runs on the organization's share of threads, since its disk may be slow.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from pixr.server.database import Database, now
from pixr.server.disk_room import check_room, refusing_full_disk
from pixr.server.errors import ApiError
from pixr.server.events import record
from pixr.server.ids import new_id
from pixr.server.libraries import Libraries
from pixr.server.models import UPLOADS, Upload, VideoRecord
from pixr.server.search_pool import SearchPool
from pixr.server.settings import Settings

__all__ = ["CHECKSUMS", "Checksum", "NewUpload", "Uploads"]

CHECKSUMS = ("md5", "sha1", "sha256", "sha512")
# Pieces are written to disk in blocks. They are acknowledged now and then while they arrive, so that a long PATCH that
# breaks off was not in vain.
_BLOCK_BYTES = 1 << 20
_SYNC_BYTES = 16 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class Checksum:
    """The digest that a piece must have."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, header: str) -> Checksum:
        """From `Upload-Checksum`, such as `sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`.

        Raises:
            ApiError: UPLOAD_CHECKSUM_UNSUPPORTED, or INVALID_REQUEST if it is not a digest of that algorithm.
        """
        algorithm, _, encoded = header.strip().partition(" ")
        if algorithm not in CHECKSUMS:
            raise ApiError("UPLOAD_CHECKSUM_UNSUPPORTED", f"Upload-Checksum is one of {', '.join(CHECKSUMS)}.")
        try:
            digest = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            digest = b""
        if len(digest) != hashlib.new(algorithm).digest_size:
            raise ApiError("INVALID_REQUEST", f"Upload-Checksum is {algorithm} and a base64 digest.")
        return cls(algorithm, digest)


@dataclass(frozen=True)
class NewUpload:
    """What a client says about a file before it sends it.

    Attributes:
        byte_len: the file's length.
        filename: the client's name for it.
        content_type: its media type.
        metadata: columns of the video's record, such as its title.
        tus_metadata: `Upload-Metadata` as it came, which is sent back when asked for.
    """

    byte_len: int
    filename: str | None
    content_type: str | None
    metadata: Mapping[str, Any]
    tus_metadata: str = ""


@dataclass(frozen=True)
class Uploads:
    """The uploads of all organizations. `append` works on threads of `pool`; the other methods block."""

    settings: Settings
    database: Database
    libraries: Libraries
    pool: SearchPool

    def begin(self, organization: str, asked: NewUpload) -> Upload:
        """Make room for a file, and record its video.

        Raises:
            ApiError: PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA, INSUFFICIENT_STORAGE.
        """
        self._check(asked)
        home = self.libraries.home(organization)
        (home / UPLOADS).mkdir(parents=True, exist_ok=True)
        check_room(home, asked.byte_len + self.settings.free_bytes)
        upload_id, video_id = new_id("upl"), new_id("vid")
        file = f"{UPLOADS}/{upload_id}"
        (home / file).touch()
        video = VideoRecord(
            id=video_id,
            organization_id=organization,
            status="uploading",
            filename=_base_name(asked.filename),
            content_type=asked.content_type,
            byte_len=asked.byte_len,
            file=file,
            **asked.metadata,
        )
        upload = Upload(
            id=upload_id,
            organization_id=organization,
            video_id=video_id,
            byte_len=asked.byte_len,
            file=file,
            given=asked.tus_metadata,
            expires=now() + timedelta(seconds=self.settings.upload_seconds),
        )
        with self.database.write() as session:
            known = session.get(Upload, upload_id)
            if known is not None:  # begun before a crash, and asked for again under the same idempotency key
                return known
            session.add(video)
            session.flush()
            session.add(upload)
        return upload

    def find(self, organization: str, id: str) -> Upload:
        """An upload that is under way or complete.

        Raises:
            ApiError: UPLOAD_NOT_FOUND, UPLOAD_EXPIRED.
        """
        with self.database.read() as session:
            return _own(session, organization, id)

    async def append(
        self, upload: Upload, offset: int, pieces: AsyncIterator[bytes], checksum: Checksum | None
    ) -> Upload:
        """Write pieces at `offset`, which must be the length received so far, and return the upload as it is then.

        If the connection breaks, what arrived is kept, unless there is a checksum, which it could not fulfil.

        Raises:
            ApiError: UPLOAD_OFFSET_MISMATCH, UPLOAD_CHECKSUM_MISMATCH, UPLOAD_LOCKED, PAYLOAD_TOO_LARGE,
                INSUFFICIENT_STORAGE.
        """
        work = partial(self._off_loop, upload.organization_id)
        file, upload = await work(self._open, upload, offset)
        try:
            digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
            got, safe, waiting = offset, offset, bytearray()
            try:
                async for piece in pieces:
                    waiting += piece
                    if got + len(waiting) > upload.byte_len:
                        raise ApiError("PAYLOAD_TOO_LARGE", f"The upload has {upload.byte_len} bytes.")
                    if digest is not None:
                        digest.update(piece)
                    if len(waiting) >= _BLOCK_BYTES:
                        await work(_write, file, bytes(waiting))
                        got += len(waiting)
                        waiting.clear()
                        if checksum is None and got - safe >= _SYNC_BYTES:
                            await work(self._acknowledge, upload, file, got)
                            safe = got
            except BaseException as error:
                if checksum is None and isinstance(error, ClientDisconnect):
                    await work(_write, file, bytes(waiting))
                    got += len(waiting)
                if checksum is None and got > safe:
                    await work(self._acknowledge, upload, file, got)
                raise
            await work(_write, file, bytes(waiting))
            got += len(waiting)
            if checksum is not None and digest is not None and digest.digest() != checksum.digest:
                await work(_cut, file, offset)
                raise ApiError("UPLOAD_CHECKSUM_MISMATCH", "The piece is not what its checksum says.")
            return await work(self._acknowledge, upload, file, got)
        finally:
            file.close()  # which writes nothing

    def end(self, organization: str, id: str) -> None:
        """Give up an upload that is under way, and delete its bytes and its video.

        Raises:
            ApiError: UPLOAD_NOT_FOUND, CONFLICT if it is complete.
        """
        with self.database.write() as session:
            upload = _own(session, organization, id)
            if upload.completed is not None:
                raise ApiError("CONFLICT", "The upload is complete; delete the video.")
            upload.expires = now()  # nobody writes to it any more, and if this process dies now, it is swept
        self._remove(upload)

    def sweep(self) -> int:
        """Remove uploads that have expired, and return how many there were."""
        with self.database.read() as session:
            late = session.scalars(
                select(Upload).where(Upload.expires < now(), Upload.completed.is_(None)).limit(100)
            ).all()
        for upload in late:
            self._remove(upload)
        return len(late)

    async def _off_loop(self, organization: str, work: Callable[..., T], *arguments: Any) -> T:
        return await self.pool.run(organization, partial(work, *arguments))

    def _open(self, upload: Upload, offset: int) -> tuple[FileIO, Upload]:
        """The file, locked and as long as what was received, which has to be `offset`; and the upload as it is now."""
        file = _locked(self.libraries.home(upload.organization_id) / upload.file)
        try:
            upload = self.find(upload.organization_id, upload.id)
            if offset != upload.received:
                raise ApiError("UPLOAD_OFFSET_MISMATCH", f"The offset is {upload.received}, not {offset}.")
            _cut(file, offset)
        except BaseException:
            file.close()
            raise
        return file, upload

    def _remove(self, upload: Upload) -> None:
        """Remove an expired upload: first the file, outside of any transaction, since its disk may be slow."""
        (self.libraries.home(upload.organization_id) / upload.file).unlink(missing_ok=True)
        with self.database.write() as session:
            kept, video = session.get(Upload, upload.id), session.get(VideoRecord, upload.video_id)
            if kept is not None:  # else another process was faster
                session.delete(kept)
                session.flush()
            if video is not None:
                session.delete(video)

    def _acknowledge(self, upload: Upload, file: FileIO, received: int) -> Upload:
        """Make `received` bytes durable. Once they are all of the file, the video is queued for processing."""
        with refusing_full_disk():
            os.fsync(file.fileno())
        with self.database.write() as session:
            kept = _own(session, upload.organization_id, upload.id)
            kept.received = received
            if received == kept.byte_len and kept.completed is None:
                kept.completed = now()
                video = session.get_one(VideoRecord, kept.video_id)
                video.status = "queued"
                data = {"videoId": video.id, "size": kept.byte_len, "filename": video.filename}
                record(session, kept.organization_id, "video.uploaded", data)
        return kept

    def _check(self, asked: NewUpload) -> None:
        if asked.byte_len > self.settings.max_upload_bytes:
            raise ApiError("PAYLOAD_TOO_LARGE", f"A file has at most {self.settings.max_upload_bytes} bytes.")
        if asked.content_type is not None and not self._takes(asked.content_type):
            raise ApiError("UNSUPPORTED_MEDIA", f"Types taken are {', '.join(self.settings.upload_types)}.")

    def _takes(self, content_type: str) -> bool:
        kind = content_type.partition(";")[0].strip().lower()
        return any(
            kind == taken or (taken.endswith("/*") and kind.startswith(taken[:-1]))
            for taken in self.settings.upload_types
        )


def _own(session: Session, organization: str, id: str) -> Upload:
    found = session.get(Upload, id)
    if found is None or found.organization_id != organization:
        raise ApiError("UPLOAD_NOT_FOUND", f"No upload {id!r}.")
    if found.completed is None and found.expires < now():
        raise ApiError("UPLOAD_EXPIRED", "The upload took too long; begin a new one.")
    return found


def _base_name(filename: str | None) -> str | None:
    """A client's file name, for display only: no path is ever made of it."""
    if filename is None:
        return None
    name = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in name if letter.isprintable())[:255] or None


def _locked(path: Path) -> FileIO:
    """The file, open and locked until it is closed. It keeps nothing back: closing it writes nothing."""
    try:
        file = path.open("r+b", buffering=0)
    except FileNotFoundError:
        raise ApiError("UPLOAD_NOT_FOUND", "The upload's file is gone.") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ApiError("UPLOAD_LOCKED", "Another request writes to it.", headers={"Retry-After": "1"}) from None
    return file


def _write(file: FileIO, piece: bytes) -> None:
    left = memoryview(piece)
    with refusing_full_disk():
        while left:
            left = left[file.write(left) :]


def _cut(file: FileIO, byte_len: int) -> None:
    file.seek(byte_len)
    file.truncate()
