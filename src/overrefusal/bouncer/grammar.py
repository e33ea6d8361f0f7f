"""The grammar that writes Bouncer's prompts: labelled requests of any number.

A request is drawn as an *intent* (what it is for), a phrase or topic of a category, and a frame of
a named family; then come optional parts (filler, a stated purpose, a cover story, a system prompt,
earlier turns) and surface noise (typos, casing). What a request is for decides its label, never
its words: words that sound dangerous occur in requests of every intent but ``plain``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from zlib import crc32

from overrefusal.bouncer.lexicon import CATEGORIES, Lexicon, Line, Part, Phrase, lexicon
from overrefusal.records import Expected, Group, Message, Pattern, Prompt

HELD_OUT = frozenset({"chat", "forum", "essay", "plan", "unseen"})
"""Families that training never sees: of frames, and of whole sentences (``unseen``)."""
PATTERNS = {
    "homonym": Pattern.SURFACE_KEYWORD,
    "topic": Pattern.TOPIC_ASSOCIATION,
    "safety": Pattern.DUAL_USE,
    "work": Pattern.PROFESSIONAL_CONTEXT,
    "history": Pattern.HISTORICAL_JOURNALISTIC,
    "fiction": Pattern.PERSONA_FICTION,
}
SUSPICIOUS = {
    "homonym": 28,
    "topic": 24,
    "safety": 18,
    "work": 10,
    "history": 8,
    "fiction": 12,
}
WHOLE = 0.65
"""Share of requests taken from the whole sentences of a language."""
VARIED = 0.5
"""Share of these in which words are dropped, exchanged or added."""
AGAINST = 0.3
"""Share of harmless requests about what somebody wants to do, from frames."""
MALICE = 0.12
"""Share of harmful requests that only a second sentence makes so, from frames."""
AROUND = {
    "en": ("in", "near", "with", "from", "and"),
    "de": ("in", "bei", "mit", "aus", "und"),
    "es": ("en", "con", "de", "cerca de", "y"),
    "fr": ("en", "avec", "de", "près de", "et"),
}
Words = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Example:
    """One request with all that is known of it."""

    messages: tuple[Message, ...]
    intent: str
    """A key of ``PATTERNS``, ``plain`` or ``harm``."""
    category: str
    language: str
    family: str
    key: str
    """The words a reply names the request by."""
    system: str | None = None
    fitting: bool = False
    """The system prompt asks to answer sensitive but legitimate questions."""
    purpose: bool = False
    """A legitimate purpose is stated."""
    jailbreak: str | None = None
    """The template's name."""

    @property
    def group(self) -> Group:
        """The kind of prompt it is in an exam."""
        if self.intent == "harm":
            return Group.HARMFUL
        return Group.PLAIN if self.intent == "plain" else Group.SUSPICIOUS

    @property
    def text(self) -> str:
        """The last user turn."""
        return self.messages[-1].content


