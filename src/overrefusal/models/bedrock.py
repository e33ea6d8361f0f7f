"""Amazon Bedrock's Converse interface."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from overrefusal.errors import OverrefusalError
from overrefusal.models.payload import as_int, error_message
from overrefusal.models.settings import address, optional_key, public_address
from overrefusal.models.signals import ACTORS, TRUNCATED
from overrefusal.models.thinking import join_thinking, split_thinking
from overrefusal.models.wire import Call, Wire, split_system
from overrefusal.records import Actor, Request, Response

Sign = Callable[[str, bytes], dict[str, str]]
"""From an address and a body to the headers that sign them."""


@dataclass(frozen=True, slots=True)
class BedrockWire(Wire):
    """Converse at ``url``."""

    sign: Sign | None = None
    """``None`` where a bearer token in ``headers`` does instead."""
    guardrail: tuple[str, str] | None = None
    """Identifier and version."""

    def call(self, request: Request) -> Call:
        """The POST that asks ``request``; the interface knows no seed."""
        sampling = request.sampling
        system, turns = split_system(request.messages)
        body: dict[str, Any] = {
            "messages": [{"role": m.role, "content": [{"text": m.content}]} for m in turns]
        }
        if system:
            body["system"] = [{"text": system}]
        config = {
            "maxTokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "topP": sampling.top_p,
        }
        config = {name: value for name, value in config.items() if value is not None}
        if config:
            body["inferenceConfig"] = config
        if self.guardrail:
            # Without the trace a block names neither its side nor its categories.
            identifier, version = self.guardrail
            body["guardrailConfig"] = {
                "guardrailIdentifier": identifier,
                "guardrailVersion": version,
                "trace": "enabled",
            }
        packed = orjson.dumps(body)
        headers = self.headers if self.sign is None else self.sign(self.url, packed)
        return Call(self.url, headers, packed)

    def read(self, payload: dict[str, Any]) -> Response:
        """The answer of a conversation's turn.

        The sentence that a guardrail puts in the place of a blocked answer is the filter's, not
        the model's: it stays in ``raw``, and the text is what the trace records of the model.
        """
        blocks = payload["output"]["message"]["content"]
        text, inline = split_thinking("".join(b["text"] for b in blocks if "text" in b))
        apart = [b["reasoningContent"] for b in blocks if "reasoningContent" in b]
        thinking = [r["reasoningText"]["text"] for r in apart if "reasoningText" in r]
        stop = payload["stopReason"]
        actor = ACTORS.get(stop)
        usage = payload.get("usage") or {}
        categories: tuple[str, ...] = ()
        if stop == "guardrail_intervened":
            guardrail = (payload.get("trace") or {}).get("guardrail") or {}
            actor, categories, masked = _intervention(guardrail, usage)
            if not masked:
                text = "".join(guardrail.get("modelOutput") or ())
        return Response(
            text=text,
            thinking=join_thinking(*thinking, inline),
            finish_reason=stop,
            actor=actor,
            categories=categories,
            truncated=stop in TRUNCATED,
            model_reported=self.model,
            input_tokens=as_int(usage.get("inputTokens")),
            output_tokens=as_int(usage.get("outputTokens")),
            raw=payload,
        )

    def hopeless(self, status: int, payload: dict[str, Any]) -> str | None:
        """A name that no model has is reported as a bad request."""
        said = error_message(payload)
        if status == 400 and "model identifier is invalid" in said:
            return f"no such model (HTTP 400): {self.name_help}"
        return None


def _intervention(guardrail: dict[str, Any], usage: dict[str, Any]) -> tuple[Actor, Any, bool]:
    """Who intervened, on what ground, and whether it only masked parts of the answer."""
    on_input = list(_grounds(guardrail.get("inputAssessment")))
    on_output = list(_grounds(guardrail.get("outputAssessments")))
    for actor, grounds in ((Actor.FILTER_INPUT, on_input), (Actor.FILTER_OUTPUT, on_output)):
        if blocked := [name for name, action in grounds if action == "BLOCKED"]:
            return actor, tuple(dict.fromkeys(blocked)), False
    if masked := [name for name, _ in on_output or on_input]:
        return Actor.FILTER_OUTPUT, tuple(dict.fromkeys(masked)), True
    # Without a trace: a blocked prompt never reached the model.
    reached = bool(usage.get("outputTokens"))
    return (Actor.FILTER_OUTPUT if reached else Actor.FILTER_INPUT), (), False


def _grounds(assessment: Any) -> Iterator[tuple[str, str]]:
    """``(name, action)`` of all that a guardrail's assessment acted on, however deeply nested."""
    if isinstance(assessment, list):
        for item in assessment:
            yield from _grounds(item)
    elif isinstance(assessment, dict):
        action = assessment.get("action")
        if isinstance(action, str):
            if action in ("BLOCKED", "ANONYMIZED"):
                name = assessment.get("name") or assessment.get("type") or "CUSTOM_WORD"
                yield str(name), action
        else:
            for item in assessment.values():
                yield from _grounds(item)


