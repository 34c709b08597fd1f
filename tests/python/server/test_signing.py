"""What clients carry back is taken only as it was given."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pixr.server.database import Database
from pixr.server.errors import ApiError
from pixr.server.signing import Signer

LETTERS = string.ascii_letters + string.digits + "-_"
VALUE = ["org", "roof"]
# How each kind is made, how it is opened, and the code where it is refused.
KINDS: dict[str, tuple[Callable[[Signer], str], Callable[[Signer, str], Any], str]] = {
    "cursor": (
        lambda signer: signer.cursor(VALUE, of="videos"),
        lambda signer, text: signer.position(text, of="videos"),
        "INVALID_CURSOR",
    ),
    "token": (
        lambda signer: signer.token(VALUE, purpose="embed"),
        lambda signer, text: signer.open_token(text, purpose="embed", max_age=60),
        "INVALID_TOKEN",
    ),
    "lasting token": (
        lambda signer: signer.lasting_token(VALUE, purpose="picture"),
        lambda signer, text: signer.open_token(text, purpose="picture", timed=False),
        "INVALID_TOKEN",
    ),
}


@pytest.fixture
def signer(database_url: str) -> Iterator[Signer]:
    database = Database(database_url)
    yield Signer(database)
    database.close()


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_text_is_read_as_the_same(signer: Signer, kind: str) -> None:
    make, open_it, code = KINDS[kind]
    given = make(signer)
    assert open_it(signer, given) == VALUE
    others = [
        given[:at] + letter + given[at + 1 :] for at in range(len(given)) for letter in LETTERS if letter != given[at]
    ]
    others += [
        given[:-1],
        given + "A",
        given + "=",
        given + " ",
        "",
        ".",
        "x",
        "e30",
        "x" * 901,
        "ü" + given,
        given + "ü",
    ]
    for other in others:
        with pytest.raises(ApiError) as caught:
            open_it(signer, other)
        assert caught.value.code == code, other
