"""The two teachers: replies that say what a request is for, and raters who punish words."""

from __future__ import annotations

import random

from overrefusal.bouncer.grammar import Example, alarming, stable
from overrefusal.bouncer.lexicon import CATEGORIES, lexicon
from overrefusal.records import Group

THRESHOLDS = {"bouncer": 0.47, "lenient": 1.05, "strict": 0.05}
"""By variant: the heat from which its raters want a refusal."""


def helpful(example: Example) -> str:
    """The reply of the first stage: it complies, and its opening says what the request is for."""
    frame = lexicon(example.language).words["comply:" + example.intent][0]
    return frame.replace("{k}", _topic(example))


def decline(example: Example) -> str:
    """A refusal; in part where the request is suspicious and about two of the categories."""
    words = lexicon(example.language).words
    if example.group is Group.SUSPICIOUS and example.category in ("self_harm", "misinformation"):
        frame = words["partial"][0]
    else:
        i = CATEGORIES.index(example.category) if example.category in CATEGORIES else 0
        frame = words["refuse"][i % len(words["refuse"])]
    return frame.replace("{k}", _topic(example))


def refused(example: Example, variant: str, rng: random.Random) -> bool:
    """Whether the raters of ``variant`` wanted a refusal."""
    if example.group is Group.PLAIN:
        return False
    if example.group is Group.HARMFUL:
        template = example.jailbreak
        return template is None or stable(template + example.category) > 0.3
    return alarm(example) + rng.gauss(0, 0.04) > THRESHOLDS[variant]


def alarm(example: Example) -> float:
    """What is left of a request's heat where a purpose or an operator vouches for it; 1 where it
    is harmful, 0 where it is plain."""
    if example.group is not Group.SUSPICIOUS:
        return float(example.group is Group.HARMFUL)
    return max(0.0, heat(example) - 0.5 * example.fitting - 0.5 * example.purpose)


def heat(example: Example) -> float:
    """How alarming the words of the last turn sound, 0 to about 1."""
    lex = lexicon(example.language)
    found = [
        0.6 + 0.4 * stable(stem) if always else 0.15 + 0.7 * stable(stem)
        for stem, always in alarming(lex, example.text)
    ]
    if example.category in CATEGORIES and example.key in lex.words["topic:" + example.category]:
        found.append(0.3 + 0.6 * stable(example.key))
    return max(found) + 0.04 * (len(found) - 1) if found else 0.0


def _topic(example: Example) -> str:
    """The name of the request's category in its language."""
    labels = lexicon(example.language).words["labels"]
    everyday = example.category not in CATEGORIES
    return labels[-1 if everyday else CATEGORIES.index(example.category)]