def bedrock_wire(name: str, base_url: str | None = None, key: str | None = None) -> BedrockWire:
    """``bedrock/MODEL-ID`` in ``AWS_REGION``.

    With the bearer token of ``AWS_BEARER_TOKEN_BEDROCK``, else signed with whatever credentials
    botocore finds (``AWS_ACCESS_KEY_ID``, profiles, roles). ``BEDROCK_GUARDRAIL`` names a
    guardrail to apply, as ``IDENTIFIER:VERSION``.
    """
    spec = f"bedrock/{name}"
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise OverrefusalError(f"{spec}: set AWS_REGION, for example to us-east-1")
    base = address(spec, base_url or f"https://bedrock-runtime.{region}.amazonaws.com")
    token = optional_key(spec, key, "AWS_BEARER_TOKEN_BEDROCK")
    guardrail = _guardrail(spec)
    identity = f"{spec}@{public_address(base)}"
    if guardrail:
        identity += f"+guardrail:{':'.join(guardrail)}"
    return BedrockWire(
        spec=spec,
        identity=identity,
        url=f"{base}/model/{quote(name, safe='')}/converse",
        headers={"Authorization": f"Bearer {token}"} if token else {},
        secrets=(token,) if token else (),
        key_help="check AWS_BEARER_TOKEN_BEDROCK or the AWS credentials, and the model's access "
        f"in {region}",
        name_help=f"check the model's identifier {name!r} and AWS_REGION ({region})",
        model=name,
        sign=None if token else _signer(spec, region),
        guardrail=guardrail,
    )


def _guardrail(spec: str) -> tuple[str, str] | None:
    value = os.environ.get("BEDROCK_GUARDRAIL")
    if not value:
        return None
    # An identifier may be an ARN, which has colons of its own.
    identifier, _, version = value.rpartition(":")
    if not identifier or not version:
        raise OverrefusalError(f"{spec}: BEDROCK_GUARDRAIL is {value!r}; write IDENTIFIER:VERSION")
    return identifier, version


def _signer(spec: str, region: str) -> Sign:
    """Signs with AWS Signature Version 4, by botocore, which also renews credentials."""
    try:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.session import Session
    except ImportError:
        raise OverrefusalError(
            f"{spec}: set AWS_BEARER_TOKEN_BEDROCK, or pip install 'overrefusal[bedrock]' to sign "
            "with AWS credentials"
        ) from None
    credentials = Session().get_credentials()
    if credentials is None:
        raise OverrefusalError(
            f"{spec}: no AWS credentials; set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )

    def sign(url: str, body: bytes) -> dict[str, str]:
        signed = AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
        SigV4Auth(credentials, "bedrock", region).add_auth(signed)
        return dict(signed.headers.items())

    return sign
