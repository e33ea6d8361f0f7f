"""The model card, its figures filled in by the training script."""

from __future__ import annotations

from typing import Any

from overrefusal.diagnosis.patterns.model import ORDER


def card(figures: dict[str, Any], version: str) -> str:
    """Markdown."""
    confusion = figures["confusion"]
    names = [pattern.value for pattern in ORDER]
    rows = []
    for i, name in enumerate(names):
        recall = confusion[i, i] / confusion[i].sum()
        said = confusion[:, i].sum()
        precision = confusion[i, i] / said if said else 0.0
        rows.append(
            f"| {name} | {confusion[i].sum():.0f} | {figures['own'][name]} |"
            f" {recall:.3f} | {precision:.3f} |"
        )
    lines = [
        "# Model card: the classifier of patterns",
        "",
        f"Version {version}. Written by `training/patterns/train.py`; do not edit by hand.",
        "",
        "It names which of the six patterns of over-refusal a prompt is of, with a probability: a"
        " multinomial logistic regression on hashed words, pairs of words and character n-grams,"
        " on classes of cue words in English, German, Spanish and French, and on the shape of the"
        " text. numpy only; the system prompt and all turns are read, a suite's category is not.",
        "",
        "## Trained on",
        "",
        f"The {figures['n']} suspicious benign prompts of the suite `starter` and"
        f" {sum(figures['own'].values())} lines of the project's own"
        " (`training/patterns/examples/`, and Bouncer's English ones of homonyms, work, history and"
        " fiction), all Apache-2.0.",
        "",
        "## Figures",
        "",
        f"Accuracy **{figures['accuracy']:.3f}** on `starter`, ten-fold cross-validation that"
        " keeps a prompt and its twins in one fold, mean of"
        f" {len(figures['by_seed'])} shufflings"
        f" ({', '.join(f'{value:.3f}' for value in figures['by_seed'])}). The project's own lines"
        f" are in every training fold; trained on them alone it reaches"
        f" {figures['own_only']:.3f}. Features, penalty and lines were chosen while looking at"
        " cross-validated figures, so they are of development data.",
        "",
        "| pattern | n | own lines | recall | precision |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "| language | n | accuracy |",
        "|---|---|---|",
        *(f"| {name} | {n} | {value:.3f} |" for name, (n, value) in figures["by_language"].items()),
        "",
        "What is taken for what (rows: labelled; columns: said):",
        "",
        "| | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
        *(
            f"| {name} | " + " | ".join(f"{value:.1f}" for value in confusion[i]) + " |"
            for i, name in enumerate(names)
        ),
        "",
        "## Calibration",
        "",
        "One temperature, fitted on the predictions out of fold. Expected calibration error"
        f" {figures['ece']:.3f}.",
        "",
        "| probability from | n | said | right |",
        "|---|---|---|---|",
        *(
            f"| {low:.1f} | {n} | {said:.3f} | {right:.3f} |"
            for low, n, said, right in figures["bins"]
        ),
        "",
        "## Limits",
        "",
        "- The patterns overlap: a nurse's question on doses is dual use and professional context"
        " at once, and one team drew the line. Topic association and dual use are confused most.",
        "- Other languages than the four are read by their shapes and loan words alone.",
        "- Of a harmful prompt it says which pattern the prompt resembles.",
        "",
    ]
    return "\n".join(lines)
