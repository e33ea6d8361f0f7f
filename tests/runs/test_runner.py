"""The runner with models and judges of one's own."""

import asyncio

import pytest

import overrefusal as orf
from overrefusal import Actor, Expected, Message, Outcome, Prompt, Response, Sampling, Verdict
from overrefusal.evaluation import Connection, evaluate_async
from overrefusal.runs.runner import request_key
from overrefusal.runs.store import Store


class Scripted:
    """Answers by a function of the request, and remembers what it was asked."""

    spec = identity = "scripted"
    keyed_by_id = False

    def __init__(self, answer):
        self.say = answer
        self.asked = []

    async def answer(self, request):
        self.asked.append(request)
        await asyncio.sleep(0)
        said = self.say(request)
        return said if isinstance(said, Response) else Response(text=said)

    async def close(self):
        pass


class Sorry:
    """Refused where the text says sorry."""

    identity = "sorry/1"

    def __init__(self):
        self.read = 0

    async def judge(self, exchanges):
        self.read += len(exchanges)
        return [
            Verdict(Outcome.REFUSED if "sorry" in e.response.text else Outcome.COMPLIED)
            for e in exchanges
        ]

    async def close(self):
        pass


def prompts(count):
    return orf.suite_of(
        "numbers",
        [
            Prompt(
                f"p{i}",
                (Message("user", f"question {i}"),),
                Expected.REFUSE if i % 4 == 0 else Expected.ANSWER,
            )
            for i in range(count)
        ],
    )


async def evaluated(tmp_path, model, count=20, **options):
    return await evaluate_async(
        model, prompts(count), judge=options.pop("judge", Sorry()), store=tmp_path / "s.db",
        connection=Connection(concurrency=4), **options,
    )  # fmt: skip


async def test_each_prompt_is_asked_once_and_the_rates_follow(tmp_path):
    model = Scripted(lambda r: "sorry" if r.prompt_id in ("p0", "p1") else "sure")
    run = await evaluated(tmp_path, model)
    assert sorted(r.prompt_id for r in model.asked) == sorted(f"p{i}" for i in range(20))
    assert (run.over_refusal.k, run.over_refusal.n) == (1, 15)
    assert (run.harmful_refusal.k, run.harmful_refusal.n) == (1, 5)
    assert run.over_refusal.interval[0] < run.over_refusal.rate < run.over_refusal.interval[1]


async def test_identical_requests_are_answered_from_the_store(tmp_path):
    model, judge = Scripted(lambda r: "sure"), Sorry()
    first = await evaluated(tmp_path, model, judge=judge)
    second = await evaluated(tmp_path, model, judge=judge)
    assert first.id != second.id
    assert (len(model.asked), judge.read) == (20, 20)
    assert [i.response for i in first.items()] == [i.response for i in second.items()]
    other = await evaluated(tmp_path, model, system="Be brief.")
    assert len(model.asked) == 40
    assert model.asked[-1].messages[0] == Message("system", "Be brief.")
    assert other.record.variant["system"] == "Be brief."
    await evaluated(tmp_path, model, fresh=True)
    assert len(model.asked) == 60


async def test_samples_are_requests_of_their_own(tmp_path):
    model = Scripted(lambda r: "sorry" if r.sample == 2 else "sure")
    run = await evaluated(tmp_path, model, samples=3, sampling=Sampling(temperature=1.0, seed=5))
    assert len(model.asked) == 60
    assert run.over_refusal.rate == pytest.approx(1 / 3)
    assert (run.over_refusal.n, run.over_refusal.n_prompts) == (45, 15)
    assert run.over_refusal.method == "clustered_wilson"


async def test_the_key_covers_all_that_changes_an_answer():
    model = Scripted(lambda r: "")
    base = orf.records.Request("p", (Message("user", "x"),), Sampling(temperature=0.0))
    from dataclasses import replace

    changed = [
        base,
        replace(base, messages=(Message("user", "y"),)),
        replace(base, messages=(Message("system", "s"), Message("user", "x"))),
        replace(base, sampling=Sampling(temperature=0.5)),
        replace(base, sampling=Sampling(temperature=0.0, max_tokens=9)),
        replace(base, sample=1),
    ]
    assert len({request_key(model, request) for request in changed}) == len(changed)
    assert request_key(model, base, "salt") != request_key(model, base)
    assert request_key(model, replace(base, prompt_id="q")) == request_key(model, base)
    model.keyed_by_id = True
    assert request_key(model, replace(base, prompt_id="q")) != request_key(model, base)


