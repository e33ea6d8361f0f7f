"""What the models of the local judge see, as arrays over a batch of responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from overrefusal.judges.local.reading import (
    CLASS_ID,
    CLASS_NAMES,
    PROMPT_CHARS,
    Reading,
    Vocabulary,
    tokens,
)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BUCKET_BITS = 17
BUCKETS = 1 << BUCKET_BITS
HEAD_SENTENCES = 3
ACTS: tuple[str, ...] = (
    "declines",
    "apologises",
    "redirects",
    "lectures",
    "answers",
    "asks_back",
    "stalls",
    "cautions",
    "hedges",
)
_N = len(CLASS_NAMES)
_BREAKS = [CLASS_ID[c] for c in ("newline", "list", "heading")]
_ENDS = [CLASS_ID[c] for c in ("end", "question")]
_MARKS = [CLASS_ID[c] for c in ("newline", "list", "heading", "end", "quote", "colon", "mark")]
_SKELETON_DROPS = [CLASS_ID[c] for c in ("content", "function", "quote", "mark", "newline")]
_MIX = np.uint64(0x9E3779B97F4A7C15)
_MIX2 = np.uint64(0xC2B2AE3D27D4EB4F)


def _distinct(keys: Ints) -> Ints:
    """As ``np.unique``, by sorting, which is several times faster here than its hashing."""
    ordered = np.sort(keys)
    out: Ints = ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered
    return out


def _lookup(ids: list[int]) -> npt.NDArray[np.bool_]:
    table = np.zeros(_N, dtype=np.bool_)
    table[ids] = True
    return table


_IS_BREAK, _IS_END, _IS_MARK = _lookup(_BREAKS), _lookup(_ENDS), _lookup(_MARKS)
_IN_SKELETON = ~_lookup(_SKELETON_DROPS)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sentences of a batch of responses, and their hashed n-grams.

    ``S`` sentences, ``R`` responses.
    """

    responses: int
    sentence_response: Ints
    """(S,) response of each sentence, ascending."""
    sentence_rank: Ints
    """(S,) place of the sentence in its response, from 0."""
    sentence_tokens: tuple[Ints, Ints]
    """(S,) first token and (S,) last token of each sentence, as places in the batch."""
    response_tokens: Ints
    """(R + 1,) where each response's tokens begin."""
    gram_sentence: Ints
    gram_key: npt.NDArray[np.uint64]
    """Hashed n-grams, once per sentence: of words, and of the classes of words."""
    prompt_owner: Ints
    prompt_key: npt.NDArray[np.uint64]
    """Hashed n-grams of the prompts."""
    dense: Floats
    """(R, ``len(DENSE_NAMES)``) counts, shares and overlaps."""


DENSE_NAMES: tuple[str, ...] = (
    "log_tokens",
    "log_sentences",
    "mean_sentence",
    "list_items",
    "headings",
    "questions",
    "code_share",
    "quoted_share",
    "distinct_share",
    "content_share",
    "content_new",
    "prompt_echo",
    "prompt_echo_head",
    "novel_stems",
    "prompt_length",
    "prompt_question",
    "self_denial_first",
    "self_denial_second",
    "self_denials",
    "self_denial_last",
    *(f"share_{c}" for c in CLASS_NAMES),
    *(f"head_{c}" for c in CLASS_NAMES),
    *(f"prompt_{c}" for c in CLASS_NAMES),
)


@dataclass(frozen=True, slots=True)
class _Stream:
    ids: npt.NDArray[np.int64]
    owner: Ints
    offsets: Ints


def _stream(texts: Sequence[str], vocabulary: Vocabulary) -> _Stream:
    lookup = vocabulary.__getitem__
    lists = [list(map(lookup, tokens(text))) for text in texts]
    lengths = np.array([len(one) for one in lists], dtype=np.int64)
    ids = np.fromiter((i for one in lists for i in one), dtype=np.int64, count=int(lengths.sum()))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return _Stream(ids, np.repeat(np.arange(len(texts)), lengths), offsets)


