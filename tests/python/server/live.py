"""A server that listens on a port of this machine."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import uvicorn

from pixr.server.app import create_app
from pixr.server.keys import create_key
from pixr.server.organizations import create_organization
from pixr.server.patience import PatientProtocol
from pixr.server.settings import load_settings
from pixr.server.state import ServerState, build_state


@dataclass
class Live:
    """A running server, and the key of an organization of its own."""

    url: str
    state: ServerState
    organization: str
    headers: dict[str, str]
    _server: uvicorn.Server
    _thread: threading.Thread

    @classmethod
    def start(cls, settings: dict[str, Any]) -> Live:
        listening = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        state = build_state(load_settings(**{"public_url": url} | settings))
        with state.database.write() as session:
            organization = create_organization(session, "Live", "enterprise").id
            key, secret = create_key(session, organization, name="live")
        config = uvicorn.Config(
            create_app(state), log_config=None, lifespan="on", http=PatientProtocol, timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        return cls(url, state, organization, {"X-API-Key": key.id, "X-API-Secret": secret}, server, thread)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
