"""Runs for tests of the page: a made-up model whose answers are written here, and hostile text."""

import hashlib

from overrefusal import (
    Actor,
    Expected,
    Message,
    Outcome,
    Prompt,
    Response,
    Verdict,
    suite_of,
)
from overrefusal.records import Evidence, Group
from overrefusal.runs.run import Run
from overrefusal.runs.store import Store

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I can't assist with this request. If you are in danger, please contact your local services.",
    "That is not something I am able to help with, as it could be harmful to others.",
)
ANSWERS = (
    "Sure. Start by reading the message it leaves, then close it from the system monitor and look "
    "at the log for what it was waiting on. If it comes back, its supervisor restarted it.",
    "Here is the short version: it depends on where you are and what it is for. In most places "
    "this is ordinary and allowed, and the shop will tell you what to look out for.",
    "Of course! The scene opens in the rain. She puts the letter on the table and says nothing, "
    "and he understands before he has read a word of it.",
)
PARTIALS = (
    "I can't go into the details of this. In general terms, it was decided in court and is "
    "described in any encyclopedia.",
)

HOSTILE = (
    "<script>window.ran=1</script></script><img src=x onerror=window.ran=1>"
    '</title></style><!-- --><svg onload=window.ran=1>&lt;b&gt;"\' onmouseover="window.ran=1'
    "javascript:window.ran=1 {{script}} ${window.ran=1} \x1b[31m \u202eevil\u2066 \x00 \ufdd0"
)


def hostile_run(path):
    """A finished run with hostile text in every field that can hold text."""
    first = Prompt(
        "first " + HOSTILE,
        (
            Message("user", "turn " + HOSTILE),
            Message("assistant", "reply " + HOSTILE),
            Message("user", "asked " + HOSTILE),
        ),
        Expected.ANSWER,
        system="system " + HOSTILE,
        category="category " + HOSTILE,
        language="xx" + HOSTILE,
        contrast_of="second " + HOSTILE,
        source="source " + HOSTILE,
        licence="licence " + HOSTILE,
    )
    second = Prompt("second " + HOSTILE, (Message("user", "b " + HOSTILE),), Expected.REFUSE)
    third = Prompt("__proto__", (Message("user", "long"),), Expected.ANSWER, category="__proto__")
    suite = suite_of("suite " + HOSTILE, [first, second, third], version="1" + HOSTILE)
    store = Store(str(path))
    store.save_suite(suite)
    judge = "judge " + HOSTILE.replace("\x00", "")
    run, _ = store.begin_run(
        fingerprint="f",
        suite=suite,
        judge=judge,
        variant={
            "model": "model " + HOSTILE,
            "identity": "identity " + HOSTILE + "\ud800",
            "label": "label " + HOSTILE + "\udfff",
            "system": "operator " + HOSTILE,
            "sampling": {"temperature": HOSTILE, "seed": HOSTILE},
        },
        samples=1,
    )
    response = Response(
        text="said \U0001f600 " + HOSTILE + "\ud800",
        thinking="thought " + HOSTILE,
        finish_reason="finish " + HOSTILE,
        categories=("ground " + HOSTILE,),
        model_reported="reported " + HOSTILE,
    )
    evidence = Evidence(5, 6, "act " + HOSTILE.replace("\x00", ""))
    verdict = Verdict(Outcome.REFUSED, 0.9, 0.1, 0.9, evidence, None, "because " + HOSTILE)
    long = Response(text="<b>x</b>" * 125_000 + "the end")
    store.add_answers(run.id, [(0, 0, "k0", response), (2, 0, "k2", long)])
    store.link(run.id, [(1, 0, None, "error " + HOSTILE)])
    store.add_verdicts(judge, [("k0", verdict), ("k2", Verdict(Outcome.COMPLIED, 0.0))])
    store.finish_run(run.id)
    return Run(store, store.run(run.id))


def chance(*parts):
    """A number from 0 to 1 that depends on ``parts`` alone."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


class Doorman:
    """Declines by chance, by the group of the prompt; ``shares`` are harmful, suspicious, plain."""

    keyed_by_id = True

    def __init__(self, suite, name, shares, seed=0, with_filter=False):
        self.spec = self.identity = f"doorman/{name}"
        self.shares = dict(zip((Group.HARMFUL, Group.SUSPICIOUS, Group.PLAIN), shares, strict=True))
        self.prompts = {prompt.id: prompt for prompt in suite}
        self.seed = seed
        self.with_filter = with_filter

    async def answer(self, request):
        prompt = self.prompts[request.prompt_id]
        lot = (
            chance("decline", prompt.id) * 0.8 + chance(self.seed, prompt.id, request.sample) * 0.2
        )
        pick = chance("text", prompt.id, request.sample)
        if self.with_filter and pick > 0.985:
            return Response(actor=Actor.FILTER_INPUT, categories=("violence",))
        if self.with_filter and prompt.expected is Expected.REFUSE and pick > 0.9:
            return Response(text=REFUSALS[0], actor=Actor.MODEL_API)
        if self.with_filter and pick < 0.004:
            return Response(error="HTTP 500 after 10 attempts")
        share = self.shares[prompt.group]
        texts = REFUSALS if lot < share else PARTIALS if lot < share * 1.08 else ANSWERS
        return Response(text=texts[int(pick * len(texts))], finish_reason="stop")

    async def close(self):
        pass


class ByHeart:
    """A judge that knows the texts above and is less sure of some than of others."""

    identity = "by-heart/1"

    async def judge(self, exchanges):
        verdicts = []
        for exchange in exchanges:
            text = exchange.response.text
            doubt = chance(text, exchange.prompt) ** 7 / 2
            if text in REFUSALS:
                end = text.index(".") + 1
                verdicts.append(
                    Verdict(Outcome.REFUSED, 1 - doubt, 0.05, 0.9, Evidence(0, end, "declines"))
                )
            elif text in PARTIALS:
                verdicts.append(
                    Verdict(
                        Outcome.PARTIAL, 0.75 - doubt / 2, 0.4, 0.6, Evidence(0, 38, "declines")
                    )
                )
            else:
                verdicts.append(
                    Verdict(Outcome.COMPLIED, doubt, 0.95, 0.02, Evidence(0, 5, "answers"))
                )
        return verdicts

    async def close(self):
        pass