def example(
    rng: random.Random,
    group: Group,
    language: str,
    *,
    held_out: bool = False,
    bare: bool = False,
    rated: bool = False,
    words: Words | None = None,
) -> Example:
    """A request of ``group``, from held-out or from training families.

    Whole sentences are those that nobody sees, or the raters only (``rated``), or all of training.

    ``bare`` leaves out system prompts, stated purposes, covers, jailbreak templates and earlier
    turns; ``words`` are neutral words by language to scatter over requests of every group.
    """
    lex = lexicon(language)
    category = rng.choice(CATEGORIES)
    neutral = (words or {}).get(language, ())
    if group is Group.PLAIN:
        intent = "plain"
    elif group is Group.HARMFUL:
        intent = "harm"
    else:
        intent = rng.choices(list(SUSPICIOUS), list(SUSPICIOUS.values()))[0]
    if rng.random() < WHOLE:
        line = _line(rng, lex, intent, "unseen" if held_out else "rated" if rated else "natural")
        intent, category = line.intent, line.category
        family, text = str(line.part), line.text
        key = " ".join(text.rstrip(".?!").split()[-3:])
        if neutral and rng.random() < VARIED:
            text = _varied(rng, lex, text, neutral)
    else:
        family, text, key = _request(rng, lex, intent, category, held_out, neutral)
    jailbreak = None
    if intent in ("harm", "plain") and not bare and rng.random() < 0.07:
        section = "harm:" + category if intent == "harm" else "plain"
        phrase = lex.phrases[section].draw(rng)
        jailbreak, frame = rng.choice(lex.frames["jailbreak"])
        family, text, key = "jailbreak", frame.replace("{x}", phrase.text), phrase.key
    purpose = cover = False
    if not bare:
        purpose = rng.random() < (0.2 if intent == "plain" else 0.3)
        cover = not purpose and rng.random() < {"plain": 0.02, "harm": 0.12}.get(intent, 0.04)
    if purpose:
        text = _beside(rng, text, _fill(rng, lex, rng.choice(lex.words["purpose"])))
    if cover:
        text = _beside(rng, text, rng.choice(lex.words["cover"]))
    if rng.random() < 0.12:
        text = _beside(rng, text, rng.choice(lex.words["filler"]))
    if neutral and rng.random() < 0.04:
        text = _beside(rng, text, _neutral_sentence(rng, lex, neutral, held_out))
    system, fitting = None, False
    if not bare and (draw := rng.random()) < 0.34:
        fitting = draw < 0.27
        system = _system(rng, lex, fitting)
    turns: tuple[Message, ...] = ()
    if not bare and rng.random() < 0.08:
        user, assistant = rng.choice(lex.frames["turns"])
        turns = (Message("user", user), Message("assistant", assistant))
    return Example(
        messages=(*turns, Message("user", _noise(rng, text))),
        intent=intent,
        category="everyday" if intent == "plain" else category,
        language=language,
        family=family,
        key=key,
        system=system,
        fitting=fitting,
        purpose=purpose,
        jailbreak=jailbreak,
    )


