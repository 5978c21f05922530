"""The rendered file is read strictly, and every complaint is a sentence that says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.checker_config import CheckerConfigError, load, parse

PLAIN: dict[str, Any] = {
    "verdicts": "/run/ka/verdicts",
    "log_level": "info",
    "checks": [
        {
            "name": "http",
            "up": "0",
            "down": "1",
            "interval": 2.0,
            "timeout": 1.5,
            "rise": 2,
            "fall": 3,
            "targets": [{"url": "http://127.0.0.1/", "status": [[200, 200]]}],
        }
    ],
}


def changed(path: str, value: Any) -> str:
    """PLAIN as text with one value changed; `...` removes it."""
    content = json.loads(json.dumps(PLAIN))
    *way, last = path.split("/")
    place = content
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    key = int(last) if last.isdigit() else last
    if value is ...:
        del place[key]
    else:
        place[key] = value
    return json.dumps(content)


def test_what_is_left_out_means_the_plain_check() -> None:
    config = parse(json.dumps(PLAIN))
    assert config.verdicts == Path("/run/ka/verdicts")
    assert config.report is None
    assert not config.needs_tls
    (check,) = config.checks
    assert (check.interval, check.fast_interval, check.slow_interval, check.timeout) == (2.0, 2.0, 2.0, 1.5)
    assert (check.rise, check.fall, check.up, check.down) == (2, 3, "0", "1")
    (target,) = check.targets
    assert (target.headers, target.ca_file, target.insecure, target.body, target.follow) == (
        (),
        None,
        False,
        None,
        False,
    )
    assert target.wanted == "200"
    assert target.accepts(200)
    assert not target.accepts(201)


def test_everything_that_can_be_said() -> None:
    content = json.loads(json.dumps(PLAIN))
    content["report"] = "/run/ka/verdicts/report.json"
    content["checks"][0] |= {"fast_interval": 0.5, "slow_interval": 10}
    content["checks"][0]["targets"] = [
        {
            "url": "https://app/",
            "ca_file": "/ca.pem",
            "headers": {"Host": "www.example.org"},
            "body": "^ok",
            "follow": True,
        },
        {"url": "https://app/", "insecure": True, "status": [[200, 299], [301, 301]]},
        {"url": "tcp://192.0.2.1:25"},
    ]
    config = parse(json.dumps(content))
    assert config.needs_tls
    (check,) = config.checks
    assert (check.fast_interval, check.slow_interval) == (0.5, 10.0)
    first, second, _third = check.targets
    assert (first.headers, first.ca_file, first.follow) == ((("Host", "www.example.org"),), "/ca.pem", True)
    assert second.wanted == "200-299,301"
    assert [second.accepts(code) for code in (199, 200, 299, 300, 301)] == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("verdicts", ..., "file: verdicts is missing; it must be text"),
        ("log_level", "loud", 'file: log_level: cannot be "loud"; it must be one of debug, info, warning, error'),
        ("chekcs", [], 'file: "chekcs" is not known'),
        ("checks", [], "file: checks: cannot be []; it must be a list of at least one"),
        ("checks/0/name", "a/b", 'file: checks[0]: name: cannot be "a/b"; it must be 1–64 letters, digits, - or _'),
        (
            "checks/0/name",
            "heartbeat",
            'file: checks[0]: name: cannot be "heartbeat"; it must be another name: that file is the heartbeat',
        ),
        ("checks/0/interval", 0, "file: checks[0]: interval: cannot be 0; it must be seconds from 0.01 to 86400"),
        ("checks/0/interval", True, "file: checks[0]: interval: cannot be true; it must be seconds from 0.01 to 86400"),
        ("checks/0/timeout", "2", 'file: checks[0]: timeout: cannot be "2"; it must be seconds from 0.01 to 86400'),
        ("checks/0/rise", 0, "file: checks[0]: rise: cannot be 0; it must be 1–1000"),
        ("checks/0/fall", 2.0, "file: checks[0]: fall: cannot be 2.0; it must be 1–1000"),
        ("checks/0/up", 0, "file: checks[0]: up: cannot be 0; it must be an integer as text"),
        ("checks/0/down", "0", 'file: checks[0]: down: cannot be "0"; it must be another value than up'),
        ("checks/0/targets", ..., "file: checks[0]: targets is missing; it must be a list of at least one"),
        ("checks/0/targets/0/url", "http://", "file: checks[0]: targets[0]: url: names no host"),
        (
            "checks/0/targets/0/status",
            [[200, 99]],
            "file: checks[0]: targets[0]: status[0]: cannot be [200, 99]; it must be [LOW, HIGH] within 100–599",
        ),
        (
            "checks/0/targets/0/headers",
            {"A B": "c"},
            'file: checks[0]: targets[0]: headers: cannot be "A B"; it must be names of letters, digits and -',
        ),
        (
            "checks/0/targets/0/headers",
            {"X-Key": "secret\r\nHost: x"},
            "file: checks[0]: targets[0]: headers: the value of X-Key must be text without control characters",
        ),
        (
            "checks/0/targets/0/body",
            "(",
            'file: checks[0]: targets[0]: body: cannot be "(": missing ), unterminated subpattern',
        ),
        ("checks/0/targets/0/follow", 1, "file: checks[0]: targets[0]: follow: cannot be 1; it must be true or false"),
        ("checks/0/targets/0", "http://a/", 'file: checks[0]: targets[0]: cannot be "http://a/"; it must be an object'),
    ],
)
def test_wrong(path: str, value: Any, sentence: str) -> None:
    with pytest.raises(CheckerConfigError) as caught:
        parse(changed(path, value), "file")
    assert str(caught.value) == sentence


def test_two_checks_of_one_name() -> None:
    twice = json.dumps({**PLAIN, "checks": PLAIN["checks"] * 2})
    with pytest.raises(CheckerConfigError, match="two are called http"):
        parse(twice)


def test_two_ways_to_authorize() -> None:
    target: dict[str, Any] = {"url": "http://a:s3cr3t@b/", "headers": {"authorization": "Bearer s3cr3t"}}
    with pytest.raises(CheckerConfigError, match="both credentials in the URL and an Authorization header") as caught:
        parse(changed("checks/0/targets/0", target))
    assert "s3cr3t" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckerConfigError, match=r"none\.json: cannot be read: No such file or directory"):
        load(tmp_path / "none.json")


def test_no_json(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"verdicts": "/r')
    with pytest.raises(CheckerConfigError, match=r"half\.json: is not JSON: "):
        load(tmp_path / "half.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    *("verdicts", "log_level", "checks", "report", "checks/0"),
    *(f"checks/0/{key}" for key in ("name", "up", "down", "interval", "fast_interval", "timeout", "rise", "targets")),
    *(f"checks/0/targets/0/{key}" for key in ("url", "status", "headers", "ca_file", "insecure", "body", "follow")),
]


@given(st.sampled_from([path for path in PATHS if path != "checks/0"]), VALUES)
def test_any_value_anywhere_is_taken_or_refused_with_a_sentence(path: str, value: Any) -> None:
    try:
        parse(changed(path, value))
    except CheckerConfigError as error:
        sentence = str(error)
        assert "\n" not in sentence
    else:
        return
    assert sentence


@given(st.text(max_size=60))
def test_any_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(CheckerConfigError):
        parse(text)