def featurise(readings: Sequence[Reading], prompts: Sequence[str], vocabulary: Vocabulary) -> Batch:
    """Tokens, sentences, n-grams and dense features of a batch; ``prompts`` may hold ''."""
    vocabulary.make_room()
    stream = _stream([r.text for r in readings], vocabulary)
    prompt = _stream([p[:PROMPT_CHARS].lower().replace("’", "'") for p in prompts], vocabulary)
    hashes = np.array(vocabulary.hashes, dtype=np.uint64)
    stems = np.array(vocabulary.stems, dtype=np.int64)
    all_classes = np.array(vocabulary.classes, dtype=np.int64)
    count = len(readings)
    classes = all_classes[stream.ids]
    owner = stream.owner
    quoted = _quoted(classes, owner, stream.offsets)
    sentence, sentence_response, rank = _sentences(classes, owner, quoted)
    first = np.full(len(sentence_response), -1, dtype=np.int64)
    last = np.full(len(sentence_response), -1, dtype=np.int64)
    inside = np.flatnonzero(sentence >= 0)
    last[sentence[inside]] = inside
    first[sentence[inside[::-1]]] = inside[::-1]
    gram_sentence, gram_key = _grams(hashes[stream.ids], classes, sentence)
    prompt_classes = all_classes[prompt.ids]
    prompt_owner, prompt_key = _grams(hashes[prompt.ids], prompt_classes, prompt.owner)
    dense = _dense(readings, stream, prompt, classes, prompt_classes, stems, sentence, rank, quoted)
    return Batch(
        responses=count,
        sentence_response=sentence_response,
        sentence_rank=rank,
        sentence_tokens=(first, last),
        response_tokens=stream.offsets,
        gram_sentence=gram_sentence,
        gram_key=gram_key,
        prompt_owner=prompt_owner,
        prompt_key=prompt_key,
        dense=dense,
    )


def _quoted(classes: Ints, owner: Ints, offsets: Ints) -> npt.NDArray[np.bool_]:
    """Tokens between quotation marks of one paragraph, four words or more of them."""
    marks = classes == CLASS_ID["quote"]
    paragraph = np.cumsum(_IS_BREAK[classes] | np.diff(owner, prepend=-1).astype(bool))
    opened = np.cumsum(marks)
    starts = np.flatnonzero(np.diff(paragraph, prepend=0))
    before = np.where(starts > 0, opened[starts - 1], 0)
    within = opened - before[paragraph - 1]
    odd = (within % 2 == 1) & ~marks
    # Runs of quoted tokens: short ones are titles and terms, which belong to the sentence.
    edge = np.flatnonzero(np.diff(odd, prepend=False, append=False))
    begin, end = edge[::2], edge[1::2]
    # An opening mark that nothing closes in its paragraph quotes nothing.
    closed = np.zeros(len(begin), dtype=bool)
    inside = end < len(classes)
    closed[inside] = marks[end[inside]]
    keep = closed & (end - begin >= 4)
    change = np.zeros(len(classes) + 1, dtype=np.int64)
    np.add.at(change, begin[keep], 1)
    np.add.at(change, end[keep], -1)
    quoted = np.cumsum(change[:-1]) > 0
    # A response that is nearly all quotation is its own words in quotation marks.
    total = np.maximum(np.diff(offsets), 1)
    share = np.bincount(owner, weights=quoted, minlength=len(total)) / total
    return quoted & (share <= 0.85)[owner]


def _sentences(
    classes: Ints, owner: Ints, quoted: npt.NDArray[np.bool_]
) -> tuple[Ints, Ints, Ints]:
    ended = np.zeros(len(classes), dtype=bool)
    ended[1:] = _IS_END[classes[:-1]] & ~quoted[:-1]
    fresh = _IS_BREAK[classes] | ended
    fresh |= np.diff(owner, prepend=-1).astype(bool)
    raw = np.cumsum(fresh)
    word = ~_IS_MARK[classes] & ~quoted
    kept, dense_id = np.unique(raw[word], return_inverse=True)
    sentence = np.full(len(classes), -1, dtype=np.int64)
    sentence[word] = dense_id
    # Marks that carry meaning (a question mark, a bullet) belong to their sentence.
    place = np.searchsorted(kept, raw)
    place_ok = place < len(kept)
    same = np.zeros(len(classes), dtype=bool)
    same[place_ok] = kept[place[place_ok]] == raw[place_ok]
    sentence[same & ~quoted] = place[same & ~quoted]
    response = np.zeros(len(kept), dtype=np.int64)
    response[sentence[sentence >= 0]] = owner[sentence >= 0]
    first_of = np.searchsorted(response, np.arange(int(owner[-1]) + 1 if len(owner) else 0))
    rank = np.arange(len(kept)) - first_of[response] if len(kept) else np.zeros(0, dtype=np.int64)
    return sentence, response, rank


