"""Repetitions."""

from __future__ import annotations

import itertools
from dataclasses import replace

from app.pid1.log.folding import AT_LAST, SOON, Folding
from app.pid1.log.message import Message
from app.pid1.log.transitions import ADVERT, STATE, About, LoggedTransition

FIRST = Message(100.0, 3, 6, "keepalived", 7, True, "again")
NOTHING = About()


def at(time: float, message: Message = FIRST) -> Message:
    return replace(message, time=time)


def texts(folding: Folding, message: Message, about: About = NOTHING) -> list[tuple[str, int]]:
    return [(one.text, repeats) for one, _, repeats in folding.take(message, about)]


def ticked(folding: Folding, now: float) -> list[str]:
    return [one.text for one, _, _ in folding.tick(now)]


def test_the_first_one_is_said_at_once_and_the_rest_before_the_next_other() -> None:
    folding = Folding()
    assert texts(folding, FIRST) == [("again", 0)]
    assert [texts(folding, at(100 + n / 10)) for n in range(1, 5)] == [[]] * 4
    other = replace(FIRST, text="other")
    assert texts(folding, other) == [("last message repeated 4 times: again", 4), ("other", 0)]
    assert texts(folding, FIRST) == [("again", 0)]


def test_a_single_repetition() -> None:
    folding = Folding()
    texts(folding, FIRST)
    texts(folding, FIRST)
    assert texts(folding, replace(FIRST, text="other"))[0] == ("last message repeated once: again", 1)


def test_time_alone_mentions_them_too_and_ever_more_rarely() -> None:
    folding = Folding()
    texts(folding, FIRST)
    assert ticked(folding, 1000) == []
    said = []
    for second in range(1, 300):
        said += [second for _ in texts(folding, at(100.0 + second))]
    assert said[0] == 1 + SOON
    pauses = [later - earlier for earlier, later in itertools.pairwise(said)]
    assert pauses == sorted(pauses)
    assert max(pauses) == AT_LAST + 1
    assert ticked(folding, 500) == [f"last message repeated {299 - said[-1]} times: again"]
    assert ticked(folding, 501) == []


def test_programs_do_not_hide_each_other() -> None:
    folding = Folding()
    checker = replace(FIRST, program="http-checker")
    assert [texts(folding, message) for message in (FIRST, checker, FIRST, checker)] == [
        [("again", 0)],
        [("again", 0)],
        [],
        [],
    ]


def test_another_severity_is_another_message() -> None:
    folding = Folding()
    assert texts(folding, FIRST) == [("again", 0)]
    assert texts(folding, replace(FIRST, severity=3)) == [("again", 0)]


def test_many_programs_take_no_more_memory() -> None:
    folding = Folding()
    texts(folding, FIRST)
    texts(folding, FIRST)
    said = [told for n in range(200) for told in texts(folding, replace(FIRST, program=f"p{n}"))]
    assert len(folding._last) == 64
    assert ("last message repeated once: again", 1) in said


def test_a_transition_is_not_repeated() -> None:
    folding = Folding()
    about = About(STATE, "main", LoggedTransition("MASTER", "BACKUP", 100, (), "because"))
    texts(folding, FIRST, about)
    texts(folding, FIRST, About(ADVERT, "main"))
    ((_, told, _), _) = folding.take(replace(FIRST, text="other"), NOTHING)
    assert told == About(STATE, "main")


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    folding = Folding()
    texts(folding, FIRST)
    texts(folding, at(101))
    assert ticked(folding, 50) == ["last message repeated once: again"]
