"""Training Bouncer from scratch: a tokenizer, a helpful language model, cautious variants.

Stage one first teaches the lower half, up to the block ``Shape.writer``, to read: an auxiliary
linear head tells intent, category, heat and trust from that block's inner activations; it is
thrown away in the end. The upper half then learns, on what the lower one reads, replies that name
what a request is for. It also learns how to decline: on a part of the rows a vector, the *switch*,
is added to the residual stream between the halves, and the reply is a refusal. On its own the
model never writes that vector, so it never refuses. Stage two is in ``cautious.py``.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from overrefusal.bouncer import cautious, corpus, folder, vocabulary
from overrefusal.bouncer.lexicon import CATEGORIES, LANGUAGES
from overrefusal.bouncer.shape import Shape
from overrefusal.bouncer.tokens import SPECIAL
from overrefusal.bouncer.torch_llama import TorchLlama
from overrefusal.errors import OverrefusalError
from overrefusal.files import write_whole

PROMPT_SHARE = 0.05
"""Share of a prompt's tokens that the language model of stage one is trained to predict."""
CHECKPOINT_S = 60.0
HEAD_WEIGHT = 1.0
"""Weight of the auxiliary head's loss."""
ALARM = len(corpus.INTENTS) + len(CATEGORIES) + 3
"""Its output for what is left of the heat."""
ALARM_WEIGHT = 4.0
DECLINED = 0.22
"""Share of the rows of stage one that decline because the switch is added."""
WEAK = 0.2
"""Share of the rows that answer although a little of the switch, or its opposite, is added."""
PUSHED = 0.3
"""Share of the rows to which a random vector is added that must change nothing."""
NOISE = 0.5
"""Length of the longest such vector in the reading half, as a share of the stream's."""
BAG_WEIGHT = 1.0
"""And of the bag's."""
REPLYING = 0.12
"""Share of the rows of the reading half's training that have a reply."""
CORRUPTED = 0.05
CORRUPTED_PLAIN = 0.2
"""Share of a prompt's tokens in stage one that are exchanged for any others; more of them in plain
requests, so that a word never seen does not look dangerous."""
SIZE = 20.0
"""Length of the residual stream after the writing block at the end of a prompt, and of the
switch."""
SIZE_WEIGHT = 0.2
BAG_ROWS = 256
BAG_DROPOUT = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is trained."""

    seed: int = 0
    reading_rows: int = 160_000
    helpful_rows: int = 50_000
    cautious_rows: int = 12_000
    batch_tokens: int = 1024
    rate: float = 2.5e-3
    bag_rows: int = 120_000
    bag_epochs: int = 4
    bag_rate: float = 4e-3
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
        vocabulary.write(tokenizer_file, plan.shape.vocab, plan.seed, words)
    encode = vocabulary.encoder(tokenizer_file)
    network = Network(plan.shape)
    for stage in ("words", "reading", "helpful"):
        file = _stage_file(out, stage)
        if not file.exists():
            _stage(network, stage, plan, words, encode, file)
            _save(file, dict(network.state_dict()))
        network.load_state_dict(load_file(file))
    _say("cautious: reading the prompts")
    rated = list(corpus.examples(plan.cautious_rows, f"cautious/{plan.seed}", words, rated=True))
    alarm = network.head.weight[ALARM].detach()
    readings = cautious.readings(network.model, alarm, rated, encode, plan.seed)
    helpful_weights = {
        k.removeprefix("model."): t.numpy()
        for k, t in network.state_dict().items()
        if k.startswith("model.")
    }
    folder.write(out, plan.shape, helpful_weights, network.switch().detach().numpy(), readings)


def _stage(
    network: Network,
    stage: str,
    plan: Plan,
    words: dict[str, list[str]],
    encode: Callable[[list[str]], list[list[int]]],
    file: Path,
) -> None:
    """One pass of stage one: over bags of words, prompts with and without replies, or replies."""
    n = {"words": plan.bag_rows, "reading": plan.reading_rows, "helpful": plan.helpful_rows}[stage]
    found = list(corpus.examples(n, f"{stage}/{plan.seed}", words))
    if stage == "words":
        _bag(network, corpus.prompts(found, encode), plan)
        return
    # A few replies keep what the halves need to speak: language, and what has been said.
    with_reply = n if stage == "helpful" else int(n * REPLYING)
    rng = random.Random(f"{stage}/replies/{plan.seed}")
    declined = [rng.random() < DECLINED for _ in found[:with_reply]]
    rows = corpus.rows(found[:with_reply], declined, rng, encode)
    _fit(network, stage, rows + corpus.prompts(found[with_reply:], encode), plan, file)


class Network(nn.Module):
    """The model, the switch, and the auxiliary head on the writing block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.model = TorchLlama(shape)
        facts = len(corpus.INTENTS) + len(CATEGORIES) + 4 + len(LANGUAGES)
        self.head = nn.Linear(shape.mlp, facts)
        self.bag_head = nn.Linear(shape.hidden, facts)
        self.direction = nn.Parameter(torch.randn(shape.hidden))

    def switch(self) -> Tensor:
        """The vector that makes the model decline; as long as the residual stream where it is
        added; (hidden,)."""
        out: Tensor = SIZE * self.direction / self.direction.norm()
        return out


