"""Runs for tests of the reports: made of prompts and what became of them."""

from overrefusal import Expected, Message, Outcome, Prompt, Response, Verdict, suite_of
from overrefusal.runs.run import Run
from overrefusal.runs.store import Store


def prompt(name, expected=Expected.ANSWER, **fields):
    return Prompt(name, (Message("user", f"Prompt {name}?"),), expected, **fields)


def made_run(
    folder,
    answers,
    name="one",
    *,
    judge="rules/1",
    suite="exam",
    version="1",
    text="So",
    model="replay/log.jsonl",
):
    """A finished run in ``folder``: ``answers`` maps prompts to outcomes; ``None``: never asked."""
    store = Store(str(folder / "store.db"))
    exam = suite_of(suite, list(answers), version=version)
    store.save_suite(exam)
    record, _ = store.begin_run(
        fingerprint=f"{name}/{suite}/{judge}",
        suite=exam,
        judge=judge,
        variant={"model": model, "label": name},
        samples=1,
    )
    given = [(i, outcome) for i, outcome in enumerate(answers.values()) if outcome is not None]
    key = f"{record.id}/{{}}".format
    failed = [(i, 0, None, "no") for i, outcome in given if outcome is Outcome.ERROR]
    answered = [(i, outcome) for i, outcome in given if outcome is not Outcome.ERROR]
    store.link(record.id, failed)
    store.add_answers(record.id, [(i, 0, key(i), Response(text=text)) for i, _ in answered])
    store.add_verdicts(judge, [(key(i), Verdict(outcome)) for i, outcome in answered])
    store.finish_run(record.id)
    return Run(store, store.run(record.id))
