from hypothesis import given
from hypothesis import strategies as st

from overrefusal.statistics import Point, pareto_front

SHARES = st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0])
POINTS = st.lists(st.builds(Point, st.text(max_size=3), SHARES, SHARES), max_size=12)


def beats(one: Point, other: Point) -> bool:
    return (
        one.over_refusal <= other.over_refusal
        and one.harmful_refusal >= other.harmful_refusal
        and one[1:] != other[1:]
    )


@given(POINTS)
def test_the_front_is_exactly_what_nothing_beats(points: list[Point]) -> None:
    front = pareto_front(points)
    assert sorted(front) == sorted(p for p in points if not any(beats(q, p) for q in points))
    assert [p.over_refusal for p in front] == sorted(p.over_refusal for p in front)


def test_low_over_refusal_and_high_harmful_refusal_are_good() -> None:
    strict = Point("strict", 0.4, 1.0)
    balanced = Point("balanced", 0.05, 0.97)
    ablated = Point("ablated", 0.0, 0.1)
    worse = Point("worse", 0.1, 0.9)
    assert pareto_front([worse, strict, ablated, balanced]) == [ablated, balanced, strict]