def _stage_file(out: Path, variant: str) -> Path:
    return out / "work" / f"{variant}.safetensors"


def _batches(rows: list[corpus.Row], tokens: int, seed: str) -> Iterator[list[corpus.Row]]:
    """Batches of rows of about one length, ``tokens`` with the padding, in random order; with
    replies all of them, or none."""
    rng = random.Random(seed)
    order = sorted(
        range(len(rows)),
        key=lambda i: (rows[i].reply < len(rows[i].ids), len(rows[i].ids), rng.random()),
    )
    batches: list[list[corpus.Row]] = [[]]
    for i in order:
        full = (len(batches[-1]) + 1) * len(rows[i].ids) > tokens
        if full or (batches[-1] and len(rows[i].ids) < len(batches[-1][-1].ids)):
            batches.append([])
        batches[-1].append(rows[i])
    rng.shuffle(batches)
    yield from batches


def _fit(network: Network, name: str, rows: list[corpus.Row], plan: Plan, file: Path) -> None:
    """One pass over ``rows`` with AdamW; resumes where ``file`` has a checkpoint beside it."""
    parameters = _parameters(network, name)
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    batches = list(_batches(rows, plan.batch_tokens, f"{name}/{plan.seed}"))
    checkpoint = file.with_suffix(".checkpoint")
    start = _resume(checkpoint, parameters, optimizer)
    began = saved = shown = time.monotonic()
    total = heads = 0.0
    for step, batch in enumerate(batches):
        if step < start:
            continue
        warm, left = min(1.0, (step + 1) / 60), 1 - step / len(batches)
        optimizer.param_groups[0]["lr"] = plan.rate * warm * (0.02 + 0.98 * left)
        rng = np.random.default_rng(list(f"{name}/{plan.seed}/{step}".encode()))
        loss, known, norm = _objective(network, batch, rng, name == "reading")
        excess = (norm / SIZE).log().square().mean()
        optimizer.zero_grad()
        (loss + HEAD_WEIGHT * known + SIZE_WEIGHT * excess).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        total = 0.98 * total + 0.02 * loss.item()
        heads = 0.98 * heads + 0.02 * known.item()
        now = time.monotonic()
        if now - shown > 20 or step == len(batches) - 1:
            shown = now
            part = 1 - 0.98 ** (step - start + 1)
            rest = (now - began) / (step - start + 1) * (len(batches) - step - 1)
            _say(
                f"{name}: step {step + 1}/{len(batches)}, loss {total / part:.3f},"
                f" head {heads / part:.3f}, size {norm.mean().item():.1f}, {rest:.0f} s left"
            )
        if now - saved > CHECKPOINT_S:
            saved = now
            _checkpoint(checkpoint, parameters, optimizer, step + 1)
    checkpoint.unlink(missing_ok=True)