async def test_errors_are_in_no_rate_and_are_asked_again(tmp_path):
    broken = {"p3", "p4"}
    model = Scripted(lambda r: Response(error="no luck") if r.prompt_id in broken else "sure")
    run = await evaluated(tmp_path, model)
    assert run.over_refusal.n == 14
    assert run.rates.outcomes["answer"]["error"] == 1
    assert run.failed_share == 0.1
    model.asked.clear()
    broken.clear()
    again = await evaluated(tmp_path, model)
    assert again.id == run.id
    assert {r.prompt_id for r in model.asked} == {"p3", "p4"}
    assert again.failed_share == 0


async def test_a_judge_that_fails_is_no_verdict_and_is_asked_again(tmp_path):
    class Doubtful(Sorry):
        sure = False

        async def judge(self, exchanges):
            if self.sure:
                return await super().judge(exchanges)
            return [Verdict(Outcome.UNJUDGED, reason="no parse") for _ in exchanges]

    judge, model = Doubtful(), Scripted(lambda r: "sure")
    run = await evaluated(tmp_path, model, judge=judge)
    assert run.over_refusal.rate is None
    assert run.failed_share == 1
    judge.sure = True
    again = await orf.rejudge_async(run, judge)
    assert again.over_refusal.rate == 0
    assert len(model.asked) == 20


async def test_a_cancelled_run_keeps_what_was_answered(tmp_path):
    gate = asyncio.Event()

    class Slow(Scripted):
        async def answer(self, request):
            if len(self.asked) >= 30:
                gate.set()
                await asyncio.sleep(60)
            return await super().answer(request)

    task = asyncio.create_task(evaluated(tmp_path, Slow(lambda r: f"to {r.prompt_id}"), 100))
    await gate.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    store = Store(str(tmp_path / "s.db"))
    kept = {i.prompt.id: i.response.text for i in store.items(store.run())}
    store.close()
    assert len(kept) >= 30
    assert all(text == f"to {prompt_id}" for prompt_id, text in kept.items())


async def test_a_hopeless_error_ends_the_run_at_once_and_keeps_the_answers(tmp_path):
    def say(request):
        if request.prompt_id == "p50":
            raise orf.OverrefusalError("the key is wrong")
        return "sure"

    model = Scripted(say)
    with pytest.raises(orf.OverrefusalError, match="the key is wrong"):
        await evaluated(tmp_path, model, 200)
    assert len(model.asked) < 100
    model.say = lambda r: "sure"
    run = await evaluated(tmp_path, model, 200)
    assert run.rates.prompts == {"answer": 150, "refuse": 50}
    assert 201 <= len(model.asked) <= 204, "what was under way is asked twice, no more"


async def test_a_failing_judge_or_full_store_ends_the_run_and_does_not_hang(tmp_path):
    class Broken(Sorry):
        async def judge(self, exchanges):
            raise RuntimeError("a bug in somebody's judge")

    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(
            evaluated(tmp_path, Scripted(lambda r: "sure"), 3000, judge=Broken()), 30
        )


async def test_who_acted_and_where_filter_and_model_disagree(tmp_path):
    def say(request):
        match request.prompt_id:
            case "p1":
                return Response(
                    text="sure, as fol", actor=Actor.FILTER_OUTPUT, categories=("hate",)
                )
            case "p2":
                return Response(actor=Actor.FILTER_INPUT)
            case "p3":
                return Response(text="sorry", actor=Actor.MODEL_API)
            case "p5":
                return "sorry"
        return "sure"

    run = await evaluated(tmp_path, Scripted(say))
    outcomes = run.rates.outcomes["answer"]
    assert (outcomes["filtered"], outcomes["refused"]) == (2, 2)
    assert (run.over_refusal.k, run.over_refusal.n) == (2, 13)
    assert run.rates.over_refusal_system.k == 4
    assert run.filters.blocked_though_answered == ("p1",)
    assert run.filters.passed_though_declined == ("p3", "p5")
    by_id = {i.prompt.id: i for i in run.items()}
    assert by_id["p1"].verdict.text_outcome is Outcome.COMPLIED
    assert by_id["p1"].response.categories == ("hate",)


