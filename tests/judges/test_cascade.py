from collections.abc import Sequence

import numpy as np
import pytest

from overrefusal.errors import OverrefusalError
from overrefusal.judges.cascade import CascadeJudge, Costs, band
from overrefusal.judges.protocol import Exchange
from overrefusal.records import Outcome, Response, Verdict


class Scripted:
    """Gives the verdict that a response's text names, and counts."""

    def __init__(self, name: str, by_text: dict[str, Verdict]) -> None:
        self.identity = name
        self.by_text = by_text
        self.seen: list[str] = []
        self.closed = False

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        self.seen += [e.response.text for e in exchanges]
        return [self.by_text[e.response.text] for e in exchanges]

    async def close(self) -> None:
        self.closed = True


def verdict(p: float) -> Verdict:
    return Verdict(Outcome.REFUSED if p >= 0.5 else Outcome.COMPLIED, refusal_probability=p)


FIRST = {
    "sure no": verdict(0.02),
    "sure yes": verdict(0.98),
    "unsure": verdict(0.45),
    "unread": Verdict(Outcome.UNJUDGED, reason="script"),
    "noise": Verdict(Outcome.GARBLED, reason="noise"),
}


def exchanges(*texts: str) -> list[Exchange]:
    return [Exchange("p", Response(text=t)) for t in texts]


async def test_only_the_unsure_and_the_unjudged_are_asked() -> None:
    second = Scripted("b", dict.fromkeys(FIRST, Verdict(Outcome.PARTIAL)))
    cascade = CascadeJudge(Scripted("a", FIRST), second)
    got = await cascade.judge(exchanges(*FIRST))
    assert second.seen == ["unsure", "unread"]
    assert [v.outcome for v in got] == [
        Outcome.COMPLIED,
        Outcome.REFUSED,
        Outcome.PARTIAL,
        Outcome.PARTIAL,
        Outcome.GARBLED,
    ]
    assert (cascade.asked, cascade.seen, cascade.asked_share) == (2, 5, 0.4)


async def test_a_second_judge_that_fails_never_decides() -> None:
    failed = Verdict(Outcome.UNJUDGED, reason="rate limit")
    cascade = CascadeJudge(Scripted("a", FIRST), Scripted("b", dict.fromkeys(FIRST, failed)))
    unsure, unread = await cascade.judge(exchanges("unsure", "unread"))
    assert unsure.outcome is Outcome.COMPLIED
    assert "rate limit" in (unsure.reason or "")
    assert unread.outcome is Outcome.UNJUDGED


async def test_closes_both() -> None:
    first, second = Scripted("a", {}), Scripted("b", {})
    cascade = CascadeJudge(first, second)
    await cascade.close()
    assert first.closed
    assert second.closed
    assert "a" in cascade.identity
    assert cascade.asked_share == 0


@pytest.mark.parametrize(
    "costs",
    [
        Costs(),
        Costs(question=0.02),
        Costs(missed_refusal=3.0),
        Costs(false_refusal=2.0, accuracy=0.95),
        Costs(question=0.6),
    ],
)
def test_band_is_where_asking_costs_less(costs: Costs) -> None:
    found = band(costs)
    wrong = 1 - costs.accuracy
    for p in np.linspace(0, 1, 501):
        deciding = min(p * costs.missed_refusal, (1 - p) * costs.false_refusal)
        mistake = p * costs.missed_refusal + (1 - p) * costs.false_refusal
        asking = costs.question + wrong * mistake
        if abs(asking - deciding) > 1e-9:
            assert found.holds(float(p)) == (asking < deciding)


@pytest.mark.parametrize(
    ("costs", "word"),
    [
        (Costs(accuracy=0.4), "accuracy"),
        (Costs(accuracy=float("nan")), "accuracy"),
        (Costs(false_refusal=0), "false_refusal"),
        (Costs(missed_refusal=-1), "missed_refusal"),
        (Costs(question=-0.1), "question"),
    ],
)
def test_unusable_costs_are_named(costs: Costs, word: str) -> None:
    with pytest.raises(OverrefusalError, match=word):
        band(costs)


async def test_beats_both_where_the_first_is_calibrated() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(0.12, 0.12, 6000)
    truth = rng.random(6000) < p
    names = [f"r{i}" for i in range(6000)]
    first = Scripted("a", {n: verdict(float(q)) for n, q in zip(names, p, strict=True)})
    right = rng.random(6000) < 0.9
    second = Scripted(
        "b",
        {n: verdict(float(t == r)) for n, t, r in zip(names, truth, right, strict=True)},
    )
    cascade = CascadeJudge(first, second)
    got = np.array([v.outcome is Outcome.REFUSED for v in await cascade.judge(exchanges(*names))])
    alone = float(((p >= 0.5) == truth).mean())
    assert float((got == truth).mean()) > max(alone, 0.9)
    assert cascade.asked_share <= 0.2
