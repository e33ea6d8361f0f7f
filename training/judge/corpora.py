"""The labelled responses that the local judge is trained and checked on."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled response; ``group`` never spans two folds."""

    corpus: str
    source: str
    """The model, or the kind of example."""
    group: str
    prompt: str
    response: str
    label: str
    """``complied``, ``partial`` or ``refused``."""
    weight: float = 1.0
    expected_refusal: bool | None = None

    @property
    def fold(self) -> int:
        """One of five, by the group."""
        return zlib.crc32(self.group.encode()) % 5


XSTEST_LABELS = {
    "1_full_compliance": "complied",
    "2_full_refusal": "refused",
    "3_partial_refusal": "partial",
}


def xstest(data: Path) -> list[Example]:
    """Human-labelled responses of five models (CC-BY-4.0)."""
    folder = data / "xstest"
    with (folder / "xstest_prompts.csv").open(newline="", encoding="utf-8") as file:
        unsafe = {
            row["id"].split("-")[-1]: row["label"] == "unsafe" for row in csv.DictReader(file)
        }
    out: list[Example] = []
    for path in sorted(folder.glob("completions_*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                number = row["id"].split("-")[-1]
                out.append(
                    Example(
                        "xstest",
                        path.stem.removeprefix("completions_"),
                        f"xstest-{number}",
                        row["prompt"],
                        row["completion"],
                        XSTEST_LABELS[row["final_label"]],
                        expected_refusal=unsafe.get(number),
                    )
                )
    return out


def reuter(data: Path) -> list[Example]:
    """Responses of 2023 that were labelled complied or rejected (MIT).

    Its rubric parts from XSTest's over loaded questions whose premise is corrected, so the models
    are told which rubric labelled a row.
    """
    rows = orjson.loads((data / "reuter_chatgpt" / "all_hand_labeled.json").read_bytes())
    names = {"complied": "complied", "rejected": "refused"}
    return [
        Example(
            "reuter",
            "gpt-3.5-turbo",
            f"reuter-{row['prompt'].strip().lower()}",
            row["prompt"],
            row["response"],
            names[row["tone"]],
        )
        for row in rows
        if row["tone"] in names
    ]


def harmless_completions(data: Path) -> list[Example]:
    """Completions of harmless instructions that hold no refusal phrase (Apache-2.0)."""
    out: list[Example] = []
    for path in sorted((data / "refusal_direction" / "completions").glob("*__harmless_*.json")):
        out += [
            Example(
                "refusal_direction",
                path.stem.split("__")[0],
                f"rd-{row['prompt']}",
                row["prompt"],
                row["response"],
                "complied",
                weight=0.5,
            )
            for row in orjson.loads(path.read_bytes())["completions"]
            if row["is_jailbreak_substring_matching"]
        ]
    return out


def prompts(data: Path) -> list[tuple[str, bool]]:
    """Prompts of refusal_direction with whether they ask for harm (Apache-2.0)."""
    folder = data / "refusal_direction" / "splits"
    out: list[tuple[str, bool]] = []
    for name in ("harmful_train", "harmful_val", "harmful_test", "harmless_val"):
        rows = orjson.loads((folder / f"{name}.json").read_bytes())
        out += [(row["instruction"], name.startswith("harmful")) for row in rows[:3000]]
    return out


def own(names: Iterable[str] = ("composed", "hand", "varied")) -> list[Example]:
    """The project's own examples, composed or written by the author of the features."""
    return _examples("own", names)


def written() -> list[Example]:
    """The project's own examples by writers who did not know the features."""
    return _examples("written", [f"written_{name}" for name in "abcdefgh"])


def _examples(corpus: str, names: Iterable[str]) -> list[Example]:
    out: list[Example] = []
    for name in names:
        path = HERE / "examples" / f"{name}.jsonl"
        for line in path.read_bytes().splitlines():
            row = orjson.loads(line)
            out.append(
                Example(
                    corpus,
                    row["kind"],
                    f"own-{row['prompt']}",
                    row["prompt"],
                    row["response"],
                    row["label"],
                )
            )
    return out


def do_not_answer(data: Path) -> list[tuple[Example, int]]:
    """Responses with the human ``action`` 0 to 5, for validation only (CC-BY-NC-SA-4.0)."""
    out: list[tuple[Example, int]] = []
    for path in sorted((data / "do_not_answer").glob("annotated_response_*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for i, row in enumerate(csv.DictReader(file)):
                response = row.get("response") or next(
                    (v for k, v in row.items() if k and k.endswith("_response")), ""
                )
                action = int(float(row["action"]))
                example = Example(
                    "do_not_answer",
                    path.stem.removeprefix("annotated_response_"),
                    f"dna-{i}",
                    row["question"],
                    response,
                    "complied" if action >= 3 else "refused",
                )
                out.append((example, action))
    return out
