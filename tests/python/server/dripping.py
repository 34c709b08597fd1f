"""A server that answers a byte at a time, or not at all, for as long as anyone listens."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_EVERY_SECONDS = 0.2
_BEGINNINGS = {
    "headers": b"HTTP/1.1 200 OK\r\nX-A: ",
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n",
    "silence": b"",
    "silent-body": b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n",
}


@contextmanager
def dripping(context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL of one while the block lasts; its paths are `headers`, `body`, `silence` and `silent-body`."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) if context else connection as stream:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += stream.recv(1 << 16)
                way = asked.split()[1].decode().strip("/")
                stream.sendall(_BEGINNINGS[way])
                while not over.wait(_EVERY_SECONDS):
                    if "silen" not in way:
                        stream.sendall(b"a")
        except OSError:  # whoever asked has left
            pass

    def listen() -> None:
        while not over.is_set():
            try:
                threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()
            except TimeoutError:
                continue

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(_EVERY_SECONDS)
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join()
