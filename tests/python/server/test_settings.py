"""Configuration is checked before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixr.server.settings import PLANS, InvalidSettings, Plan, load_settings


def test_flags_go_before_environment_and_environment_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pixr.toml"
    file.write_text('port = 1\nsearch_queue = 2\nhost = "0.0.0.0"\n[plans.small]\nrate = 3\n')
    monkeypatch.setenv("PIXR_PORT", "4")
    monkeypatch.setenv("PIXR_SEARCH_QUEUE", "5")
    settings = load_settings(file, data=tmp_path, port=6, default_plan="small")
    assert (settings.port, settings.search_queue, settings.host) == (6, 5, "0.0.0.0")
    assert settings.plans["small"].rate == 3


def test_the_configuration_of_the_documentation_is_one(tmp_path: Path) -> None:
    """Its one plan took away all others, the default one too, and so the server did not start."""
    document = Path(__file__).resolve().parents[3] / "docs" / "SERVER.md"
    whole, more = re.findall(r"^```toml\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    file = tmp_path / "pixr.toml"
    file.write_text(whole + more)
    settings = load_settings(file)
    assert settings.plans == PLANS | {"startup": Plan(rate=100, monthly_calls=100_000)}
    assert settings.deprecations[0].path == "/v1"


def test_a_plan_stands_beside_the_usual_ones_or_in_place_of_one(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, plans={"gold": {"rate": 7}, "developer": {"rate": 8}})
    assert settings.plans == {**PLANS, "gold": Plan(rate=7), "developer": Plan(rate=8)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = 70000", "port: Input should be less than or equal to 65535"),
        ("prot = 80", "prot: Extra inputs are not permitted"),
        ('dev = true\nhost = "0.0.0.0"', "loopback only, not on 0.0.0.0"),
        ('database = "mysql://x"', "database begins with postgresql:// or sqlite:///"),
        ('default_plan = "gold"', "default_plan 'gold' is not one of developer"),
        ("port = = 1", "pixr.toml: "),
        ('public_url = "https://a.example?b"', "public_url: "),
        ("[plans.free]\nrate = 0", "plans.free.rate: Input should be greater than 0"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "pixr.toml"
    file.write_text(text)
    with pytest.raises(InvalidSettings) as error:
        load_settings(file, data=tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize("path", ["", "/", "/video/api", "/video/api/"])
def test_the_slash_of_a_public_url_is_nobodys_concern(tmp_path: Path, path: str) -> None:
    """It was refused with a regular expression."""
    shown = load_settings(data=tmp_path, public_url=f"https://a.example{path}").base_url
    assert shown == f"https://a.example{path}".rstrip("/")


def test_a_server_needs_something_to_serve() -> None:
    with pytest.raises(InvalidSettings, match="give a LIBRARY"):
        load_settings()
