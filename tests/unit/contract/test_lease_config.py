"""How long a VIP may stay: whole seconds that end before a peer takes over, with what the kernel may be late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.lease_config import (
    KERNEL_LATE_SECONDS,
    LEAST_SECONDS,
    LONGEST_SECONDS,
    MASTER_DOWN_ADVERTS,
    lifetime,
)
from app.settings.vrrp import ADVERT_RANGE_V2


@pytest.mark.parametrize(
    ("interval", "seconds"), [(0.01, 1), (0.25, 1), (0.5, 1), (0.7, 1), (1.0, 2), (1.5, 4), (2.0, 5), (40.95, 122)]
)
def test_the_largest_that_ends_in_time(interval: float, seconds: int) -> None:
    assert lifetime(interval) == seconds


def test_the_longest() -> None:
    assert lifetime(float(ADVERT_RANGE_V2[1])) == LONGEST_SECONDS


@given(st.floats(0.67, 255), st.floats(0, 800))
def test_a_renewal_that_comes_late_gives_no_more(interval: float, age: float) -> None:
    seconds = lifetime(interval, age)
    if seconds is not None:
        assert seconds >= LEAST_SECONDS
        assert age + seconds + KERNEL_LATE_SECONDS <= MASTER_DOWN_ADVERTS * interval + 1e-9
    else:
        assert age + LEAST_SECONDS + KERNEL_LATE_SECONDS > MASTER_DOWN_ADVERTS * interval - 1e-9


@given(st.floats(0.01, 0.66), st.floats(0, 0.02))
def test_a_healthy_node_with_short_adverts_is_always_renewed(interval: float, age: float) -> None:
    assert lifetime(interval, age) == LEAST_SECONDS
