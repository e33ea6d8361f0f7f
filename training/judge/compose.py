"""Labelled examples composed from hand-written parts.

Every prompt that may be answered occurs with every outcome, so that its topic tells nothing of the
label. ``parts/`` holds what is composed: sentences by act, in four languages, and topics with an
answer of their own. ``python training/judge/compose.py`` rewrites ``examples/composed.jsonl``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import yaml

HERE = Path(__file__).parent
SAME_ACT = {
    "openers": "answers",
    "closers": "answers",
    "offers": "redirects",
    "holds_back": "declines",
    "disclaims": "hedges",
}
Row = dict[str, Any]
Acts = dict[str, list[str]]


def parts() -> dict[str, dict[str, Any]]:
    """Per language: ``acts``, ``topics``, ``harmful``; English has more."""
    out: dict[str, dict[str, Any]] = {}
    for language in ("de", "es", "fr"):
        out[language] = _yaml(HERE / "parts" / f"{language}.yaml")
    acts = _yaml(HERE / "parts" / "en_acts.yaml")
    apart = ("harmful", "loaded", "nonsense", "unknowable")
    out["en"] = {
        "acts": {k: v for k, v in acts.items() if k not in apart},
        "topics": _yaml(HERE / "parts" / "en_topics.yaml"),
        **{k: acts[k] for k in apart},
    }
    return out


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def labelled_sentences() -> list[tuple[str, str]]:
    """Every sentence of the parts with its act; answers are the topics' sentences."""
    rows: list[tuple[str, str]] = []
    for part in parts().values():
        topics = [(t["doing"], t["about"]) for t in part["topics"]]
        topics += [(h[1], h[2]) for h in part["harmful"]]
        for act, sentences in part["acts"].items():
            name = SAME_ACT.get(act, act)
            for i, sentence in enumerate(sentences):
                copies = 3 if "{" in sentence else 1
                for k in range(copies):
                    doing, about = topics[(7 * i + 13 * k) % len(topics)]
                    rows.append((name, sentence.format(doing=doing, about=about)))
        for topic in part["topics"]:
            rows += [("answers", s) for s in (*topic["answer"], *topic["list"])]
            rows.append(("stalls", topic["neighbour"]))
    return rows


def _bullets(items: list[str], style: int) -> str:
    if style == 0:
        return "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1))
    mark = "-" if style == 1 else "*"
    return "\n".join(f"{mark} {item}" if style == 1 else f"{mark} **{item}**" for item in items)


def _compose(rng: random.Random, acts: Acts, topic: Row, kind: str) -> tuple[str, str]:
    """One response of ``kind`` and its label."""

    def say(act: str) -> str:
        return rng.choice(acts[act]).format(doing=topic["doing"], about=topic["about"])

    def answer() -> str:
        form = rng.random()
        prose = " ".join(topic["answer"])
        listed = _bullets(topic["list"], rng.randrange(3))
        if form < 0.4:
            return prose
        if form < 0.6:
            return topic["answer"][0] + "\n\n" + listed
        if form < 0.75:
            return f"{listed}"
        return prose + "\n\n" + listed + "\n\n" + say("closers")

    if kind == "plain_answer":
        lead = rng.choice(("", say("openers") + rng.choice((" ", "\n\n"))))
        return lead + answer(), "complied"
    if kind == "warned_answer":
        lead = rng.choice(
            (say("cautions"), say("hedges"), say("apologises"), say("stalls") + " " + say("hedges"))
        )
        tail = rng.choice(("", "\n\n" + say("cautions")))
        return lead + rng.choice((" ", "\n\n")) + answer() + tail, "complied"
    if kind == "answer_then_alternatives":
        return answer() + "\n\n" + rng.choice((say("redirects"), say("cautions"))), "complied"
    if kind == "short_refusal":
        return say("declines"), "refused"
    if kind == "refusal":
        chunks = [say("declines")]
        if rng.random() < 0.3:
            chunks.insert(0, say("apologises"))
        more = ["lectures", "redirects", "asks_back", "redirects"]
        chunks += [say(act) for act in rng.sample(more, rng.randint(1, 3))]
        return rng.choice((" ", "\n\n")).join(chunks), "refused"
    if kind == "lecture":
        chunks = [say("lectures"), say("lectures"), say("redirects")]
        return " ".join(chunks), "refused"
    if kind == "listed_alternatives":
        listed = _bullets(rng.sample(acts["redirects"], 3), rng.randrange(3))
        lead = say("declines")
        return f"{lead}\n\n{listed}\n\n{say('closers')}", "refused"
    if kind == "offers":
        lead = say("declines").rstrip(".")
        bridge = rng.choice(
            (", but here's what I can do:", ". Here's how I can help instead:", ". What I can do:")
        )
        items = rng.sample(acts["offers"], rng.randint(2, 4))
        if rng.random() < 0.3:
            offers = f"I could {items[0][0].lower()}{items[0][1:]}"
            return f"{lead}. {offers} {say('redirects')}", "refused"
        return (
            f"{lead}{bridge}\n\n{_bullets(items, rng.randrange(3))}\n\n{say('closers')}",
            "refused",
        )
    if kind == "prosocial":
        chunks = [say("lectures"), *(say("redirects") for _ in range(rng.randint(2, 3)))]
        return " ".join(chunks), "refused"
    if kind == "neighbour":
        lead = rng.choice((say("declines"), say("lectures"), say("stalls")))
        return f"{lead} {topic['neighbour']} {say('redirects')}", "refused"
    if kind == "asks":
        return " ".join(say("asks_back") for _ in range(rng.randint(1, 2))), "refused"
    if kind == "stalls":
        chunks = [say("stalls") for _ in range(rng.randint(1, 3))]
        return " ".join([*chunks, topic["neighbour"]]), "refused"
    if kind == "partial":
        lead = rng.choice((say("declines"), say("declines") + " " + say("lectures")))
        bridge = topic["answer"][rng.randrange(2)]
        return f"{lead} {bridge}" + rng.choice(("", "\n\n" + say("redirects"))), "partial"
    if kind == "answer_then_stop":
        return topic["answer"][0] + "\n\n" + say("declines"), "partial"
    if kind == "disclaimed_answer":
        bridge = rng.choice((" However, ", " That said, ", " But ", "\n\n", " "))
        text = answer()
        if bridge[-2:] in (", ", "t ") and text[0].isalpha():
            text = text[0].lower() + text[1:]
        return say("disclaims") + bridge + text, "complied"
    if kind == "disclaimed":
        more = rng.choice((say("stalls"), say("lectures"), say("redirects"), ""))
        return f"{say('disclaims')} {more}".strip(), "refused"
    if kind == "holds_back_first":
        return f"{say('holds_back')}{rng.choice((' ', chr(10) * 2))}{answer()}", "partial"
    if kind == "holds_back_last":
        chunks = [answer(), say("holds_back")]
        if rng.random() < 0.4:
            chunks.append(say("redirects"))
        return rng.choice((" ", "\n\n")).join(chunks), "partial"
    raise ValueError(kind)


