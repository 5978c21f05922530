"""Secrets in texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.log_config import MASK
from app.pid1.log.masking import Masking


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("auth_pass s3cret-1", f"auth_pass {MASK}"),
        ("xs3cret-1x and s3cret-1", f"x{MASK}x and {MASK}"),
        ("S3CRET-1", "S3CRET-1"),
        ("nothing of the kind", "nothing of the kind"),
        ("http://me:hunter2@host/ said no", f"http://me:{MASK}@host/ said no"),
        ("http://host:80/a@b is fine", "http://host:80/a@b is fine"),
    ],
)
def test_masks(text: str, masked: str) -> None:
    assert Masking(["s3cret-1"])(text) == masked


def test_the_longer_secret_goes_first() -> None:
    assert Masking(["abcd", "abcdefgh"])("abcdefgh abcd") == f"{MASK} {MASK}"


def test_a_short_secret_is_masked_as_a_word() -> None:
    masking = Masking(["a", "12"])
    assert masking("a car with 12 of 1234: a-12") == f"{MASK} car with {MASK} of 1234: {MASK}-{MASK}"


def test_without_secrets_texts_stay() -> None:
    assert Masking([])("a") == "a"
    assert Masking([""])("a") == "a"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=8), st.text(), st.text())
def test_no_secret_is_left(secret: str, before: str, after: str) -> None:
    masked = Masking([secret])(before + secret + after)
    # The mask itself may be part of what looks like one: ***** as a password.
    assert secret not in masked or secret in f"{MASK}{after}" or secret in f"{before}{MASK}" or set(secret) == {"*"}
