"""The store's schema and its migrations, the same SQL for SQLite and PostgreSQL."""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE suites (
            hash TEXT PRIMARY KEY,
            size BIGINT NOT NULL,
            complete INTEGER NOT NULL
        )""",
        """CREATE TABLE prompts (
            suite_hash TEXT NOT NULL REFERENCES suites(hash),
            position BIGINT NOT NULL,
            prompt_id TEXT NOT NULL,
            expected TEXT NOT NULL,
            pattern TEXT,
            category TEXT,
            language TEXT NOT NULL,
            row TEXT NOT NULL,
            PRIMARY KEY (suite_hash, position)
        )""",
        "CREATE INDEX prompts_by_id ON prompts (suite_hash, prompt_id)",
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY,
            created DOUBLE PRECISION NOT NULL,
            touched DOUBLE PRECISION NOT NULL,
            finished DOUBLE PRECISION,
            fingerprint TEXT NOT NULL,
            suite_hash TEXT NOT NULL REFERENCES suites(hash),
            suite_name TEXT NOT NULL,
            suite_version TEXT NOT NULL,
            judge TEXT NOT NULL,
            variant TEXT NOT NULL,
            samples BIGINT NOT NULL,
            parent TEXT,
            tool_version TEXT NOT NULL
        )""",
        "CREATE INDEX runs_by_fingerprint ON runs (fingerprint, created)",
        """CREATE TABLE responses (
            key TEXT PRIMARY KEY,
            created DOUBLE PRECISION NOT NULL,
            text TEXT NOT NULL,
            thinking TEXT,
            finish_reason TEXT,
            actor TEXT,
            categories TEXT NOT NULL,
            truncated INTEGER NOT NULL,
            model_reported TEXT,
            input_tokens BIGINT,
            output_tokens BIGINT,
            latency_s DOUBLE PRECISION,
            cost_usd DOUBLE PRECISION,
            attempts BIGINT NOT NULL,
            raw TEXT
        )""",
        """CREATE TABLE items (
            run_id TEXT NOT NULL REFERENCES runs(id),
            position BIGINT NOT NULL,
            sample BIGINT NOT NULL,
            response_key TEXT,
            error TEXT,
            PRIMARY KEY (run_id, position, sample)
        )""",
        """CREATE TABLE verdicts (
            response_key TEXT NOT NULL,
            judge TEXT NOT NULL,
            outcome TEXT NOT NULL,
            refusal_probability DOUBLE PRECISION,
            answered DOUBLE PRECISION,
            distanced DOUBLE PRECISION,
            evidence_start BIGINT,
            evidence_end BIGINT,
            evidence_act TEXT,
            text_outcome TEXT,
            reason TEXT,
            PRIMARY KEY (response_key, judge)
        )""",
    ),
    (
        """CREATE TABLE labels (
            run_id TEXT NOT NULL REFERENCES runs(id),
            position BIGINT NOT NULL,
            sample BIGINT NOT NULL,
            outcome TEXT NOT NULL,
            created DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (run_id, position, sample)
        )""",
    ),
)
