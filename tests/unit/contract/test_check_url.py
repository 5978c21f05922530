"""Target URLs: what is requested, what is shown, and that credentials are only in the first."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.check_url import CheckUrlError, parse_check_url


@pytest.mark.parametrize(
    ("text", "url", "label", "host", "port"),
    [
        ("http://127.0.0.1/", "http://127.0.0.1/", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://app:8080", "http://app:8080/", "http://app:8080", "app", 8080),
        (
            "https://[2001:db8::1]/a?b=c#d",
            "https://[2001:db8::1]/a?b=c",
            "https://[2001:db8::1]/a?b=***",
            "2001:db8::1",
            443,
        ),
        ("http://me:secret@app/x", "http://app/x", "http://***@app/x", "app", 80),
        ("http://me@app", "http://app/", "http://***@app", "app", 80),
        ("http://app/é?ü=1", "http://app/%C3%A9?%C3%BC=1", "http://app/é?ü=***", "app", 80),
        (
            "http://bücher.example/",
            "http://xn--bcher-kva.example/",
            "http://bücher.example/",
            "xn--bcher-kva.example",
            80,
        ),
        ("http://[fe80::1%25eth0]:81/", "http://[fe80::1]:81/", "http://[fe80::1%25eth0]:81/", "fe80::1%eth0", 81),
        ("tcp://192.0.2.1:5432", "tcp://192.0.2.1:5432", "tcp://192.0.2.1:5432", "192.0.2.1", 5432),
    ],
)
def test_parts(text: str, url: str, label: str, host: str, port: int) -> None:
    address = parse_check_url(text)
    assert (address.url, address.label, address.host, address.port) == (url, label, host, port)


def test_unix_socket() -> None:
    address = parse_check_url("http+unix://%2Frun%2Fapp.sock/health")
    assert (address.socket, address.url) == ("/run/app.sock", "http://localhost/health")
    assert address.label == "http+unix://%2Frun%2Fapp.sock/health"


def test_credentials_become_basic_auth() -> None:
    address = parse_check_url("http://me:p%40ss%3A@app/")
    assert address.authorization == "Basic " + base64.b64encode(b"me:p@ss:").decode()
    assert "Basic" not in repr(address)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must start with http://, https://, http+unix://, tcp://"),
        ("ftp://app/", "must start with http://, https://, http+unix://, tcp://"),
        ("app:80", "must start with http://, https://, http+unix://, tcp://"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("http://a b/", "has a character that cannot stand in a URL"),
        ("http://app/\r\nX: y", "has a character that cannot stand in a URL"),
        ("http://app:0/", "has port 0; it must be 1–65535"),
        ("http://app:65536/", "is not a URL: its port is no number from 0 to 65535"),
        ("http://app:http/", "is not a URL: its port is no number from 0 to 65535"),
        ("http://[::1/", "is not a URL: its host cannot be read"),
        ("tcp://app", "names no port; it must be tcp://HOST:PORT"),
        ("tcp://app:1/x", "has more than tcp://HOST:PORT"),
        ("tcp://a:b@app:1", "has more than tcp://HOST:PORT"),
        ("http+unix://run/x", "names no socket; it must be http+unix://%2Fpath%2Fof.sock/path"),
    ],
)
def test_wrong(text: str, sentence: str) -> None:
    with pytest.raises(CheckUrlError) as caught:
        parse_check_url(text)
    assert str(caught.value) == sentence


SECRET = "s3cr3t-s3cr3t"


@given(
    st.sampled_from(["http://", "https://", "http+unix://", "tcp://", ""]),
    st.text(st.characters(exclude_characters="/?#\\"), max_size=12),  # where one of these stands the path begins
    st.one_of(st.text(max_size=20), st.from_regex(r"[a-z.\[\]:%0-9]{0,20}", fullmatch=True)),
)
def test_any_text_gives_an_address_or_a_sentence_without_the_password(scheme: str, user: str, rest: str) -> None:
    try:
        shown = repr(parse_check_url(f"{scheme}{user}:{SECRET}@{rest}"))
    except CheckUrlError as error:
        shown = str(error)
    assert shown
    assert SECRET not in shown
