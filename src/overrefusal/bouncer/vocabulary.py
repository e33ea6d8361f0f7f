"""Training Bouncer's tokenizer: byte-level BPE (Sennrich et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from overrefusal.bouncer import corpus
from overrefusal.bouncer.grammar import Words
from overrefusal.bouncer.lexicon import LANGUAGES, lexicon
from overrefusal.bouncer.raters import helpful
from overrefusal.bouncer.tokens import PATTERN, SPECIAL
from overrefusal.files import write_whole


def write(path: Path, size: int, seed: int, words: Words) -> None:
    """Trains ``size`` tokens on the grammar's text and the neutral words by language."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    texts: list[str] = []
    for e in corpus.examples(25_000, f"tokenizer/{seed}", words):
        texts += [m.content for m in corpus.conversation(e)]
        texts.append(helpful(e))
    for listed in words.values():
        for rank, word in enumerate(listed[:8000]):
            texts += [" " + word] * (1 + 2000 // (rank + 200))
    for language in LANGUAGES:
        texts += 3 * [x.text for x in lexicon(language).lines if x.part == "natural"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    write_whole(path, tokenizer.to_str())


def encoder(path: Path) -> Callable[[list[str]], list[list[int]]]:
    """What turns texts into ids by the tokenizer at ``path``."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))

    def encode(texts: list[str]) -> list[list[int]]:
        return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]

    return encode
