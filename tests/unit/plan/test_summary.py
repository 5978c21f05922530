"""The plan in words keeps every secret. What it says is in tests/golden."""

from __future__ import annotations

import pytest

from app.contract.check_url import masked_url
from app.plan.summary import summary
from tests.unit.machine import LEAST, plan_of


@pytest.mark.parametrize("password", ["s3cr3t", "set", "]["])
def test_the_password_is_only_set(password: str) -> None:
    lines = list(summary(plan_of({**LEAST, "KA_AUTH_PASS": password})))
    assert any("password [set]" in line for line in lines)
    assert not any(password in line.replace("[set]", "").replace("[not set]", "") for line in lines)


def test_no_password_is_not_set() -> None:
    assert any("password [not set]" in line for line in summary(plan_of(LEAST)))


@pytest.mark.parametrize(
    "url",
    [
        "http://ka:s3cr3t@192.0.2.1/",
        "https://ka:s3cr3t@[2001:db8::1]:8443/health?a=b",
        "http://:s3cr3t@192.0.2.1/",
        "http://ka:s3cr3t:more@192.0.2.1/",
        "http://ka:s3cr3t@192.0.2.1/@",
        "http://ka:x@s3cr3t@192.0.2.1/",
        "http://s3cr3t@192.0.2.1/",
    ],
)
def test_the_password_of_a_url(url: str) -> None:
    plan = plan_of({**LEAST, "KA_ENABLE_CHECK": url})
    assert "s3cr3t" not in masked_url(url)
    assert not any("s3cr3t" in line for line in summary(plan))


@pytest.mark.parametrize("url", ["http://192.0.2.1/", "http://192.0.2.1/a:b@c", "https://[2001:db8::1]:8443/"])
def test_a_url_without_one_is_shown_as_it_is(url: str) -> None:
    assert masked_url(url) == url
