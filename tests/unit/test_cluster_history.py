"""The judge of the tests on a cluster: figures from what nodes wrote down."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.cluster.history import spans, story

VIP = "203.0.113.10"
START = 1_790_000_000.0


def kernel(second: float, address: str, *, gone: bool = False) -> str:
    """A line as `ip -ts -oneline monitor address` prints it."""
    at = datetime.fromtimestamp(START + second, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    what = f"eth0    inet {address}/24 scope global secondary eth0\\       valid_lft forever"
    return f"[{at}] {'Deleted ' * gone}2: {what}\n"


def client(sent: float, answered: float, who: str) -> str:
    """A line as service.py prints it."""
    return f"{START + sent:.4f} {START + answered:.4f} {who}\n"


KERNELS = {
    "a": kernel(-10, VIP) + kernel(1, VIP, gone=True),
    # The last one is an address whose lifetime is renewed.
    "b": kernel(0.1, f"{VIP}0") + kernel(1.25, VIP) + kernel(1.5, VIP),
}


def test_who_held_it() -> None:
    told = [(round(span.seconds, 3), "".join(span.holders)) for span in spans(KERNELS, VIP, START, START + 4)]
    assert told == [(1.0, "a"), (0.25, ""), (2.75, "b")]


def test_two_are_two_however_often_one_renews() -> None:
    kernels = KERNELS | {"a": kernel(-10, VIP) + kernel(3, VIP, gone=True)}
    assert round(story(kernels, [], VIP, START, START + 4).two, 3) == 1.75


def test_requests_of_the_time_in_question() -> None:
    said = client(-1, -0.9, "a") + client(0.5, 0.6, "a") + client(1.1, 2.1, "-TimeoutError") + client(1.3, 2.6, "b")
    told = str(story(KERNELS, [said], VIP, START, START + 4))
    assert told == "nobody 250 ms, two 0 ms; 1 of 3 requests failed (1 TimeoutError), at most 2.00 s between answers"
