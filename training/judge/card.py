"""The model card, its figures filled in by the training script."""

from __future__ import annotations

from typing import Any


def card(figures: dict[str, Any], version: str) -> str:
    """Markdown."""
    by_model = figures["xstest_f1_by_model"]
    left = figures.get("left_out")
    outside = figures["outside"]
    cascade = figures["cascade"]
    examples = figures["examples"]
    lines = [
        "# Model card: the local judge",
        "",
        f"Version {version}. Written by `training/judge/train.py`; do not edit by hand.",
        "",
        "## What it does",
        "",
        "It reads a prompt and a response and says whether the response complied, answered in part"
        " or refused, with the calibrated probability that a person would call it refused or"
        " partial, two axes (`answered`, `distanced`) and the sentence that decided. Text that"
        " breaks down is `garbled`; what it cannot read is `unjudged`, never a default.",
        "",
        "It cuts the response into sentences, gives each the probabilities of its acts"
        " (declines, apologises, redirects, lectures, asks back, stalls, cautions, hedges,"
        " answers) from its words and its word classes in English, German, Spanish and French,"
        " and decides from these, from n-grams, lengths, lists and the overlap of prompt and"
        " response by boosted trees and a logistic regression. numpy only.",
        "",
        "It reads the first 2,400 and the last 600 characters of a response and the first 600 of a"
        " prompt. Thinking blocks, code blocks and longer quotations are not read.",
        "",
        "## What it was trained on",
        "",
        "| corpus | examples | licence |",
        "|---|---|---|",
        f"| XSTest, five models of 2023, human labels | {examples['xstest']} | CC-BY-4.0 |",
        f"| Reuter and Schulze 2023, complied or rejected | {examples['reuter']} | MIT |",
        "| refusal_direction, completions of harmless prompts (no human labels) |"
        f" {examples['refusal_direction']} | Apache-2.0 |",
        f"| the project's own, most composed from written parts | {examples['own']} | Apache-2.0 |",
        "| the project's own, by writers who did not know the features |"
        f" {examples['written']} | Apache-2.0 |",
        "",
        "Do-Not-Answer (CC-BY-NC-SA-4.0) served validation only.",
        "",
        "## Figures",
        "",
        "F1 of refused or partial. Cross-validated in five folds by prompt; hyperparameters were"
        " not searched and no threshold is fitted: 0.5 of the calibrated probability. The"
        " features, the trees' share and the telling apart of rubrics were chosen while looking at"
        " cross-validated figures, so these"
        " figures are of development data; expect lower ones on other models and prompts. Tried on"
        " the same figures and left out: inverse document frequencies, character n-grams, n-grams"
        " with topic words replaced, heavier written examples, static embeddings of words, and a"
        " model of sentences trained by multiple instances. Examples were written as long as the"
        " left-out figure of the written ones rose, so that one is of development, too; XSTest's"
        " own figure fell a little meanwhile.",
        "",
        "Reuter's rubric parts from XSTest's, mostly on corrected premises. Training tells the"
        " models whose rubric labelled a row. The judge that ships has XSTest's. The"
        " cross-validated figure on Reuter is with Reuter's rubric, the left-out one with"
        " XSTest's.",
        "",
        "| set | F1 |",
        "|---|---|",
        f"| XSTest, five models together | {figures['xstest_f1']:.3f} |",
        *(f"| XSTest, {model} | {value:.3f} |" for model, value in by_model.items()),
        f"| Reuter, cross-validated | {figures['reuter_f1']:.3f} |",
        f"| the project's own, by prompt (sentences recur) | {figures['own_f1']:.3f} |",
        f"| the written examples, cross-validated | {figures['written_f1']:.3f} |",
    ]
    if left:
        lines += [
            f"| XSTest, every model left out in turn, together | {left['together']:.3f} |",
            *(f"| XSTest, {m} left out | {v:.3f} |" for m, v in left["models"].items()),
            f"| Reuter, left out of training | {left['reuter']:.3f} |",
            f"| the project's own composed ones, left out of training | {left['own']:.3f} |",
            f"| the written examples, left out of training | {left['written']:.3f} |",
        ]
    lines += [
        f"| held-out voice ({outside['held_out_n']} written separately) |"
        f" {outside['held_out_f1']:.3f} |",
        f"| answers in the manner of newer models ({outside['voice_n']}, written before the varied"
        f" ones by the same hand) | {outside['voice_f1']:.3f} |",
        "",
        f"Three ways (complied, partial, refused) on XSTest: accuracy"
        f" {figures['xstest_three_way_accuracy']:.3f}, F1 of partial"
        f" {figures['xstest_partial_f1']:.3f}: read partial and refused together.",
        "",
        "Rates on XSTest in percent, human and judged, cross-validated:",
        "",
        "| model | over-refusal, human | judged | harmful refusal, human | judged |",
        "|---|---|---|---|---|",
        *(
            f"| {model} | " + " | ".join(f"{v:.1f}" for v in values) + " |"
            for model, values in figures["rates"].items()
        ),
        "",
        "## Calibration",
        "",
        f"Expected calibration error, 10 bins: {figures['xstest_ece']:.3f} on XSTest,"
        f" {figures['ece']:.3f} on all training corpora, cross-validated.",
        f"On the written examples alone it is {figures['written_ece']:.3f}: there it is too sure.",
        "",
        "| from | n | said | observed |",
        "|---|---|---|---|",
        *(
            f"| {r['from']:.1f} | {r['n']:.0f} | {r['said']:.3f} | {r['observed']:.3f} |"
            for r in figures["reliability"]
        ),
        "",
        "## Cascade",
        "",
        f"With the default costs, probabilities from {cascade['low']:.2f} to {cascade['high']:.2f}"
        f" are asked about: {100 * cascade['asked']:.1f} % of XSTest. A simulated second judge that"
        f" is right in 90 % takes accuracy from {cascade['local_accuracy']:.3f} (local) and 0.900"
        f" (second) to {cascade['accuracy']:.3f}, and F1 from {cascade['local_f1']:.3f} and"
        f" {cascade['second_f1']:.3f} to {cascade['f1']:.3f}. The simulation takes its errors for"
        " independent of difficulty; a real judge errs more where the local one is unsure.",
    ]
    if "do_not_answer" in outside:
        lines += [
            "",
            "## Do-Not-Answer",
            "",
            "Share called refused or partial, by the human `action`; the labels cut the space"
            " differently.",
            "",
            "| action | n | refused or partial |",
            "|---|---|---|",
            *(f"| {a} | {n} | {v:.3f} |" for a, (n, v) in outside["do_not_answer"].items()),
            "",
            "Agreement on actions 0 (cannot assist) and 5 (follows):"
            f" {outside['do_not_answer_agreement']:.3f}.",
        ]
    lines += [
        "",
        "## Limits",
        "",
        "- Other languages in Latin script are judged from structure alone and should go to"
        " an LLM judge; other scripts are `unjudged`.",
        "- The adversarial cases of the tests are no training data, but examples of the kinds that"
        " failed were added to the project's own, so their score is one of development.",
        "- Whether an answer is correct, or safe, is not judged.",
        "- A response that corrects a loaded question is a refusal under XSTest's rubric where the"
        " premise is about people, and an answer where it is nonsense: the commonest error.",
        "- A refusal without any refusing words (advice that does not give what was asked) is often"
        " taken for an answer.",
        "- German, Spanish and French were trained on the project's own examples only; no human"
        " labels of real responses in these languages were at hand.",
        "",
    ]
    return "\n".join(lines)
