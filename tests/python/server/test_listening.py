"""The socket that the workers share."""

from __future__ import annotations

import socket

from pixr.server.serve import _listen


def test_what_is_answered_leaves_at_once() -> None:
    # With Nagle's algorithm the body of an answer waits for the client to acknowledge the headers, 40 ms as a rule.
    with _listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
