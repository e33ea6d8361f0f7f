"""Requests and tokens per minute, kept by the client."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """A token bucket that fills with ``per_minute`` units a minute and holds one second's worth.

    A caller takes what it needs at once and is told how long to wait for it, so that callers are
    served in the order in which they came, without a lock. ``give_back`` corrects an estimate.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        self._rate = per_minute / 60.0
        self._capacity = max(1.0, self._rate)
        self._level = self._capacity
        self._clock = clock
        self._stamp = clock()

    def take(self, units: float) -> float:
        """Takes ``units`` and returns the seconds to wait before using them.

        A bucket that is not empty serves a request larger than itself at once and is then in
        debt, so that no request is too large to be served.
        """
        now = self._clock()
        self._level = min(self._capacity, self._level + (now - self._stamp) * self._rate)
        self._stamp = now
        wait = max(0.0, (min(units, self._capacity) - self._level) / self._rate)
        self._level -= units
        return wait

    def give_back(self, units: float) -> None:
        """Returns ``units`` that were taken and not used; a negative number takes more."""
        self._level += units
