"""The guide's receiver, run as it stands there."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from pixr.webhooks import new_secret, sign

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "webhooks.md"


def test_the_receiver_of_the_guide_takes_what_is_genuine_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    secret, stamp = new_secret(), int(time.time())
    body = b'{"type": "video.processed", "data": {"videoId": "vid_1"}}'
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign(body, id="evt_1", timestamp=stamp, secret=secret),
    }
    assert names["receive"](body, headers, secret) == 204
    assert "vid_1 can be searched" in capsys.readouterr().out
    assert names["receive"](body + b" ", headers, secret) == 400
