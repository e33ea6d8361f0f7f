"""The phrases by which the rules tell what a reply does, one module a language."""

import re
from collections import defaultdict

from overrefusal.judges.phrases import de, en, es, fr
from overrefusal.judges.phrases.phrase import Hit, Phrase, find

_BEGINNING = re.compile(r"\b[\w'][\w']{0,4}")


def find_all(text: str) -> list[Hit]:
    """All that ``text`` (in lower case, with straight apostrophes) does, in order.

    Seven hundred substring searches would take longer than all else together, so only phrases
    whose longest word begins as some word of the text does are looked for.
    """
    present = _INDEX.keys() & set(_BEGINNING.findall(text))
    hits = [hit for key in present for phrase in _INDEX[key] for hit in find(phrase, text)]
    hits.sort()
    return hits


def _index(phrases: tuple[Phrase, ...]) -> dict[str, list[Phrase]]:
    index: dict[str, list[Phrase]] = defaultdict(list)
    for phrase in phrases:
        longest = max(re.findall(r"[\w']+", phrase.literal), key=len)
        index[longest[:5]].append(phrase)
    return dict(index)


_INDEX = _index((*en.PHRASES, *de.PHRASES, *es.PHRASES, *fr.PHRASES))
