"""The run store: what was asked, answered and judged, in SQLite or PostgreSQL."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b, sha256
from itertools import islice
from typing import Any, TypeVar

import orjson

from overrefusal import __version__
from overrefusal.errors import OverrefusalError
from overrefusal.records import (
    Expected,
    Outcome,
    Pattern,
    Prompt,
    Response,
    Verdict,
)
from overrefusal.runs.database import Database, pack, unpack
from overrefusal.runs.rows import (
    RESPONSE_COLUMNS,
    RUN_COLUMNS,
    VERDICT_COLUMNS,
    Item,
    Observation,
    RunRecord,
    outcome_of,
    response_of,
    response_row,
    run_of,
    verdict_of,
    verdict_row,
)
from overrefusal.statistics.tally import Facts
from overrefusal.suites.rows import read_row
from overrefusal.suites.suite import Suite, canonical

T = TypeVar("T")

_CHUNK = 500
_LACKING = """SELECT 1 FROM items i LEFT JOIN verdicts v
    ON v.response_key = i.response_key AND v.judge = r.judge
    WHERE i.run_id = r.id AND (v.outcome IS NULL OR v.outcome = 'unjudged')"""


class Store:
    """Every method commits before it returns; all are safe to repeat and to run side by side.

    Rows are written in the order of their keys, so that two writers never wait for each other.
    ``url`` is the path of an SQLite file or a ``postgresql://`` URL.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        """Opens the store; without ``create``, one that is not there is an error."""
        self.url = url
        self._db = Database(url, create=create)

    def close(self) -> None:
        self._db.close()

    # Suites

    def save_suite(self, suite: Suite) -> None:
        """Keep the suite's prompts, so that a run can be read without its suite file."""
        if self._db.rows(
            "SELECT 1 FROM suites WHERE hash = ? AND complete = 1", (suite.content_hash,)
        ):
            return
        self._db.execute(
            "INSERT INTO suites VALUES (?, ?, 0) ON CONFLICT DO NOTHING",
            (suite.content_hash, suite.size),
        )
        digest = sha256()
        for chunk in _chunks(enumerate(suite)):
            lines = [canonical(prompt) for _, prompt in chunk]
            digest.update(b"".join(lines))
            with self._db.transaction() as cursor:
                self._db.execute_many(
                    cursor,
                    "INSERT INTO prompts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    [
                        (
                            suite.content_hash,
                            position,
                            pack(prompt.id),
                            prompt.expected.value,
                            prompt.pattern.value if prompt.pattern else None,
                            None if prompt.category is None else pack(prompt.category),
                            pack(prompt.language),
                            line.decode(),
                        )
                        for (position, prompt), line in zip(chunk, lines, strict=True)
                    ],
                )
        if digest.hexdigest() != suite.content_hash:
            self._db.execute("DELETE FROM prompts WHERE suite_hash = ?", (suite.content_hash,))
            raise OverrefusalError(
                f"suite {suite.name} changed while it was read; start again when it is written"
            )
        self._db.execute("UPDATE suites SET complete = 1 WHERE hash = ?", (suite.content_hash,))

    def suite_prompts(self, run: RunRecord) -> Iterator[tuple[int, Prompt]]:
        """The prompts of the run's suite with their positions.

        Read in parts, so that no long look at the store holds back its writers.
        """
        for start in range(0, run.suite_size, _CHUNK):
            for position, row in self._db.rows(
                """SELECT position, row FROM prompts WHERE suite_hash = ?
                   AND position >= ? AND position < ? ORDER BY position""",
                (run.suite_hash, start, start + _CHUNK),
            ):
                yield position, read_row(orjson.loads(row), "store")

    # Runs

    def begin_run(
        self,
        *,
        fingerprint: str,
        suite: Suite,
        judge: str,
        variant: Mapping[str, Any],
        samples: int,
        fresh: bool = False,
    ) -> tuple[RunRecord, bool]:
        """The run to work on, and whether it is an earlier one that was left unfinished.

        A run with the same fingerprint is taken up again, under the label given now, where it is
        unfinished or, unless ``fresh``, where some of its items ended as errors or unjudged;
        otherwise a new one is opened.
        """
        lacking = "" if fresh else f"OR EXISTS ({_LACKING})"
        found = self._db.rows(
            f"""SELECT r.id FROM runs r WHERE r.fingerprint = ?
                AND (r.finished IS NULL {lacking}) ORDER BY r.touched DESC LIMIT 1""",
            (fingerprint,),
        )
        if found:
            self._db.execute(
                """UPDATE runs SET touched = ?, variant = ?, suite_name = ?, suite_version = ?
                   WHERE id = ?""",
                (
                    time.time(),
                    json.dumps(variant),
                    pack(suite.name),
                    pack(suite.version),
                    found[0][0],
                ),
            )
            return self.run(found[0][0]), True
        of = (suite.content_hash, suite.name, suite.version)
        return self._new_run(fingerprint, of, judge, variant, samples, None), False

    def begin_rejudging(self, parent: RunRecord, judge: str) -> RunRecord:
        """The run over the responses of ``parent`` that ``judge`` reads: a new one, or one that
        was begun before.
        """
        if parent.judge == judge:
            return parent
        fingerprint = f"{parent.id}/{judge}"
        found = self._db.rows("SELECT id FROM runs WHERE fingerprint = ?", (fingerprint,))
        if found:
            self._db.execute("UPDATE runs SET touched = ? WHERE id = ?", (time.time(), found[0][0]))
            return self.run(found[0][0])
        of = (parent.suite_hash, parent.suite_name, parent.suite_version)
        run = self._new_run(fingerprint, of, judge, parent.variant, parent.samples, parent.id)
        self._db.execute(
            """INSERT INTO items (run_id, position, sample, response_key, error)
               SELECT ?, position, sample, response_key, error FROM items WHERE run_id = ?""",
            (run.id, parent.id),
        )
        return run

    def _new_run(
        self,
        fingerprint: str,
        suite: tuple[str, str, str],
        judge: str,
        variant: Mapping[str, Any],
        samples: int,
        parent: str | None,
    ) -> RunRecord:
        run_id, now = secrets.token_hex(4), time.time()
        self._db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run_id,
                now,
                now,
                fingerprint,
                suite[0],
                pack(suite[1]),
                pack(suite[2]),
                judge,
                json.dumps(variant),
                samples,
                parent,
                __version__,
            ),
        )
        return self.run(run_id)

    def finish_run(self, run_id: str) -> None:
        """Note that every item of the run was attempted."""
        self._db.execute("UPDATE runs SET finished = ? WHERE id = ?", (time.time(), run_id))

    def run(self, reference: str | None = None) -> RunRecord:
        """The run of that id, unique beginning of an id, or label (the newest one with it).

        Without a reference, or with ``latest``: the newest run.
        """
        newest = "ORDER BY r.touched DESC LIMIT 2"
        base = f"SELECT {RUN_COLUMNS} FROM runs r JOIN suites s ON s.hash = r.suite_hash"
        if reference in (None, "latest"):
            found = self._db.rows(f"{base} {newest}")
            if not found:
                raise OverrefusalError(f"{self.url}: no runs yet; `overrefusal eval` makes one")
            return run_of(found[0])
        assert reference is not None
        exact = self._db.rows(f"{base} WHERE r.id = ?", (reference,))
        if exact:
            return run_of(exact[0])
        labelled = [run for run in self.runs() if run.variant.get("label") == reference]
        if labelled:
            return labelled[0]
        prefixed = self._db.rows(
            f"{base} WHERE substr(r.id, 1, {len(reference)}) = ? {newest}", (reference,)
        )
        if len(prefixed) == 1:
            return run_of(prefixed[0])
        why = "several runs begin so" if prefixed else "no run has that id or label"
        raise OverrefusalError(
            f"{self.url}: run {reference!r}: {why}; `overrefusal runs list` shows them"
        )

    def runs(self) -> list[RunRecord]:
        """All runs, newest first."""
        return [
            run_of(row)
            for row in self._db.rows(
                f"""SELECT {RUN_COLUMNS} FROM runs r JOIN suites s ON s.hash = r.suite_hash
                    ORDER BY r.touched DESC"""
            )
        ]

    # Answers

    def done(self, run: RunRecord) -> bytearray:
        """One byte for each position and sample: 1 where it is answered and judged."""
        done = bytearray(run.suite_size * run.samples)
        for position, sample in self._db.stream(
            """SELECT i.position, i.sample FROM items i JOIN verdicts v
               ON v.response_key = i.response_key AND v.judge = ?
               WHERE i.run_id = ? AND v.outcome <> ?""",
            (run.judge, run.id, Outcome.UNJUDGED.value),
        ):
            done[position * run.samples + sample] = 1
        return done

    def known(self, keys: Sequence[str], judge: str) -> dict[str, bool]:
        """Those of these requests that are answered: whether ``judge`` has judged the answer."""
        return {
            row[0]: row[1] is not None and row[1] != Outcome.UNJUDGED.value
            for row in self._db.rows(
                f"""SELECT a.key, v.outcome FROM responses a LEFT JOIN verdicts v
                    ON v.response_key = a.key AND v.judge = ? WHERE a.key IN ({_marks(keys)})""",
                (judge, *keys),
            )
        }

    def responses(self, keys: Sequence[str]) -> dict[str, Response]:
        """The stored responses of these requests."""
        return {
            row[0]: response_of(row[1:], row[-1])
            for row in self._db.rows(
                f"""SELECT a.key, {RESPONSE_COLUMNS}, a.raw FROM responses a
                    WHERE a.key IN ({_marks(keys)})""",
                tuple(keys),
            )
        }

    def add_answers(
        self, run_id: str, answers: Sequence[tuple[int, int, str, Response]]
    ) -> list[str]:
        """Keep answers as (position, sample, key, response).

        Returns the keys under which another writer's answer already lay: that one stays, and is
        the one to judge.
        """
        with self._db.transaction() as cursor:
            added = self._add_responses(cursor, [(key, r) for _, _, key, r in answers])
            self._link(cursor, run_id, [(p, s, key, None) for p, s, key, _ in answers])
        # Which of them lost is seldom asked, and cannot be read off a batch: all are read again.
        return [] if added == len(answers) else [key for _, _, key, _ in answers]

    def keep_answers(self, answers: Sequence[tuple[str, Response]]) -> None:
        """Keep answers to requests that are no item of a run; one that is there stays."""
        with self._db.transaction() as cursor:
            self._add_responses(cursor, answers)

    def _add_responses(self, cursor: Any, answers: Iterable[tuple[str, Response]]) -> int:
        """How many were not there before."""
        return self._db.execute_many(
            cursor,
            """INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT DO NOTHING""",
            sorted(
                ((key, time.time(), *response_row(response)) for key, response in answers),
                key=lambda row: row[0],
            ),
        )

    def link(self, run_id: str, items: Sequence[tuple[int, int, str | None, str | None]]) -> None:
        """Make items of answers that are stored, or of errors: (position, sample, key, error)."""
        with self._db.transaction() as cursor:
            self._link(cursor, run_id, items)

    def _link(
        self, cursor: Any, run_id: str, items: Sequence[tuple[int, int, str | None, str | None]]
    ) -> None:
        self._db.execute_many(
            cursor,
            """INSERT INTO items VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (run_id, position, sample) DO UPDATE
               SET response_key = excluded.response_key, error = excluded.error
               WHERE items.response_key IS NULL""",
            [
                (run_id, position, sample, key, None if error is None else pack(error))
                for position, sample, key, error in sorted(items, key=lambda item: item[:2])
            ],
        )

    def add_verdicts(self, judge: str, verdicts: Iterable[tuple[str, Verdict]]) -> None:
        """Keep verdicts by response key; a verdict stays, only ``unjudged`` gives way."""
        with self._db.transaction() as cursor:
            self._db.execute_many(
                cursor,
                """INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (response_key, judge) DO UPDATE
                   SET outcome = excluded.outcome,
                       refusal_probability = excluded.refusal_probability,
                       answered = excluded.answered, distanced = excluded.distanced,
                       evidence_start = excluded.evidence_start,
                       evidence_end = excluded.evidence_end,
                       evidence_act = excluded.evidence_act,
                       text_outcome = excluded.text_outcome, reason = excluded.reason
                   WHERE verdicts.outcome = 'unjudged'""",
                [
                    verdict_row(key, judge, verdict)
                    for key, verdict in sorted(verdicts, key=lambda pair: pair[0])
                ],
            )

    def verdicts(self, keys: Sequence[str], judge: str) -> dict[str, Verdict]:
        """What ``judge`` made of the answers under these keys, where it judged them."""
        return {
            row[0]: verdict_of(row[1:])
            for row in self._db.rows(
                f"""SELECT v.response_key, {VERDICT_COLUMNS} FROM verdicts v
                    WHERE v.judge = ? AND v.response_key IN ({_marks(keys)})""",
                (judge, *keys),
            )
        }

    def unjudged(self, run: RunRecord) -> Iterator[tuple[str, str, Response]]:
        """(key, last user turn, response) of the run's answers that its judge has not judged."""
        for row in self._db.stream(
            f"""SELECT i.response_key, p.row, {RESPONSE_COLUMNS}, a.raw
                FROM items i
                JOIN prompts p ON p.suite_hash = ? AND p.position = i.position
                JOIN responses a ON a.key = i.response_key
                LEFT JOIN verdicts v ON v.response_key = i.response_key AND v.judge = ?
                WHERE i.run_id = ? AND (v.outcome IS NULL OR v.outcome = 'unjudged')
                ORDER BY i.position, i.sample""",
            (run.suite_hash, run.judge, run.id),
        ):
            prompt = read_row(orjson.loads(row[1]), "store")
            yield row[0], prompt.text, response_of(row[2:], row[-1])

    # People's labels

    def add_label(self, run_id: str, position: int, sample: int, outcome: Outcome) -> None:
        """Keep a person's word on one response; a later word replaces an earlier one."""
        self._db.execute(
            """INSERT INTO labels VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (run_id, position, sample) DO UPDATE
               SET outcome = excluded.outcome, created = excluded.created""",
            (run_id, position, sample, outcome.value, time.time()),
        )

    def labels(self, run_id: str) -> dict[tuple[int, int], Outcome]:
        """People's words on the run's responses, by position and sample."""
        return {
            (row[0], row[1]): Outcome(row[2])
            for row in self._db.rows(
                "SELECT position, sample, outcome FROM labels WHERE run_id = ?", (run_id,)
            )
        }

    # Reading

    def observations(self, run: RunRecord) -> Iterator[Observation]:
        """What statistics needs of every item, ordered by prompt and sample."""
        for row in self._db.stream(
            """SELECT i.position, p.prompt_id, p.expected, p.pattern, p.category, p.language,
                      i.sample, i.response_key, v.outcome, v.text_outcome, a.truncated
               FROM items i
               JOIN prompts p ON p.suite_hash = ? AND p.position = i.position
               LEFT JOIN responses a ON a.key = i.response_key
               LEFT JOIN verdicts v ON v.response_key = i.response_key AND v.judge = ?
               WHERE i.run_id = ? ORDER BY i.position, i.sample""",
            (run.suite_hash, run.judge, run.id),
        ):
            yield Observation(
                position=row[0],
                prompt_id=unpack(row[1]),
                facts=Facts(
                    Expected(row[2]),
                    Pattern(row[3]) if row[3] else None,
                    None if row[4] is None else unpack(row[4]),
                    unpack(row[5]),
                ),
                sample=row[6],
                outcome=outcome_of(row[7], row[8]),
                text_outcome=Outcome(row[9]) if row[9] else None,
                truncated=bool(row[10]),
            )

    def usage(self, run: RunRecord) -> tuple[int | None, int | None, float | None]:
        """Tokens in, tokens out and US dollars of the run's answers; ``None`` where unknown."""
        (row,) = self._db.rows(
            """SELECT SUM(a.input_tokens), SUM(a.output_tokens), SUM(a.cost_usd)
               FROM items i JOIN responses a ON a.key = i.response_key WHERE i.run_id = ?""",
            (run.id,),
        )
        tokens = [None if count is None else int(count) for count in row[:2]]
        return tokens[0], tokens[1], row[2]

    def contents(self, run: RunRecord) -> dict[str, bytes]:
        """What each prompt asks and expects, as a digest by its id."""
        return {
            prompt.id: blake2b(
                repr((prompt.messages, prompt.system, prompt.expected)).encode("utf-8", "replace"),
                digest_size=16,
            ).digest()
            for _, prompt in self.suite_prompts(run)
        }

    def prompts(self, run: RunRecord, ids: Sequence[str]) -> dict[str, Prompt]:
        """The run's prompts of these ids."""
        found: dict[str, Prompt] = {}
        for chunk in _chunks(ids):
            for (row,) in self._db.rows(
                f"""SELECT p.row FROM prompts p
                    WHERE p.suite_hash = ? AND p.prompt_id IN ({_marks(chunk)})""",
                (run.suite_hash, *(pack(prompt_id) for prompt_id in chunk)),
            ):
                prompt = read_row(orjson.loads(row), "store")
                found[prompt.id] = prompt
        return found

    def items(
        self, run: RunRecord, positions: Sequence[int] | None = None, *, raw: bool = False
    ) -> Iterator[Item]:
        """Every item of the run in order, or those at ``positions``; ``raw`` adds the payloads."""
        if positions is not None and len(positions) != min(len(positions), _CHUNK):
            for chunk in _chunks(sorted(positions)):
                yield from self.items(run, chunk, raw=raw)
            return
        if positions is not None and not positions:
            return
        chosen = "" if positions is None else f"AND i.position IN ({_marks(positions)})"
        payload = "a.raw" if raw else "NULL"
        for row in self._db.stream(
            f"""SELECT p.row, i.sample, i.error, i.response_key, {RESPONSE_COLUMNS}, {payload},
                       {VERDICT_COLUMNS}
                FROM items i
                JOIN prompts p ON p.suite_hash = ? AND p.position = i.position
                LEFT JOIN responses a ON a.key = i.response_key
                LEFT JOIN verdicts v ON v.response_key = i.response_key AND v.judge = ?
                WHERE i.run_id = ? {chosen} ORDER BY i.position, i.sample""",
            (run.suite_hash, run.judge, run.id, *(positions or ())),
        ):
            key = row[3]
            if key is None:
                error = unpack(row[2] or "not asked")
                response = Response(error=error)
                verdict = Verdict(Outcome.ERROR, reason=error)
            else:
                response = response_of(row[4:16], row[16])
                verdict = verdict_of(row[17:])
            yield Item(read_row(orjson.loads(row[0]), "store"), row[1], response, verdict, key)


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values)) or "NULL"
