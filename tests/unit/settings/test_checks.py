"""What the operator writes about checks: any text is a sentence, or a file that the checker takes; secrets stay so."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.contract.check_url import masked_url
from app.contract.checker_config import CheckerConfig, CheckTarget
from app.contract.json_file import from_json
from app.contract.pattern import compile_pattern
from app.plan.summary import summary
from app.render import render
from tests.unit.machine import LEAST, plan_of, problems_of

URL = {"KA_ENABLE_CHECK": "http://127.0.0.1/"}
SECRET = "q7Zk-s3cr3t"

# What the process's environment can hold: no NUL, and bytes that are no UTF-8 as lone surrogates.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=40)


def pieces(*words: str) -> st.SearchStrategy[str]:
    """Texts of these words, some of them broken by others."""
    return st.lists(st.one_of(st.sampled_from(words), TEXTS), max_size=8).map("".join)


STATUS = pieces("200", "-", ",", " ", "299", "600", "20", "0", "١٢٣")
HEADERS = pieces("Host", ":", " ", ";", "\n", "X-A", "value", "\r", "é", "\t", "Authorization", '"')
URLS = pieces(
    *("http", "https", "http+unix", "tcp", "://", "127.0.0.1", "[::1]", "[", "]", "h", ".", ":", "80", "99999", "/"),
    *(
        "%2Frun%2Fa.sock",
        "?",
        "a=b",
        "&",
        "#",
        "@",
        "me:pw",
        "%",
        "\\",
        "x" * 70,
        "ü",
        ",",
        "\ud800",
        "[v1.a]",
        "%25eth0",
    ),
)
PATTERNS = pieces(
    "(", ")", "[", "]", "a", "*", "+", "{9999999999}", "\\", "?", "(?P<", "^", "|", "(?i)", "[[", "\\d", "\U0010ffff"
)


def check(**environ: str) -> None:
    """Every problem is one sentence that names its variable; without one the checker takes what is rendered."""
    given_ = {**LEAST, **URL, **environ}
    problems = problems_of(given_)
    for problem in problems:
        assert problem.subject in environ
        assert problem.sentence
        assert str(problem).isprintable()
    if not problems:
        plan = plan_of(given_)
        assert all(line.isprintable() for line in summary(plan))
        if plan.http_checks:
            text = next(file.text for file in render(plan, show_secrets=True) if file.path == "http-checker.json")
            config = from_json(text, CheckerConfig)
            assert all(target.address for check in config.checks for target in check.targets)
            assert all(compile_pattern(target.body or "") for check in config.checks for target in check.targets)


@given(STATUS)
def test_any_status_codes(text: str) -> None:
    check(KA_CHECK_STATUS=text)


@given(HEADERS)
@example("X: \x7f")
def test_any_headers(text: str) -> None:
    check(KA_CHECK_HEADERS=text)


@given(URLS)
@example("http://[::1%25eth0]/")
@example("http+unix://%2F" + "x" * 107 + "/")
@example("http://" + "x" * 64 + ".ü/")
@example("http://u:p\ud800@h/")
def test_any_urls(text: str) -> None:
    check(KA_ENABLE_CHECK=text)


@given(PATTERNS)
@example("[[a]")
@example("(?i)a(?i)")
@example("(" * 500 + ")" * 500)
def test_any_pattern(text: str) -> None:
    check(KA_CHECK_BODY=text)


@given(HEADERS)
def test_no_header_shows_its_value(text: str) -> None:
    shown = " ".join(
        str(problem) for problem in problems_of({**LEAST, **URL, "KA_CHECK_HEADERS": f"X: {SECRET}{text}"})
    )
    assert SECRET not in shown


@given(URLS, URLS)
@example("http://h/", "")
@example("http+unix://", "%2Fs/")
def test_no_url_shows_its_password(before: str, after: str) -> None:
    environ = {**LEAST, "KA_ENABLE_CHECK": f"{before}me:{SECRET}@{after}"}
    problems = problems_of(environ)
    shown = " ".join(str(problem) for problem in problems)
    if not problems:
        plan = plan_of(environ)
        files = {file.path: file.text for file in render(plan, show_secrets=False)}
        labels = [
            target.address.label
            for found in from_json(
                next(file.text for file in render(plan, show_secrets=True) if file.path == "http-checker.json"),
                CheckerConfig,
            ).checks
            for target in found.targets
        ]
        # In a path it is no password: nothing says so.
        if "/" not in before.partition("://")[2]:
            shown += " ".join([*summary(plan), files["http-checker.json"], *labels])
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:q7Zk@h/a?b=q7Zk&c", "http://***@h/a?b=***&***"),
        ("http://h/?q7Zk#q7Zk", "http://h/?***"),
        ("http://h/a?", "http://h/a?"),
        ("tcp://h:1", "tcp://h:1"),
        ("http+unix://me:q7Zk@%2Frun%2Fs/a?b=q7Zk=", "http+unix://***@%2Frun%2Fs/a?b=***"),
        ("http://h/a@b:c", "http://h/a@b:c"),
    ],
)
def test_what_is_shown_of_a_url(text: str, shown: str) -> None:
    assert masked_url(text) == shown
    assert CheckTarget(text).address.label == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:q7/Zk@h/", "http://***@h/"),
        ("me:q7Zk@h/", "***@h/"),
        ("ftp://me:q7Zk@h/", "ftp://***@h/"),
        ("http://me:q7Zk", "http://me:***"),
        ("http://me:q7Zk,x@h/", "http://me:***"),
        ("ftp://h/?token=q7Zk", "ftp://h/?token=***"),
    ],
)
def test_what_is_shown_of_what_is_no_url(text: str, shown: str) -> None:
    first, *others = map(str, problems_of({**LEAST, "KA_ENABLE_CHECK": text}))
    assert first.startswith(f"KA_ENABLE_CHECK: cannot be {shown}; it must be ")
    assert "q7" not in "".join([first, *others])
