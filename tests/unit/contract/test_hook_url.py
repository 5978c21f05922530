"""The URL of a hook: what is requested, and how little of it is shown."""

from __future__ import annotations

import re

import pytest

from app.contract.hook_url import hook_url


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://hooks.example", "hooks.example", None, "/"),
        ("https://hooks.example:8443/a/b?c=d&e=%20", "hooks.example", 8443, "/a/b?c=d&e=%20"),
        ("http://[2001:db8::1]:8080/x", "2001:db8::1", 8080, "/x"),
        ("http://hooks.example/ä b#part", "hooks.example", None, "/%C3%A4%20b"),
    ],
)
def test_where_it_is_posted(url: str, host: str, port: int | None, path: str) -> None:
    found = hook_url(url)
    assert (found.is_tls, found.host, found.port, found.path) == (url.startswith("https"), host, port, path)
    assert "Authorization" not in found.headers


def test_credentials_become_a_header() -> None:
    assert hook_url("http://me:p%40ss@hooks.example/").headers["Authorization"] == "Basic bWU6cEBzcw=="


def test_nothing_after_the_host_is_shown() -> None:
    label = hook_url("https://me:word@hooks.example:8443/token?key=value#part").label
    assert label == "https://hooks.example:8443/********"
    assert not re.search("me|word|token|key|value|part", label.replace("hooks.example", ""))
