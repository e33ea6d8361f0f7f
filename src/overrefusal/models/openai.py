"""The OpenAI chat-completions protocol: OpenAI, Azure OpenAI and everything that speaks it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from overrefusal.errors import OverrefusalError
from overrefusal.models.payload import MalformedReply, as_int, error_code, error_message, printable
from overrefusal.models.settings import address, api_key, optional_key, public_address
from overrefusal.models.signals import ACTORS, TRUNCATED
from overrefusal.models.thinking import join_thinking, split_thinking
from overrefusal.models.wire import Call, Wire, sample_seed
from overrefusal.records import Actor, Request, Response

_FILTER_CODES = frozenset(
    {"invalid_prompt", "content_policy_violation", "cyber_policy", "content_filter"}
)
_NO_CREDIT = frozenset({"insufficient_quota", "billing_not_active", "account_deactivated"})
# xAI refuses a prompt with 403 and this sentence.
_FAILED_CHECK = re.compile(r"Failed check: ([A-Z_]+)")


@dataclass(frozen=True, slots=True)
class OpenAIWire(Wire):
    """Chat completions at ``url``."""

    max_tokens_field: str = "max_completion_tokens"

    def call(self, request: Request) -> Call:
        """The POST that asks ``request``."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        }
        if sampling.temperature is not None:
            body["temperature"] = sampling.temperature
        if sampling.top_p is not None:
            body["top_p"] = sampling.top_p
        if sampling.max_tokens is not None:
            body[self.max_tokens_field] = sampling.max_tokens
        if sampling.seed is not None:
            body["seed"] = sample_seed(request)
        return Call(self.url, self.headers, orjson.dumps(body))

    def read(self, payload: dict[str, Any]) -> Response:
        """The answer in a chat completion."""
        return read_completion(payload)

    def read_block(self, status: int, payload: dict[str, Any]) -> Response | None:
        """The filter's answer in an error of OpenAI, Azure or a gateway."""
        return read_filter_error(status, payload)

    def hopeless(self, status: int, payload: dict[str, Any]) -> str | None:
        """No credit (reported as 429), and a key, name or setting turned down with 400."""
        code, said = error_code(payload), error_message(payload)
        if code in _NO_CREDIT:
            return f"the account has no credit ({code}): check its billing"
        if status != 400:
            return None
        if code == "invalid_api_key" or said.startswith("Incorrect API key"):
            return f"the key is not accepted (HTTP 400): {self.key_help}"
        if code in ("model_not_found", "invalid_model"):
            return f"no such model (HTTP 400): {self.name_help}"
        if code in ("unsupported_parameter", "unsupported_value"):
            return f"the model does not take this setting, leave it unset: {printable(said)}"
        return None


def read_completion(payload: dict[str, Any]) -> Response:
    """The answer in a chat completion; ``MalformedReply`` where it has no choice."""
    choices = payload.get("choices")
    blocked_prompt: tuple[str, ...] = ()
    if "prompt_filter_results" in payload:
        blocked_prompt = _blocked_prompt(payload["prompt_filter_results"])
    if not choices:
        if blocked_prompt:
            return Response(actor=Actor.FILTER_INPUT, categories=blocked_prompt, raw=payload)
        raise MalformedReply("no choices")
    choice = choices[0]
    finish = choice.get("finish_reason")
    if choice.get("error") or finish == "error":
        raise MalformedReply(f"the choice holds an error: {error_message(choice)[:200]}")
    message = choice["message"]
    text, thinking = _content(message.get("content"))
    text, inline = split_thinking(text)
    if "reasoning_content" in message or "reasoning" in message:
        apart = message.get("reasoning_content") or message.get("reasoning")
        thinking = join_thinking(thinking, apart if isinstance(apart, str) else None)
    # A gateway's own word for the end is coarser than the one it was given.
    actor = ACTORS.get(choice.get("native_finish_reason")) or ACTORS.get(finish)
    refusal = message.get("refusal") or _set_aside(message)
    if refusal and not text:
        text, actor = str(refusal), actor or Actor.MODEL_API
    categories: tuple[str, ...] = ()
    if blocked_prompt:
        actor, categories = Actor.FILTER_INPUT, blocked_prompt
    elif "content_filter_results" in choice and (
        blocked := blocked_categories(choice["content_filter_results"])
    ):
        actor, categories = Actor.FILTER_OUTPUT, blocked
    usage = payload.get("usage") or {}
    return Response(
        text=text,
        thinking=join_thinking(thinking, inline),
        finish_reason=finish,
        actor=actor,
        categories=categories,
        truncated=finish in TRUNCATED,
        model_reported=payload.get("model"),
        input_tokens=as_int(usage.get("prompt_tokens")),
        output_tokens=as_int(usage.get("completion_tokens")),
        raw=payload,
    )


def read_filter_error(status: int, payload: dict[str, Any]) -> Response | None:
    """The filter's answer in an error payload; ``None`` where no filter speaks in it."""
    error = payload.get("error", payload)
    inner = error.get("innererror") if isinstance(error, dict) else None
    inner = inner if isinstance(inner, dict) else {}
    code, said = error_code(payload), error_message(payload)
    categories: tuple[str, ...] = ()
    actor = Actor.FILTER_INPUT
    if code in _FILTER_CODES or inner.get("code") == "ResponsibleAIPolicyViolation":
        categories = blocked_categories(
            inner.get("content_filter_result") or inner.get("content_filter_results")
        )
    elif code == "data_inspection_failed":
        # Alibaba says in the message which side was inspected.
        actor = Actor.FILTER_OUTPUT if said.lower().startswith("output") else actor
    elif code == "1301":
        # Zhipu: role "assistant" is the output's side.
        levels = payload.get("contentFilter")
        if isinstance(levels, list) and any(_role(level) == "assistant" for level in levels):
            actor = Actor.FILTER_OUTPUT
    elif status == 403 and "content violates usage guidelines" in said.lower():
        categories = tuple(_FAILED_CHECK.findall(said))
    elif status == 403 and (reasons := _moderation_reasons(error)):
        categories = reasons
    elif said != "Content Exists Risk":
        return None
    if not categories and code in _FILTER_CODES:
        categories = (code,)
    return Response(finish_reason=code or None, actor=actor, categories=categories, raw=payload)