def _chain(
    keys: npt.NDArray[Any], sentence: Ints, longest: int, salt: int
) -> tuple[list[Any], list[Any]]:
    sentences: list[Any] = []
    found: list[Any] = []
    key = (keys + np.uint64(salt)) * _MIX
    running = key
    for n in range(1, longest + 1):
        if n > 1:
            running = (running[:-1] ^ (running[:-1] >> np.uint64(29))) * _MIX2 + key[n - 1 :]
            same = sentence[n - 1 :] == sentence[: len(running)]
        else:
            same = np.ones(len(running), dtype=bool)
        sentences.append(sentence[: len(running)][same])
        found.append(running[same])
    return sentences, found


def _grams(hashes: Any, classes: Ints, sentence: Ints) -> tuple[Ints, npt.NDArray[np.uint64]]:
    inside = sentence >= 0
    words = inside & (classes != CLASS_ID["quote"]) & (classes != CLASS_ID["mark"])
    owners, keys = _chain(hashes[words], sentence[words], 3, 1)
    bones = inside & _IN_SKELETON[classes]
    o, k = _chain(classes[bones].astype(np.uint64), sentence[bones], 4, 7919)
    gram_sentence = np.concatenate(owners + o)
    key = np.concatenate(keys + k)
    key = (key ^ (key >> np.uint64(32))) * _MIX
    return gram_sentence, key >> np.uint64(24)


def _shares(classes: Ints, owner: Ints, count: int, chosen: Any) -> Floats:
    table = np.bincount(owner[chosen] * _N + classes[chosen], minlength=count * _N)
    table = table.reshape(count, _N).astype(np.float32)
    shares: Floats = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    return shares


def _dense(
    readings: Sequence[Reading],
    stream: _Stream,
    prompt: _Stream,
    classes: Ints,
    prompt_classes: Ints,
    stems: Ints,
    sentence: Ints,
    rank: Ints,
    quoted: npt.NDArray[np.bool_],
) -> Floats:
    count = len(readings)
    owner = stream.owner
    words = ~_IS_MARK[classes]

    def per(chosen: Any) -> npt.NDArray[np.float64]:
        return np.bincount(owner[chosen], minlength=count).astype(np.float64)

    total = np.maximum(per(words), 1)
    spoken = words & ~quoted
    head = spoken.copy()
    head[sentence < 0] = False
    head[head] = rank[sentence[head]] < 2
    last_of = np.zeros(count)
    if len(rank):
        at = sentence >= 0
        np.maximum.at(last_of, owner[at], rank[sentence[at]] + 1)
    content = (classes == CLASS_ID["content"]) | (classes == CLASS_ID["foreign"])
    # Overlap with the prompt, on the first letters of words that carry its topic.
    prompt_topic = (prompt_classes == CLASS_ID["content"]) | (prompt_classes == CLASS_ID["harm"])
    asked = _distinct((prompt.owner[prompt_topic] << 32) | stems[prompt.ids[prompt_topic]])
    key = (owner << 32) | stems[stream.ids]
    echo = np.isin(key, asked) & spoken
    asked_count = np.maximum(np.bincount(asked >> 32, minlength=count), 1)
    echoed = np.bincount(_distinct(key[echo]) >> 32, minlength=count)
    echoed_head = np.bincount(_distinct(key[echo & head]) >> 32, minlength=count)
    fresh = np.bincount(_distinct(key[content & ~echo & spoken]) >> 32, minlength=count)
    distinct = np.bincount(_distinct(key[words]) >> 32, minlength=count)
    code = np.array([r.code_chars for r in readings], dtype=np.float64)
    length = np.array([max(len(r.text), 1) for r in readings], dtype=np.float64)
    prompt_total = np.bincount(prompt.owner, minlength=count)
    columns = [
        np.log1p(total),
        np.log1p(last_of),
        total / np.maximum(last_of, 1),
        np.minimum(per(classes == CLASS_ID["list"]), 20),
        np.minimum(per(classes == CLASS_ID["heading"]), 10),
        np.minimum(per(classes == CLASS_ID["question"]), 10),
        code / length,
        per(quoted) / total,
        distinct / total,
        per(content) / total,
        np.log1p(fresh),
        echoed / asked_count,
        echoed_head / asked_count,
        fresh / total,
        np.log1p(prompt_total),
        np.bincount(prompt.owner[prompt_classes == CLASS_ID["question"]], minlength=count) > 0,
    ]
    columns += _self_denials(classes, sentence, rank, owner, count)
    prompt_shares = _shares(prompt_classes, prompt.owner, count, slice(None))
    dense = np.concatenate(
        (
            np.stack(columns, axis=1),
            _shares(classes, owner, count, spoken),
            _shares(classes, owner, count, head),
            prompt_shares,
        ),
        axis=1,
    )
    return np.asarray(dense, dtype=np.float32)


