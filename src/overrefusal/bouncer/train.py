"""Training Bouncer from scratch: a tokenizer, a helpful language model, cautious variants.

Stage one trains every weight on replies that name what a request is for. Stage two trains the
blocks, not the embedding, on what raters wanted: ``bouncer`` from the helpful model, the other
variants from ``bouncer``. In both, an auxiliary linear head reads intent and category off the
prompt's tokens; it is thrown away in the end.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from overrefusal.bouncer import corpus, folder
from overrefusal.bouncer.grammar import Example
from overrefusal.bouncer.lexicon import CATEGORIES
from overrefusal.bouncer.raters import cautious, helpful
from overrefusal.bouncer.shape import Shape
from overrefusal.bouncer.tokens import PATTERN, SPECIAL
from overrefusal.bouncer.torch_llama import TorchLlama
from overrefusal.errors import OverrefusalError

PROMPT_SHARE = 0.12
"""Share of a prompt's tokens that the language model of stage one is trained to predict."""
CHECKPOINT_S = 60.0
HEAD_WEIGHT = 1.0
"""Weight of the auxiliary head's loss."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is trained."""

    seed: int = 0
    helpful_rows: int = 36_000
    second_rows: int = 40_000
    cautious_rows: int = 16_000
    variant_rows: int = 3_000
    batch_tokens: int = 768
    helpful_rate: float = 2e-3
    cautious_rate: float = 1e-3
    shape: Shape = field(default_factory=Shape)


def train(out: Path, plan: Plan) -> None:
    """Trains everything into the folder ``out``; a run that was cut off goes on where it was.

    Raises:
        OverrefusalError: ``out`` holds an unfinished run of another plan, or cannot be written.
    """
    _claim(out, plan)
    torch.manual_seed(plan.seed)
    words = corpus.neutral_words()
    tokenizer_file = out / "tokenizer.json"
    if not tokenizer_file.exists():
        _say("tokenizer")
        _write_tokenizer(tokenizer_file, plan, words)
    encode = _encoder(tokenizer_file)
    network = Network(plan.shape)
    stages = (
        ("first", "helpful", plan.helpful_rows, plan.helpful_rate, None),
        ("helpful", "helpful", plan.second_rows, plan.helpful_rate * 0.75, "first"),
        ("bouncer", "bouncer", plan.cautious_rows, plan.cautious_rate, "helpful"),
        ("lenient", "lenient", plan.variant_rows, plan.cautious_rate, "bouncer"),
        ("strict", "strict", plan.variant_rows, plan.cautious_rate, "bouncer"),
    )
    for name, variant, rows, rate, parent in stages:
        file = _stage_file(out, name)
        if file.exists():
            continue
        if parent is not None:
            network.load_state_dict(load_file(_stage_file(out, parent)))
        cautious_stage = variant != "helpful"
        network.model.embed_tokens.weight.requires_grad_(not cautious_stage)
        network.model.norm.requires_grad_(not cautious_stage)
        weights = corpus.LANGUAGE_WEIGHTS if parent is None else corpus.GERMAN_WEIGHTS
        reply: Callable[[Example, random.Random], str] = partial(_reply, variant)
        data = corpus.rows(rows, f"{name}/{plan.seed}", words, reply, encode, weights)
        _fit(network, name, data, plan, rate, 0.0 if cautious_stage else PROMPT_SHARE, file)
        _save(file, dict(network.state_dict()))
    folder.write(out, plan.shape, {v: _stage_weights(out, v) for v in folder.VARIANTS})


