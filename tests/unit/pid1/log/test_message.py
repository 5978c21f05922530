"""Datagrams of /dev/log, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pid1.log.message import TEXT_LIMIT, Message, parsed, readable


def read(datagram: bytes, *, pid: int = 7, uid: int = 0) -> Message:
    return parsed(datagram, pid=pid, uid=uid, time=1.5)


def test_as_glibc_writes_it() -> None:
    message = read(b"<30>Nov 22 19:57:01 Keepalived_vrrp[15]: (main) Entering MASTER STATE")
    assert message == Message(1.5, 3, 6, "Keepalived_vrrp", 7, True, "(main) Entering MASTER STATE")


@pytest.mark.parametrize(
    ("datagram", "program", "text"),
    [
        (b"<30>ka[1]: hello", "ka", "hello"),
        (b"<13>Nov  2 09:07:01 x: hello", "x", "hello"),
        (b"<13>2026-11-22T19:57:01.123456+00:00 x[9]: hello", "x", "hello"),
        (b"<13>x[]: hello", "x", "hello"),
        (b"hello", "unknown", "hello"),
        (b"<13>", "unknown", ""),
        (b"", "unknown", ""),
        (b"<13>no colon here", "unknown", "no colon here"),
        (b"<13>two words: hello", "unknown", "two words: hello"),
        (b"<13>\xff\xfe[1]: hello", "unknown", r"\xff\xfe[1]: hello"),
        (b"<13>" + b"x" * 49 + b": hello", "unknown", "x" * 49 + ": hello"),
        (b"<13>x:hello", "x", "hello"),
    ],
)
def test_what_else_programs_send(datagram: bytes, program: str, text: str) -> None:
    message = read(datagram)
    assert (message.program, message.text) == (program, text)


@pytest.mark.parametrize(
    ("priority", "facility", "severity"),
    [(b"<0>", 0, 0), (b"<191>", 23, 7), (b"<192>", 1, 5), (b"<999>", 1, 5), (b"", 1, 5), (b"<1000>", 1, 5)],
)
def test_priorities(priority: bytes, facility: int, severity: int) -> None:
    message = read(priority + b"x: hello")
    assert (message.facility, message.severity) == (facility, severity)


def test_the_kernel_says_who_it_was() -> None:
    message = read(b"<30>x[999]: hello", pid=12, uid=990)
    assert (message.pid, message.is_root) == (12, False)
    assert read(b"<30>x: hello", pid=0).pid is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\nb", r"a\nb"),
        (b"hello\n\0", "hello"),
        (b"a\x00b\x1b[31m", r"a\x00b\x1b[31m"),
        (b"a\x7fb\xc2\x85c", r"a\x7fb\x85c"),
        (b"\xe2\x80\xa8|\xe2\x80\xae|\xef\xbb\xbf", r"\u2028|\u202e|\ufeff"),
        (b"\xc3\xa9\xff", "é\\xff"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        (b"\xe2\x82", r"\xe2\x82"),
        ("€".encode(), "€"),
        (b"  a\tb  ", "a b"),
    ],
)
def test_a_text_is_one_readable_line(raw: bytes, text: str) -> None:
    assert readable(raw) == text


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert readable(b"a" * TEXT_LIMIT) == "a" * TEXT_LIMIT
    assert readable(b"a" * 65536) == "a" * TEXT_LIMIT + "… (cut, 65536 bytes in all)"
    # Escapes count as what they are written as, and a character is never cut in two.
    assert readable(b"\0" * 3000 + b"a") == r"\x00" * (TEXT_LIMIT // 4) + "… (cut, 3001 bytes in all)"
    assert readable("é".encode() * TEXT_LIMIT).startswith("é" * (TEXT_LIMIT // 2) + "… (cut")


@given(st.binary(max_size=200))
def test_nothing_makes_a_second_line(raw: bytes) -> None:
    text = readable(raw)
    assert text.isprintable() or not set(text) & set(map(chr, [*range(32), *range(127, 160), 0x2028, 0x2029]))
    assert text.splitlines() in ([text], [])
    text.encode()


@given(st.binary(max_size=200))
def test_any_datagram_is_a_message(datagram: bytes) -> None:
    message = read(datagram)
    assert 0 <= message.facility <= 23
    assert 0 <= message.severity <= 7
    assert 1 <= len(message.program) <= 48
    assert message.program.isascii()