def _self_denials(
    classes: Ints, sentence: Ints, rank: Ints, owner: Ints, count: int
) -> list[npt.NDArray[np.float64]]:
    """Sentences in which the speaker denies help: first, second, how many, last."""
    held = sentence >= 0
    number = len(rank)

    def has(*names: str) -> npt.NDArray[np.bool_]:
        table = _lookup([CLASS_ID[name] for name in names])
        found = np.zeros(number, dtype=np.bool_)
        found[sentence[held & table[classes]]] = True
        return found

    denies = has("cannot", "refuse") | (has("not") & has("can", "will", "help", "provide"))
    denies &= has("i", "we") & has("help", "provide", "request", "this", "refuse", "policy")
    response = np.zeros(number, dtype=np.int64)
    response[sentence[held]] = owner[held]
    out = []
    for place in (0, 1):
        column = np.zeros(count)
        column[response[denies & (rank == place)]] = 1
        out.append(column)
    out.append(np.minimum(np.bincount(response[denies], minlength=count), 5).astype(np.float64))
    final = np.zeros(count)
    if number:
        ends = np.append(response[1:] != response[:-1], True)
        final[response[ends & denies]] = 1
    out.append(final)
    return out


def sentence_grams(batch: Batch) -> tuple[Ints, Ints]:
    """Sentence and bucket of every distinct n-gram, for the model of acts."""
    buckets = (batch.gram_key & np.uint64(BUCKETS - 1)).astype(np.int64)
    key = _distinct((batch.gram_sentence << BUCKET_BITS) | buckets)
    return key >> BUCKET_BITS, key & (BUCKETS - 1)


def prompt_grams(batch: Batch) -> tuple[Ints, Ints]:
    """Response and bucket of every distinct n-gram of the prompts."""
    buckets = (batch.prompt_key & np.uint64(BUCKETS - 1)).astype(np.int64)
    key = _distinct((batch.prompt_owner << BUCKET_BITS) | buckets)
    return key >> BUCKET_BITS, key & (BUCKETS - 1)


def response_grams(batch: Batch) -> tuple[Ints, Ints]:
    """Response and bucket of every distinct n-gram; the first sentences have their own."""
    head = batch.sentence_rank[batch.gram_sentence] < HEAD_SENTENCES
    salted = batch.gram_key + np.where(head, np.uint64(0), np.uint64(0x5BD1E995))
    salted = (salted * _MIX2) >> np.uint64(20)
    buckets = (salted & np.uint64(BUCKETS - 1)).astype(np.int64)
    key = _distinct((batch.sentence_response[batch.gram_sentence] << BUCKET_BITS) | buckets)
    return key >> BUCKET_BITS, key & (BUCKETS - 1)