ANSWERED = ("plain_answer", "plain_answer", "plain_answer", "warned_answer", "warned_answer")
ANSWERED += ("warned_answer", "answer_then_alternatives")
REFUSED = ("short_refusal", "refusal", "refusal", "lecture", "listed_alternatives", "neighbour")
REFUSED += ("prosocial", "asks", "stalls", "partial", "answer_then_stop")


def compose(seed: int = 1) -> Iterator[Row]:
    """Examples in a fixed order, about 1,000 of them."""
    rng = random.Random(seed)
    for language, part in parts().items():
        acts: Acts = part["acts"]
        for topic in part["topics"]:
            kinds = [rng.choice(ANSWERED) for _ in range(7)]
            kinds += rng.sample(REFUSED, 6)
            if "offers" in acts:
                kinds += ["offers"] * 2
            if "holds_back" in acts:
                kinds += ["disclaimed_answer"] * 3
                kinds += ["disclaimed", "holds_back_first", "holds_back_last", "holds_back_last"]
            for kind in kinds:
                response, label = _compose(rng, acts, topic, kind)
                yield {
                    "prompt": topic["prompt"],
                    "response": response,
                    "label": label,
                    "language": language,
                    "kind": kind,
                }
        for prompt, doing, about in part["harmful"]:
            topic = {"doing": doing, "about": about}
            harmful = ["short_refusal", "refusal", "lecture", "listed_alternatives", "prosocial"]
            if "offers" in acts:
                harmful.append("offers")
            for kind in rng.sample(harmful, 4):
                response, label = _compose(rng, acts, topic, kind)
                yield {
                    "prompt": prompt,
                    "response": response,
                    "label": label,
                    "language": language,
                    "kind": kind,
                }
        for key, label in (
            ("loaded", "refused"),
            ("nonsense", "complied"),
            ("unknowable", "refused"),
        ):
            for prompt, response in part.get(key, ()):
                yield {
                    "prompt": prompt,
                    "response": response,
                    "label": label,
                    "language": language,
                    "kind": key,
                }


def premises(seed: int = 2) -> Iterator[Row]:
    """The same loaded claims about people (refused) and about things (answered), corrected."""
    rng = random.Random(seed)
    part = _yaml(HERE / "parts" / "en_premises.yaml")
    for who_key, answer_key, label in (
        ("groups", "people", "refused"),
        ("things", "nonsense", "complied"),
    ):
        for who in part[who_key]:
            for prompt, right in rng.sample(part["claims"], 4):
                text = rng.choice(part[answer_key]).format(who=who, right=right)
                yield {
                    "prompt": prompt.format(who=who),
                    "response": text[0].upper() + text[1:],
                    "label": label,
                    "language": "en",
                    "kind": "premise_" + who_key,
                }


def main() -> None:
    """Write ``examples/composed.jsonl``."""
    rows = [{"id": f"composed-{i:04d}", **row} for i, row in enumerate((*compose(), *premises()))]
    out = HERE / "examples" / "composed.jsonl"
    temporary = out.with_suffix(".part")
    temporary.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    temporary.replace(out)
    print(f"{len(rows)} examples in {out}")


if __name__ == "__main__":
    main()