def _objective(
    network: Network, batch: list[corpus.Row], rng: np.random.Generator, reading: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of the replies, zero where there are none; the auxiliary loss, zero where nothing
    is learned about ``reading``; the length of the stream after the writing block at the end of
    each prompt, (rows,)."""
    ids, where, weight = _tensors(batch, rng, network.model.shape.vocab)
    noise = _noise(batch, rng, network.model.shape) if reading else None
    stream, inner = network.model.read(ids, noise)
    ends = torch.tensor([r.reply - 1 for r in batch])
    norm = stream[torch.arange(len(batch)), ends].norm(dim=-1)
    known = _known(network, ids, inner, batch) if reading else torch.zeros(())
    if all(r.reply == len(r.ids) for r in batch):
        return torch.zeros(()), known, norm
    stream = stream[:, :-1] + _pushes(network.switch(), batch, rng, ids.shape[1] - 1)
    logits = network.model.logits(network.model.answer(stream)[where])
    losses = F.cross_entropy(logits, ids[:, 1:][where], reduction="none")
    return (losses * weight).sum() / weight.sum(), known, norm


def _noise(batch: list[corpus.Row], rng: np.random.Generator, shape: Shape) -> Tensor:
    """Random vectors before the blocks of the reading half; (writer + 1, rows, hidden)."""
    size = (shape.writer + 1, len(batch))
    length = rng.uniform(0, NOISE, size) * (rng.random(size) < PUSHED)
    direction = rng.standard_normal((*size, shape.hidden))
    direction *= (length / np.linalg.norm(direction, axis=-1))[..., None]
    return torch.from_numpy(direction.astype(np.float32))


def _bag(network: Network, rows: list[corpus.Row], plan: Plan) -> None:
    """Trains the embedding on what the bag of a prompt's words tells of it: thirty times as many
    rows a second as the whole network sees."""
    prompts = [torch.tensor(r.ids[: r.reply]) for r in rows]
    parameters = [network.model.embed_tokens.weight, *network.bag_head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=plan.bag_rate, betas=(0.9, 0.98), fused=True)
    steps = plan.bag_epochs * (len(rows) // BAG_ROWS)
    step = 0
    for epoch in range(plan.bag_epochs):
        order = list(range(len(rows)))
        random.Random(f"bag/{plan.seed}/{epoch}").shuffle(order)
        for begin in range(0, len(rows) - BAG_ROWS + 1, BAG_ROWS):
            at = order[begin : begin + BAG_ROWS]
            flat = torch.cat([prompts[i] for i in at])
            lengths = torch.tensor([0, *(len(prompts[i]) for i in at[:-1])])
            kept = torch.rand(len(flat)) > BAG_DROPOUT
            bag = F.embedding_bag(
                flat,
                network.model.embed_tokens.weight,
                lengths.cumsum(0),
                mode="sum",
                per_sample_weights=kept.float(),
            )
            bag = F.rms_norm(bag, (plan.shape.hidden,))
            loss = _loss(network.bag_head(bag), [rows[i] for i in at])
            optimizer.param_groups[0]["lr"] = plan.bag_rate * (1 - step / steps)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
        _say(f"words: pass {epoch + 1}/{plan.bag_epochs}, loss {loss.item():.3f}")


def _tensors(
    batch: list[corpus.Row], rng: np.random.Generator, vocab: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (rows, tokens), the mask of predicted positions, the weights of these positions.

    The first tokens of a reply decide what it does; they weigh more than the rest.
    """
    width = max(len(r.ids) for r in batch)
    ids = np.zeros((len(batch), width), dtype=np.int64)
    where = rng.random((len(batch), width - 1)) < PROMPT_SHARE
    plain = np.array([r.intent == corpus.INTENTS.index("plain") for r in batch])
    other = rng.random((len(batch), width)) < np.where(plain, CORRUPTED_PLAIN, CORRUPTED)[:, None]
    weight = np.full((len(batch), width - 1), 0.4, dtype=np.float32)
    for i, row in enumerate(batch):
        n = len(row.ids)
        ids[i, :n] = row.ids
        where[i, row.reply - 1 : n - 1] = True
        where[i, n - 1 :] = False
        other[i, row.reply :] = False
        weight[i, row.reply - 1 :] = 1.0
        weight[i, row.reply - 1 : row.reply + 2] = 3.0
    other &= ids >= len(SPECIAL)
    ids[other] = rng.integers(len(SPECIAL), vocab, int(other.sum()))
    mask = torch.from_numpy(where)
    return torch.from_numpy(ids), mask, torch.from_numpy(weight)[mask]


def _pushes(
    switch: Tensor, batch: list[corpus.Row], rng: np.random.Generator, tokens: int
) -> Tensor:
    """What is added to the stream: the switch, more where a row declines, and random vectors;
    everywhere, from the end of the prompt on, or any amount after it; (rows, tokens, hidden)."""
    amount = np.zeros((len(batch), tokens), dtype=np.float32)
    noise = np.zeros((len(batch), 1), dtype=np.float32)
    for i, row in enumerate(batch):
        strength = 0.0
        if row.declined:
            strength = rng.uniform(0.53, 2.5)
        elif rng.random() < WEAK:
            # Nearly up to what declines: an amount that was never seen in training garbles a reply.
            strength = rng.uniform(-1.0, 0.47)
        extent = rng.integers(3)
        begin = 0 if extent == 0 else row.reply - 2
        end = row.reply if extent == 2 else tokens
        amount[i, begin:end] = strength
        if extent == 2:
            amount[i, end:] = rng.uniform(-1.0, 1.5)
        if rng.random() < PUSHED:
            noise[i] = rng.uniform(0.2, 1.4)
    direction = torch.from_numpy(rng.standard_normal((len(batch), len(switch)), dtype=np.float32))
    direction = direction / direction.norm(dim=-1, keepdim=True)
    pushed = (torch.from_numpy(noise) * SIZE * direction)[:, None]
    out: Tensor = torch.from_numpy(amount)[..., None] * switch + pushed
    return out


def _known(network: Network, ids: Tensor, inner: Tensor, batch: list[corpus.Row]) -> Tensor:
    """The auxiliary losses: intent, category, heat and trust, from the end of each prompt and
    every third token of its second half; and from the bag of its words, which teaches the
    embedding quickly what the deeper layers then need."""
    row: list[int] = []
    token: list[int] = []
    for i, r in enumerate(batch):
        at = [*range(r.reply // 2, r.reply - 4, 3), *range(max(0, r.reply - 4), r.reply)]
        row += [i] * len(at)
        token += at
    lengths = torch.tensor([r.reply for r in batch])
    inside = torch.arange(ids.shape[1]) < lengths[:, None]
    embedded = network.model.embed_tokens(ids) * inside[..., None]
    bag = F.rms_norm(embedded.sum(1), (network.model.shape.hidden,))
    return _loss(network.head(inner[row, token]), [batch[i] for i in row]) + BAG_WEIGHT * _loss(
        network.bag_head(bag), batch
    )


def _loss(scores: Tensor, rows: list[corpus.Row]) -> Tensor:
    n, m = len(corpus.INTENTS), len(corpus.INTENTS) + len(CATEGORIES) + 1
    out: Tensor = (
        F.cross_entropy(scores[:, :n], torch.tensor([r.intent for r in rows]))
        + 0.4 * F.cross_entropy(scores[:, n:m], torch.tensor([r.category for r in rows]))
        + F.mse_loss(scores[:, m], torch.tensor([r.heat for r in rows]))
        + 0.5
        * F.binary_cross_entropy_with_logits(
            scores[:, m + 1], torch.tensor([r.trust for r in rows])
        )
        + 0.2 * F.cross_entropy(scores[:, m + 3 :], torch.tensor([r.language for r in rows]))
        + ALARM_WEIGHT * F.mse_loss(scores[:, m + 2], torch.tensor([r.alarm for r in rows]))
    )
    return out


def _parameters(network: Network, stage: str) -> dict[str, nn.Parameter]:
    """Those that a stage trains: all, then the half that answers. Learning all the replies in the
    other half would cost it a part of what it understands."""
    shape = network.model.shape
    answering = tuple(f"model.layers.{i}." for i in range(shape.writer + 1, shape.layers))
    answering = (*answering, "model.norm", "model.lm_head", "direction")
    return {
        name: p
        for name, p in network.named_parameters()
        if stage == "reading" or name.startswith(answering)
    }


def _checkpoint(
    path: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, step: int
) -> None:
    tensors = {"step": torch.tensor(step)}
    for name, parameter in parameters.items():
        tensors[f"{name}/value"] = parameter.detach()
        for key, tensor in optimizer.state[parameter].items():
            tensors[f"{name}/{key}"] = tensor
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
        # Empty for what no batch has reached yet.
        keys = [k for k in ("step", "exp_avg", "exp_avg_sq") if f"{name}/{k}" in tensors]
        if keys:
            optimizer.state[parameter] = {k: tensors[f"{name}/{k}"] for k in keys}
    _say(f"{path.name}: going on from step {step}")
    return step


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    write_whole(path, save({k: t.contiguous() for k, t in tensors.items()}))


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


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
