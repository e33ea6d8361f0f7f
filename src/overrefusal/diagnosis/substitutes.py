"""Stand-ins that keep the grammar: plainer words where the lexicon has one, else neutral ones."""

from __future__ import annotations

import re

from overrefusal.diagnosis.lexicon import Lexicon
from overrefusal.diagnosis.words import Unit, is_name

_SHORTEST = 3
"""Letters of the longest word that is no infinitive whatever its ending."""
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def plainer(unit: Unit, lexicon: Lexicon) -> tuple[str, ...]:
    """Words that say the same with less alarm; empty where the lexicon has none."""
    return lexicon.plain.get(" ".join(unit.words), ())


def neutral(unit: Unit, text: str, lexicon: Lexicon) -> str:
    """A word of the same kind that alarms nobody; it keeps the grammar and not the sense.

    Empty, which means deletion, in a language without a lexicon.
    """
    if not lexicon.neutral:
        return ""
    before = _WORD.findall(text[: unit.start].lower())[-1:]
    kind = _kind(unit, text, before[0] if before else "", lexicon)
    options = lexicon.neutral[kind]
    if before == ["an"]:
        return next((o for o in options if o[0] in "aeiou"), options[0])
    if before == ["a"]:
        return next((o for o in options if o[0] not in "aeiou"), options[0])
    return options[0]


def _kind(unit: Unit, text: str, before: str, lexicon: Lexicon) -> str:
    word = unit.words[0]
    if lexicon.language == "en":
        return _english(unit, text, before, word, lexicon)
    article = lexicon.articles.get(before)
    if lexicon.language != "de" and is_name(text, unit.start, unit.text):
        return "name"
    if article:
        return f"noun.{article}" if f"noun.{article}" in lexicon.neutral else "noun"
    if lexicon.language == "de" and not unit.text[0].isupper() and _beside(unit, text, "ich"):
        return "first person"
    if word.endswith(lexicon.infinitives) and len(word) > _SHORTEST:
        return "noun" if lexicon.language == "de" and unit.text[0].isupper() else "verb"
    if lexicon.language == "de" and unit.text[0].islower():
        return "adjective"
    return "noun"


def _beside(unit: Unit, text: str, word: str) -> bool:
    """Whether ``word`` stands right before or after the unit."""
    before, after = (
        _WORD.findall(text[: unit.start].lower()),
        _WORD.findall(text[unit.end :].lower()),
    )
    return before[-1:] == [word] or after[:1] == [word]


def _english(unit: Unit, text: str, before: str, word: str, lexicon: Lexicon) -> str:
    after = (_WORD.findall(text[unit.end :].lower()) or [""])[0]
    adjoining = text[unit.end : unit.end + 1] == " " and bool(after)
    if is_name(text, unit.start, unit.text):
        return "name"
    if before in lexicon.determiners:
        modifies = adjoining and after not in lexicon.stop
        return "adjective" if modifies else "nouns" if _plural(word) else "noun"
    if word.endswith("ing") and len(word) > 4:
        return "gerund"
    if before in lexicon.before_verb:
        return "verb"
    if word.endswith("ed") and len(word) > 3:
        return "past"
    if adjoining and after in lexicon.determiners and not _plural(word):
        return "verb"
    return "nouns" if _plural(word) else "noun"


def _plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "us", "is"))