async def test_evaluate_works_under_a_running_loop(tmp_path):
    """As in a notebook."""
    run = orf.evaluate(
        Scripted(lambda r: "sure"), prompts(8), judge=Sorry(), store=tmp_path / "n.db"
    )
    assert run.over_refusal.rate == 0
    assert "over-refusal 0.0%" in repr(run)


async def test_comparing_runs_of_a_part_and_the_whole(tmp_path):
    whole = await evaluated(tmp_path, Scripted(lambda r: "sure"), 20)
    part = await evaluated(tmp_path, Scripted(lambda r: "sorry"), 8, system="s")
    comparison = orf.compare(whole, part)
    assert comparison.over_refusal.n_prompts == 6
    assert comparison.over_refusal.difference == 1.0
    assert len(comparison.flips) == 8


async def test_runs_of_other_suites_or_judges_are_not_compared(tmp_path):
    def suite(expected, text):
        row = Prompt("p", (Message("user", text),), expected)
        return orf.suite_of("prompts", [row, *prompts(3)])

    async def run(exam, judge=None):
        return await evaluate_async(
            Scripted(lambda r: "sure"), exam, judge=judge or Sorry(), store=tmp_path / "s.db"
        )

    one = await run(suite(Expected.ANSWER, "x"))
    relabelled = await run(suite(Expected.REFUSE, "x"))
    comparison = orf.compare(one, relabelled)
    assert (comparison.over_refusal.n_prompts, comparison.harmful_refusal.n_prompts) == (2, 1)
    assert comparison.over_refusal.n_unpaired == 1
    assert comparison.harmful_refusal.n_unpaired == 1

    class Other(Sorry):
        identity = "other/1"

    with pytest.raises(orf.OverrefusalError, match="rejudge"):
        orf.compare(one, await run(suite(Expected.ANSWER, "x"), Other()))


async def test_rejudging_twice_is_one_run_and_leads_back_to_the_one_that_asked(tmp_path):
    class Other(Sorry):
        identity = "other/1"

    run = await evaluated(tmp_path, Scripted(lambda r: "sure"))
    second = await orf.rejudge_async(run, Other())
    again = await orf.rejudge_async(second, Other())
    assert second.record.parent == again.record.parent == run.id
    assert second.id == again.id
    assert (await orf.rejudge_async(second, Sorry())).id == run.id


async def test_a_judge_with_too_few_verdicts_is_named(tmp_path):
    class Short(Sorry):
        async def judge(self, exchanges):
            return (await super().judge(exchanges))[1:]

    with pytest.raises(orf.OverrefusalError, match="judge sorry/1 gave"):
        await evaluated(tmp_path, Scripted(lambda r: "sure"), judge=Short())


def test_an_interrupt_in_a_notebook_stops_the_asking(tmp_path):
    import signal
    import threading
    import time

    model = Scripted(lambda r: "sure")

    async def cell():
        orf.evaluate(
            Slowly(model), prompts(2000), judge=Sorry(), store=tmp_path / "s.db",
            connection=Connection(concurrency=2),
        )  # fmt: skip

    class Slowly(Scripted):
        def __init__(self, inner):
            super().__init__(inner.say)
            self.asked = inner.asked

        async def answer(self, request):
            await asyncio.sleep(0.01)
            return await super().answer(request)

    main = threading.main_thread().ident
    timer = threading.Timer(1.0, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.new_event_loop().run_until_complete(cell())
    finally:
        signal.signal(signal.SIGINT, previous)
    asked = len(model.asked)
    assert 0 < asked < 2000
    time.sleep(0.2)
    assert len(model.asked) == asked


async def test_a_run_says_what_its_answers_took(tmp_path):
    model = Scripted(lambda r: Response(text="ok", input_tokens=3, output_tokens=5, cost_usd=0.01))
    run = await evaluated(tmp_path, model)
    assert run.usage == {"input_tokens": 60, "output_tokens": 100, "cost_usd": pytest.approx(0.2)}
    silent = await evaluated(tmp_path, Scripted(lambda r: "ok"), system="other")
    assert set(silent.usage.values()) == {None}
