"""What a model is."""

from __future__ import annotations

from typing import Protocol

from overrefusal.records import Request, Response


class Model(Protocol):
    """Anything that answers.

    ``identity`` is the spec together with all that changes answers (a base URL, a file's hash, an
    adapter): together with a request it is the key under which an answer is cached.
    ``keyed_by_id`` is true where the answer depends on the prompt's id and not on its text alone,
    as in recorded responses.

    ``answer`` retries what deserves it and returns a response whose ``error`` is set where no
    answer came; it raises ``OverrefusalError`` only for what no repetition can mend (a wrong key,
    an unknown model), which ends the run.
    """

    spec: str
    identity: str
    keyed_by_id: bool

    async def answer(self, request: Request) -> Response: ...

    async def close(self) -> None: ...