def blocked_categories(results: Any) -> tuple[str, ...]:
    """The categories that Azure's filter annotations mark as filtered, sorted by name."""
    if not isinstance(results, dict):
        return ()
    return tuple(
        sorted(name for name, r in results.items() if isinstance(r, dict) and r.get("filtered"))
    )


def _blocked_prompt(annotations: Any) -> tuple[str, ...]:
    if not isinstance(annotations, list):
        return ()
    return tuple(
        category
        for one in annotations
        if isinstance(one, dict)
        for category in blocked_categories(one.get("content_filter_results"))
    )


def _content(content: Any) -> tuple[str, str | None]:
    """Text and thinking of a message's content, which some servers write as a list of parts."""
    if isinstance(content, str):
        return content, None
    if content is None:
        return "", None
    text: list[str] = []
    thinking: list[str] = []
    for part in content:
        if part["type"] == "thinking":
            inside = part["thinking"]
            thinking.append(inside if isinstance(inside, str) else _content(inside)[0])
        elif part["type"] in ("text", "output_text"):
            text.append(part["text"])
    return "".join(text), "\n".join(thinking) or None


def _set_aside(message: dict[str, Any]) -> Any:
    """The refusal where LiteLLM puts it."""
    fields = message.get("provider_specific_fields")
    return fields.get("refusal") if isinstance(fields, dict) else None


def _role(level: Any) -> str | None:
    return level.get("role") if isinstance(level, dict) else None


def _moderation_reasons(error: Any) -> tuple[str, ...]:
    """OpenRouter's ground for turning a prompt away with 403."""
    metadata = error.get("metadata") if isinstance(error, dict) else None
    reasons = metadata.get("reasons") if isinstance(metadata, dict) else None
    return tuple(str(r) for r in reasons) if isinstance(reasons, list) else ()


def openai_wire(name: str, base_url: str | None = None, key: str | None = None) -> OpenAIWire:
    """``openai/NAME`` with the key of ``OPENAI_API_KEY``."""
    spec = f"openai/{name}"
    key = api_key(spec, key, "OPENAI_API_KEY")
    base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
    base = address(spec, base_url or "https://api.openai.com/v1")
    return OpenAIWire(
        spec=spec,
        identity=f"{spec}@{public_address(base)}" if base_url else spec,
        url=f"{base}/chat/completions",
        headers={"Authorization": f"Bearer {key}"},
        secrets=(key,),
        key_help="check OPENAI_API_KEY and what it is allowed to use",
        name_help=f"check the model's name {name!r}",
        model=name,
    )


def endpoint_wire(name: str, base_url: str | None, key: str | None = None) -> OpenAIWire:
    """``endpoint/NAME`` at ``base_url``, which usually ends in ``/v1``.

    The key, where the server wants one, is ``ENDPOINT_API_KEY``: OpenAI's own is never sent to
    another server.
    """
    spec = f"endpoint/{name}"
    if not base_url:
        raise OverrefusalError(f"{spec}: say where it is: --base-url http://127.0.0.1:8000/v1")
    base = address(spec, base_url)
    key = optional_key(spec, key, "ENDPOINT_API_KEY")
    return OpenAIWire(
        spec=spec,
        identity=f"{spec}@{public_address(base)}",
        url=f"{base}/chat/completions",
        headers={"Authorization": f"Bearer {key}"} if key else {},
        secrets=(key,) if key else (),
        key_help="set ENDPOINT_API_KEY to the key that this server expects",
        name_help=f"check the model's name {name!r} and --base-url, which usually ends in /v1",
        model=name,
        max_tokens_field="max_tokens",
    )


def azure_wire(name: str, base_url: str | None = None, key: str | None = None) -> OpenAIWire:
    """``azure/DEPLOYMENT`` at ``AZURE_OPENAI_ENDPOINT`` with ``AZURE_OPENAI_API_KEY``.

    ``OPENAI_API_VERSION`` chooses the version of the interface. Instead of a key,
    ``AZURE_OPENAI_AD_TOKEN`` may hold an Entra ID token.
    """
    spec = f"azure/{name}"
    base_url = base_url or os.environ.get("AZURE_OPENAI_ENDPOINT")
    if not base_url:
        raise OverrefusalError(
            f"{spec}: set AZURE_OPENAI_ENDPOINT to https://NAME.openai.azure.com"
        )
    base = address(spec, base_url)
    version = os.environ.get("OPENAI_API_VERSION") or "2024-10-21"
    token = None if key else optional_key(spec, None, "AZURE_OPENAI_AD_TOKEN")
    secret = token or api_key(spec, key, "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN")
    return OpenAIWire(
        spec=spec,
        identity=f"{spec}@{public_address(base)}",
        url=f"{base}/openai/deployments/{quote(name)}/chat/completions?api-version={quote(version)}",
        headers={"Authorization": f"Bearer {secret}"} if token else {"api-key": secret},
        secrets=(secret,),
        key_help="check AZURE_OPENAI_API_KEY (or AZURE_OPENAI_AD_TOKEN) and the resource's network",
        name_help=f"check the deployment's name {name!r} and AZURE_OPENAI_ENDPOINT",
        model=name,
    )
