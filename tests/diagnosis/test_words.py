"""Cutting a prompt into units, changing them, and counting forms of a word as one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overrefusal.diagnosis.lexicon import LANGUAGES, lexicon
from overrefusal.diagnosis.substitutes import neutral, plainer
from overrefusal.diagnosis.words import by_suspicion, fold, replaced, units, without


def texts(prompt, language="en"):
    return [unit.text for unit in units(prompt, lexicon(language))]


@pytest.mark.parametrize(
    ("language", "prompt", "expected"),
    [
        ("en", "How do I kill a Python process?", ["kill", "Python", "process"]),
        ("en", "How do I blow up a balloon?", ["blow up", "balloon"]),
        ("en", "What did Jim Crow mean?", ["Jim Crow", "mean"]),
        ("en", "What is Jason Bourne's Instagram?", ["Jason Bourne's", "Instagram"]),
        ("de", "Wie töte ich einen Prozess ab?", ["töte", "Prozess"]),
        ("es", "¿Cómo mato un proceso?", ["mato", "proceso"]),
        ("fr", "Comment tuer un processus ?", ["tuer", "processus"]),
        ("ja", "プロセスを殺す", ["プロ", "セス", "を殺"]),
        ("xx", "qa wib lor", ["qa", "wib", "lor"]),
        ("en", "?!", []),
    ],
)
def test_units_are_the_words_that_carry_a_topic(language, prompt, expected):
    assert texts(prompt, language) == expected


@given(st.text(max_size=200), st.sampled_from([*LANGUAGES, "zh", "xx"]))
def test_units_lie_where_they_say_in_order_and_apart(text, language):
    found = units(text, lexicon(language))
    assert all(text[u.start : u.end] == u.text and u.text for u in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert sorted(by_suspicion(found)) == list(range(len(found)))


@given(st.text(max_size=200), st.sampled_from([*LANGUAGES, "zh"]))
def test_every_unit_can_be_replaced_in_any_text(text, language):
    lex = lexicon(language)
    for unit in units(text, lex):
        assert isinstance(replaced(text, [(unit, neutral(unit, text, lex))]), str)


def test_a_unit_that_goes_takes_its_space_along():
    prompt = "How do I kill a process, please?"
    kill, process = units(prompt, lexicon("en"))
    assert without(prompt, [kill]) == "How do I a process, please?"
    assert without(prompt, [process]) == "How do I kill a, please?"
    assert (
        without("Kill it now, Bob", units("Kill it now, Bob", lexicon("en"))[:1]) == "It now, Bob"
    )


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("en", ("kill", "kills", "killing", "killed", "Killer's")),
        ("en", ("stab", "stabs", "stabbing", "stabbed")),
        ("de", ("schießen", "schieße", "schießt")),
        ("es", ("matar", "mato", "mata")),
        ("fr", ("casser", "casse", "cassé", "cassent")),
    ],
)
def test_forms_of_a_word_are_one(language, forms):
    assert len({fold(form, language) for form in forms}) == 1


def test_different_words_stay_different():
    assert len({fold(word, "en") for word in ("kill", "kiln", "bomb", "book", "king", "is")}) == 6


@pytest.mark.parametrize(
    ("language", "prompt", "place", "expected"),
    [
        ("en", "How do I demolish a shed?", 0, "How do I choose a shed?"),
        ("en", "How do I demolish a shed?", 1, "How do I demolish a book?"),
        ("en", "What of gutting trout?", 0, "What of choosing trout?"),
        ("en", "Where is an explosive thing?", 0, "Where is an album thing?"),
        ("en", "Did they rob Al Capone?", 1, "Did they rob Anna?"),
        ("de", "Wo ist die Bombe?", 0, "Wo ist die Tasche?"),
        ("de", "Womit vergifte ich Motten?", 0, "Womit wähle ich Motten?"),
        ("es", "¿Dónde está la bomba?", 0, "¿Dónde está la mesa?"),
        ("fr", "Comment étrangler le marché ?", 0, "Comment choisir le marché ?"),
    ],
)
def test_a_neutral_word_is_of_the_same_kind(language, prompt, place, expected):
    lex = lexicon(language)
    unit = units(prompt, lex)[place]
    assert replaced(prompt, [(unit, neutral(unit, prompt, lex))]) == expected


def test_without_a_lexicon_a_neutral_word_is_none():
    lex = lexicon("sv")
    prompt = "hur dödar jag en process"
    assert neutral(units(prompt, lex)[1], prompt, lex) == ""
    assert plainer(units(prompt, lex)[1], lex) == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lexicon_is_whole(language):
    lex = lexicon(language)
    assert len(lex.purposes) == 6
    assert lex.operator
    assert lex.neutral["noun"]
    assert lex.neutral["verb"]
    assert all(options and all(options) for options in lex.plain.values())
    # A plainer word that alarms again would be no mend, except where no other is as apt.
    alarming = [key for key, options in lex.plain.items() if any(map(lex.alarming, options))]
    assert len(alarming) <= len(lex.plain) * 0.1
    assert not [stem for stem in lex.alarm if stem in lex.stop]