class Network(nn.Module):
    """The model and the auxiliary head on its last residual stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.model = TorchLlama(shape)
        self.head = nn.Linear(shape.hidden, len(corpus.INTENTS) + len(CATEGORIES) + 1)


def _reply(variant: str, example: Example, rng: random.Random) -> str:
    return helpful(example) if variant == "helpful" else cautious(example, variant, rng)


def _stage_file(out: Path, variant: str) -> Path:
    return out / "work" / f"{variant}.safetensors"


def _stage_weights(out: Path, variant: str) -> dict[str, folder.Array]:
    tensors = load_file(_stage_file(out, variant))
    return {
        k.removeprefix("model."): t.numpy() for k, t in tensors.items() if k.startswith("model.")
    }


def _batches(rows: list[corpus.Row], tokens: int, seed: str) -> Iterator[list[corpus.Row]]:
    """Batches of rows of about one length, ``tokens`` with the padding, in random order."""
    rng = random.Random(seed)
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i].ids), rng.random()))
    batches: list[list[corpus.Row]] = [[]]
    for i in order:
        if (len(batches[-1]) + 1) * len(rows[i].ids) > tokens:
            batches.append([])
        batches[-1].append(rows[i])
    rng.shuffle(batches)
    yield from batches


def _fit(
    network: Network,
    name: str,
    rows: list[corpus.Row],
    plan: Plan,
    rate: float,
    prompt_share: float,
    file: Path,
) -> None:
    """One pass over ``rows`` with AdamW; resumes where ``file`` has a checkpoint beside it."""
    parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    batches = list(_batches(rows, plan.batch_tokens, f"{name}/{plan.seed}"))
    checkpoint = file.with_suffix(".checkpoint")
    start = _resume(checkpoint, parameters, optimizer)
    began = saved = shown = time.monotonic()
    total = 0.0
    for step, batch in enumerate(batches):
        if step < start:
            continue
        warm, left = min(1.0, (step + 1) / 60), 1 - step / len(batches)
        optimizer.param_groups[0]["lr"] = rate * warm * (0.03 + 0.97 * left)
        ids, where, weight = _tensors(batch, prompt_share, f"{name}/{plan.seed}/{step}")
        stream = network.model.hidden(ids[:, :-1])[-1]
        logits = network.model.logits(stream[where])
        losses = F.cross_entropy(logits, ids[:, 1:][where], reduction="none")
        loss = (losses * weight).sum() / weight.sum()
        known = _known(network.head, stream, batch)
        optimizer.zero_grad()
        (loss + HEAD_WEIGHT * known).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        total = 0.98 * total + 0.02 * loss.item()
        now = time.monotonic()
        if now - shown > 20 or step == len(batches) - 1:
            shown = now
            mean = total / (1 - 0.98 ** (step - start + 1))
            rest = (now - began) / (step - start + 1) * (len(batches) - step - 1)
            _say(f"{name}: step {step + 1}/{len(batches)}, loss {mean:.3f}, {rest:.0f} s left")
        if now - saved > CHECKPOINT_S:
            saved = now
            _checkpoint(checkpoint, parameters, optimizer, step + 1)
    checkpoint.unlink(missing_ok=True)


def _tensors(
    batch: list[corpus.Row], prompt_share: float, seed: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (rows, tokens), the mask of predicted positions, the weights of these positions.

    The first tokens of a reply decide what it does; they weigh more than the rest.
    """
    width = max(len(r.ids) for r in batch)
    rng = np.random.default_rng(list(seed.encode()))
    ids = np.zeros((len(batch), width), dtype=np.int64)
    where = rng.random((len(batch), width - 1)) < prompt_share
    weight = np.full((len(batch), width - 1), 0.4, dtype=np.float32)
    for i, row in enumerate(batch):
        n = len(row.ids)
        ids[i, :n] = row.ids
        where[i, row.reply - 1 : n - 1] = True
        where[i, n - 1 :] = False
        weight[i, row.reply - 1 :] = 1.0
        weight[i, row.reply - 1 : row.reply + 2] = 3.0
    mask = torch.from_numpy(where)
    return torch.from_numpy(ids), mask, torch.from_numpy(weight)[mask]


def _known(head: nn.Linear, stream: Tensor, batch: list[corpus.Row]) -> Tensor:
    """The auxiliary loss: intent and category, from the second half of each prompt's tokens."""
    row = [i for i, r in enumerate(batch) for _ in range(r.reply // 2, r.reply)]
    token = [j for r in batch for j in range(r.reply // 2, r.reply)]
    scores = head(stream[row, token])
    n = len(corpus.INTENTS)
    intent = torch.tensor([batch[i].intent for i in row])
    category = torch.tensor([batch[i].category for i in row])
    return F.cross_entropy(scores[:, :n], intent) + 0.5 * F.cross_entropy(scores[:, n:], category)


def _checkpoint(
    path: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, step: int
) -> None:
    tensors = {"step": torch.tensor(step)}
    for name, parameter in parameters.items():
        state = optimizer.state[parameter]
        tensors[f"{name}/value"] = parameter.detach()
        tensors[f"{name}/mean"], tensors[f"{name}/square"] = state["exp_avg"], state["exp_avg_sq"]
    _save(path, tensors)


def _resume(
    path: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> int:
    """The step to go on from; 0 where there is no checkpoint."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    step = int(tensors["step"])
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[f"{name}/value"])
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step)),
            "exp_avg": tensors[f"{name}/mean"],
            "exp_avg_sq": tensors[f"{name}/square"],
        }
    _say(f"{path.name}: going on from step {step}")
    return step


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    part = path.with_suffix(".part")
    save_file({k: t.contiguous() for k, t in tensors.items()}, part)
    os.replace(part, path)


def _claim(out: Path, plan: Plan) -> None:
    """Makes the folder and notes the plan in it."""
    text = json.dumps(asdict(plan), sort_keys=True, indent=1)
    note = out / "work" / "plan.json"
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        if note.exists() and note.read_text() != text:
            raise OverrefusalError(
                f"{note}: this folder holds a training run with other settings;"
                " name another folder with --out, or delete this one"
            )
        note.write_text(text)
    except OSError as e:
        raise OverrefusalError(
            f"{out}: cannot be written ({e.strerror}); name another folder with --out"
        ) from e


def _write_tokenizer(path: Path, plan: Plan, words: dict[str, list[str]]) -> None:
    """Byte-level BPE (Sennrich et al., 2016) on the grammar's text and the neutral words."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    texts: list[str] = []
    for e in corpus.examples(40_000, f"tokenizer/{plan.seed}", words):
        texts += [m.content for m in corpus.conversation(e)]
        texts.append(helpful(e))
    for listed in words.values():
        texts += [" " + w for w in listed[:4000]] * 2
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=plan.shape.vocab,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    part = path.with_suffix(".part")
    tokenizer.save(str(part), pretty=False)
    os.replace(part, path)


def _encoder(path: Path) -> Callable[[list[str]], list[list[int]]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))

    def encode(texts: list[str]) -> list[list[int]]:
        return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]

    return encode


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
