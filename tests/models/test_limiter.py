"""The token bucket keeps its rate, whatever is asked of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overrefusal.models.limiter import Bucket


@given(st.lists(st.floats(0.0, 50.0), min_size=2, max_size=60), st.floats(30.0, 6000.0))
def test_no_minute_sees_more_than_its_share(gaps: list[float], per_minute: float) -> None:
    now = 0.0
    bucket = Bucket(per_minute, lambda: now)
    served = []
    for gap in gaps:
        now += gap
        served.append(now + bucket.take(1.0))
    burst = max(1.0, per_minute / 60)
    for start in served:
        within = sum(start <= t < start + 60.0 for t in served)
        assert within <= per_minute + burst + 1


def test_served_in_order_without_idle_time() -> None:
    bucket = Bucket(60.0, lambda: 0.0)
    assert [bucket.take(1.0) for _ in range(4)] == [0.0, 1.0, 2.0, 3.0]


def test_a_request_larger_than_the_bucket_is_served_and_paid_for_later() -> None:
    bucket = Bucket(60.0, lambda: 0.0)
    assert bucket.take(100.0) == 0.0
    assert bucket.take(1.0) == pytest.approx(100.0)


def test_corrections() -> None:
    bucket = Bucket(60.0, lambda: 0.0)
    bucket.take(100.0)
    bucket.give_back(90.0)
    assert bucket.take(1.0) == pytest.approx(10.0)
