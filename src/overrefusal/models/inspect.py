"""Every provider that Inspect knows: ``inspect/PROVIDER/NAME``."""

from __future__ import annotations

from typing import Any

from overrefusal.errors import OverrefusalError
from overrefusal.models.inspect_output import read_output
from overrefusal.models.payload import printable
from overrefusal.models.settings import public_address
from overrefusal.models.wire import sample_seed
from overrefusal.records import Request, Response

_HOPELESS = {401: "does not accept the key", 404: "does not know the model"}


class InspectModel:
    """A model behind one of Inspect's providers, set up as Inspect's documentation says.

    Inspect's own retries, which have no end by default, are bounded by ``max_attempts`` and
    ``max_total_s``; its response cache is not used.
    """

    keyed_by_id = False

    def __init__(
        self,
        spec: str,
        *,
        concurrency: int = 16,
        timeout_s: float = 120.0,
        max_attempts: int = 10,
        max_total_s: float = 600.0,
        **model_args: Any,
    ) -> None:
        """``model_args`` go to Inspect's provider.

        Raises ``OverrefusalError`` where Inspect, the provider's package or a key is missing, and
        for an unknown provider.
        """
        name = spec.removeprefix("inspect/")
        if "/" not in name:
            raise OverrefusalError(
                f"{spec}: write inspect/PROVIDER/NAME, such as inspect/groq/NAME"
            )
        try:
            from inspect_ai.model import GenerateConfig, get_model
        except ImportError:
            raise OverrefusalError(
                f"{spec} needs inspect_ai: pip install 'overrefusal[inspect]'"
            ) from None
        config = GenerateConfig(
            max_connections=concurrency,
            max_retries=max_attempts - 1,
            timeout=int(max_total_s),
            attempt_timeout=int(timeout_s),
        )
        try:
            self._model = get_model(name, config=config, memoize=False, **model_args)
        except (
            Exception
        ) as error:  # Providers raise their own classes for a missing key or package.
            raise OverrefusalError(f"{spec} cannot be opened: {printable(error)}") from None
        base_url = getattr(self._model.api, "base_url", None)
        self.spec = spec
        self.identity = f"{spec}@{public_address(base_url)}" if base_url else spec

    async def answer(self, request: Request) -> Response:
        """The model's response; ``error`` is set where every attempt failed.

        Raises ``OverrefusalError`` where the key or the model's name is wrong.
        """
        from inspect_ai.model import (
            ChatMessageAssistant,
            ChatMessageSystem,
            ChatMessageUser,
            GenerateConfig,
        )

        kinds: dict[str, Any] = {
            "system": ChatMessageSystem,
            "user": ChatMessageUser,
            "assistant": ChatMessageAssistant,
        }
        sampling = request.sampling
        config = GenerateConfig(
            temperature=sampling.temperature,
            max_tokens=sampling.max_tokens,
            top_p=sampling.top_p,
            seed=sample_seed(request),
        )
        turns = [kinds[m.role](content=m.content) for m in request.messages]
        try:
            output = await self._model.generate(turns, config=config)
        except Exception as raised:  # Each provider's client has its own classes.
            # What ended the last attempt stands inside tenacity's RetryError.
            last = getattr(raised, "last_attempt", None)
            error = (last.exception() if last is not None else None) or raised
            status = getattr(error, "status_code", None)
            if status in _HOPELESS:
                raise OverrefusalError(
                    f"{self.spec}: the provider {_HOPELESS[status]}: {printable(error)}"
                ) from None
            return Response(error=f"{type(error).__name__}: {printable(error)}")
        return read_output(output.model_dump(mode="json", exclude_none=True))

    async def close(self) -> None:
        """Closes the provider's connections."""
        await self._model.api.aclose()
