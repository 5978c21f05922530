"""The connection of an answer: whoever takes it closes it, and what nobody takes is closed all the same."""

from __future__ import annotations

import gc
import os

from app.checks.instant.kept import KeepingResponse


def has_ended(reading: int) -> bool:
    """Whether the other end of the pipe is closed."""
    os.set_blocking(reading, False)
    try:
        return os.read(reading, 1) == b""
    except BlockingIOError:
        return False


def test_what_nobody_takes_is_closed() -> None:
    """A probe whose time is over in the moment in which its answer is complete forgets the answer."""
    reading, writing = os.pipe()
    response = KeepingResponse.__new__(KeepingResponse)
    response.kept = writing
    del response
    gc.collect()
    assert has_ended(reading)
    os.close(reading)


def test_what_is_taken_is_the_takers() -> None:
    reading, writing = os.pipe()
    response = KeepingResponse.__new__(KeepingResponse)
    response.kept = writing
    assert response.take() == writing
    del response
    gc.collect()
    assert not has_ended(reading)
    os.close(writing)
    os.close(reading)