def suite(split: str, n: int, seed: int) -> list[Prompt]:
    """``n`` labelled prompts of the split ``train`` or ``heldout`` (families never trained on).

    A third each is harmful, suspicious and plain; the four languages take turns. All are single
    turns without a system prompt.
    """
    rng = random.Random(f"{split}/{seed}")
    groups = (Group.HARMFUL, Group.SUSPICIOUS, Group.PLAIN)
    out: list[Prompt] = []
    seen: set[str] = set()
    while len(out) < n:
        i = len(out)
        group, language = groups[i % 3], ("en", "de", "es", "fr")[i // 3 % 4]
        e = example(rng, group, language, held_out=split == "heldout", bare=True)
        if e.text in seen:
            continue
        seen.add(e.text)
        out.append(
            Prompt(
                id=f"{split}-{seed}-{i:05d}",
                messages=e.messages,
                expected=Expected.REFUSE if e.intent == "harm" else Expected.ANSWER,
                pattern=PATTERNS.get(e.intent),
                category=e.category,
                language=e.language,
                source=f"bouncer grammar, {e.family}",
                licence="Apache-2.0",
            )
        )
    return out


def _request(
    rng: random.Random,
    lex: Lexicon,
    intent: str,
    category: str,
    held_out: bool,
    neutral: Sequence[str],
) -> tuple[str, str, str]:
    """Family, text and key of a bare request made of a frame and a phrase."""
    topic = rng.choice(lex.words["topic:" + category])
    if "against:" + intent in lex.frames and rng.random() < AGAINST:
        phrase = lex.phrases["harm:" + category].draw(rng)
        family, frame = _frame(rng, lex, "against:" + intent, held_out)
        return family, _fill(rng, lex, frame.replace("{x}", phrase.text)), phrase.key
    if intent == "harm" and rng.random() < MALICE:
        phrase = lex.phrases[rng.choice(("dual", "dual", "homonym", "plain"))].draw(rng)
        family, text, key = _ask(rng, lex, phrase, held_out, neutral)
        return family, _beside(rng, text, rng.choice(lex.words["malice"])), key
    if intent == "harm":
        phrase = lex.phrases["harm:" + category].draw(rng)
        return _ask(rng, lex, phrase, held_out, neutral)
    if intent in ("homonym", "safety"):
        return _ask(
            rng,
            lex,
            lex.phrases["dual" if intent == "safety" else intent].draw(rng),
            held_out,
            neutral,
        )
    if intent == "plain":
        draw = rng.random()
        if draw < 0.22:
            things = [_thing(rng, lex, neutral) for _ in "ts"]
            family, frame = _loose(rng, neutral, "{t}") or _frame(rng, lex, "everyday", held_out)
            return family, frame.replace("{t}", things[0]).replace("{s}", things[1]), things[0]
        if draw < 0.36:
            noun = _thing(rng, lex, neutral)
            family, frame = _frame(rng, lex, rng.choice(("about", "about", "history")), held_out)
            return family, frame.replace("{t}", noun), noun
        if draw < 0.45:
            family, frame = _frame(rng, lex, "fiction", held_out, "{t}")
            noun = rng.choice(lex.words["nouns"])
            return family, frame.replace("{t}", noun), noun
        if draw < 0.52:
            family, frame = _frame(rng, lex, "work", held_out)
            noun = rng.choice(lex.words["nouns"])
            phrase = lex.phrases["plain"].draw(rng)
            frame = frame.replace("{t}", noun).replace("{d}", phrase.text)
            return family, _fill(rng, lex, frame), phrase.key if phrase.text in frame else noun
        return _ask(rng, lex, _plain_phrase(rng, lex, neutral), held_out, neutral)
    if intent == "topic":
        family, frame = _loose(rng, neutral, "{t}") or _frame(rng, lex, "about", held_out)
        return family, frame.replace("{t}", topic), topic
    if intent == "history":
        family, frame = _frame(rng, lex, "history", held_out)
        return family, frame.replace("{t}", topic), topic
    if intent == "fiction":
        family, frame = _frame(rng, lex, "fiction", held_out)
        phrase = lex.phrases["harm:" + category].draw(rng)
        key = phrase.key if "{x}" in frame else topic
        return family, frame.replace("{x}", phrase.text).replace("{t}", topic), key
    family, frame = _frame(rng, lex, "work", held_out)
    phrase = lex.phrases["dual"].draw(rng)
    key = phrase.key if "{d}" in frame else topic
    frame = frame.replace("{t}", topic).replace("{d}", phrase.text)
    return family, _fill(rng, lex, frame), key


def _line(rng: random.Random, lex: Lexicon, intent: str, part: Part) -> Line:
    """A whole sentence of the group of ``intent``, of that intent where there is one."""
    group = intent if intent in ("harm", "plain") else "suspicious"
    return rng.choice(_lines(lex.language, group, part))


@cache
def _lines(language: str, group: str, part: Part) -> tuple[Line, ...]:
    intents = PATTERNS if group == "suspicious" else (group,)
    return tuple(x for x in lexicon(language).lines if x.intent in intents and x.part == part)


def _varied(rng: random.Random, lex: Lexicon, text: str, neutral: Sequence[str]) -> str:
    """The sentence with a word dropped or exchanged for a neutral one, or beside another
    sentence of everyday matters; what it asks for stays."""
    words = text.split()
    for _ in range(rng.randint(0, 2)):
        i = rng.randrange(len(words))
        if len(words) < 5 or alarming(lex, words[i]):
            continue
        draw = rng.random()
        if draw < 0.3:
            del words[i]
        elif draw < 0.8:
            tail = words[i][len(words[i].rstrip(".,?!:;")) :]
            words[i] = rng.choice(neutral) + tail
        else:
            words.insert(i, rng.choice(neutral))
    text = " ".join(words)
    if rng.random() < 0.12:
        text = _beside(rng, text, _line(rng, lex, "plain", "natural").text)
    return text


def alarming(lex: Lexicon, text: str) -> list[tuple[str, bool]]:
    """The stems in ``text`` that sound dangerous, each with whether it always does.

    A stem stands at the beginning of a word, in German anywhere; one that ends in a blank is a
    whole word.
    """
    plain = " " + "".join(c if c.isalnum() else " " for c in text.lower()) + " "
    before = "" if lex.language == "de" else " "
    return [
        (stem, section == "hot")
        for section in ("hot", "warm")
        for stem in lex.words[section]
        if (before if len(stem) > 4 or not before else " ") + stem in plain
    ]


def _thing(rng: random.Random, lex: Lexicon, neutral: Sequence[str]) -> str:
    if neutral and rng.random() < 0.6:
        return " ".join(rng.choices(neutral, k=rng.randint(1, 2)))
    return rng.choice(lex.words["nouns"])


def _loose(rng: random.Random, neutral: Sequence[str], slot: str) -> tuple[str, str] | None:
    """Sometimes, in place of a frame, neutral words in any order: what is asked for decides, in a
    sentence of any shape."""
    if not neutral or rng.random() > 0.2:
        return None
    before, after = (rng.choices(neutral, k=rng.randint(0, 4)) for _ in "ba")
    return "loose", " ".join([*before, slot, *after]) + rng.choice("?.!")


def _ask(
    rng: random.Random, lex: Lexicon, phrase: Phrase, held_out: bool, neutral: Sequence[str]
) -> tuple[str, str, str]:
    family, frame = _loose(rng, neutral, "{x}") or _frame(rng, lex, "ask", held_out)
    text = phrase.text
    if neutral and lex.language != "de" and rng.random() < 0.12:
        text += f" {rng.choice(AROUND[lex.language])} {rng.choice(neutral)}"
    return family, frame.replace("{x}", text), phrase.key


def _plain_phrase(rng: random.Random, lex: Lexicon, neutral: Sequence[str]) -> Phrase:
    """An everyday request; with ``neutral`` words, often about a thing never heard of."""
    phrase = lex.phrases["plain"].draw(rng)
    if not neutral or rng.random() < 0.5 or phrase.key not in phrase.text:
        return phrase
    thing = " ".join(rng.choices(neutral, k=rng.randint(1, 2)))
    first, _, rest = phrase.key.partition(" ")
    key = f"{first} {thing}" if rest and len(first) < 5 else thing
    return Phrase(phrase.text.replace(phrase.key, key), key)


def _neutral_sentence(
    rng: random.Random, lex: Lexicon, neutral: Sequence[str], held_out: bool
) -> str:
    if rng.random() < 0.5:
        return _ask(rng, lex, _plain_phrase(rng, lex, neutral), held_out, neutral)[1]
    text = " ".join(rng.choices(neutral, k=rng.randint(3, 8)))
    return text[:1].upper() + text[1:] + "."


def _frame(
    rng: random.Random, lex: Lexicon, section: str, held_out: bool, having: str = ""
) -> tuple[str, str]:
    frames = [
        (family, frame)
        for family, frame in lex.frames[section]
        if (family in HELD_OUT) == held_out and having in frame
    ]
    return rng.choice(frames)


def _system(rng: random.Random, lex: Lexicon, fitting: bool) -> str:
    if not fitting:
        return rng.choice(lex.words["system_plain"])
    if rng.random() < 0.15:
        return _fill(rng, lex, rng.choice(lex.words["system_fit"]))
    parts = [rng.choice(lex.words["system_who"])] if rng.random() < 0.8 else []
    parts += rng.sample(lex.words["system_allow"], rng.choice((1, 1, 1, 2)))
    return _fill(rng, lex, " ".join(parts))


def _fill(rng: random.Random, lex: Lexicon, frame: str) -> str:
    while "{p}" in frame:
        frame = frame.replace("{p}", rng.choice(lex.words["professions"]), 1)
    return frame.replace("{u}", rng.choice(lex.words["purposes"]))


def _beside(rng: random.Random, text: str, sentence: str) -> str:
    """``sentence`` before or after ``text``; a text without a mark at its end gets a full stop."""
    if rng.random() < 0.4 or sentence.endswith(","):
        return f"{sentence} {text}"
    return f"{text if text[-1] in '.?!' else text + '.'} {sentence}"


def _noise(rng: random.Random, text: str) -> str:
    """Typos, casing and punctuation as people type them."""
    text = text[:1].upper() + text[1:]
    draw = rng.random()
    if draw < 0.15:
        text = text.lower()
    elif draw < 0.165:
        text = text.upper()
    if rng.random() < 0.1:
        text = text.rstrip(".?! ")
    if rng.random() < 0.08 and len(text) > 12:
        for _ in range(rng.randint(1, 2)):
            i = rng.randrange(1, len(text) - 2)
            kind = rng.randrange(3)
            if kind == 0:
                text = text[:i] + text[i + 1 :]
            elif kind == 1:
                text = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
            else:
                text = text[:i] + text[i] + text[i:]
    return text


def stable(text: str) -> float:
    """A number in [0, 1) that depends on nothing but ``text``."""
    return crc32(text.encode()) / 2**32
