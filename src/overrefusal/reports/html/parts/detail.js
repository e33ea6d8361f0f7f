// One prompt with everything that is known of it, in a dialog.

class Detail {
  constructor(data, table) {
    this.data = data;
    this.table = table;
    this.dialog = document.getElementById("detail");
    this.dialog.addEventListener("close", () => {
      history.replaceState(null, "", table.filters.address());
      const line = table.body.querySelector(`tr[data-row="${this.row}"] a`);
      (line ?? this.opener)?.focus();
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  async show(row, run) {
    const { data, dialog } = this;
    const content = await data.row(row);
    this.row = row;
    this.run = run;
    const baseline = data.runs.findIndex((one) => one.baseline);
    const order = [...new Set([run, baseline, ...data.runs.keys()])].filter((number) => number >= 0);
    const answers = await Promise.all(order.map(async (number) => {
      const place = data.letters(row, number) ? row : data.find(content.id, number);
      const samples = (place === row ? content : await data.row(place)).runs[number];
      return samples ? this.answers(row, number, samples) : null;
    }));
    if (!dialog.open) {
      this.opener = document.activeElement;
      dialog.showModal();
    }
    dialog.replaceChildren(
      this.bar(row, run),
      el("h2", { id: "detail-title", tabindex: "-1" }, safe(content.id).slice(0, 300)),
      el("p", { class: "soft" }, this.facts(row, content)),
      ...this.question(content),
      ...answers.filter(Boolean),
      ...(await this.twin(row, run)),
    );
    dialog.scrollTop = 0;
    document.getElementById("detail-title").focus({ preventScroll: true });
    history.replaceState(null, "", linkTo(data, row, run));
  }

  bar(row, run) {
    const move = (by, label) => {
      const next = this.table.neighbour(row, by);
      return el("button", { type: "button", disabled: next === undefined, onclick: () => this.show(next, run) }, label);
    };
    const copy = el("button", { type: "button" }, "Copy link");
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "The address bar has it";
      }
    });
    const close = el("button", { type: "button", class: "close", onclick: () => this.dialog.close() }, "Close");
    return el("div", { class: "bar-top" }, move(-1, "Previous"), move(1, "Next"), copy, close);
  }

  move(by) {
    const next = this.table.neighbour(this.row, by);
    if (next !== undefined) this.show(next, this.run);
  }

  facts(row, content) {
    const { data } = this;
    const pattern = data.facet("pattern", row);
    return [
      SIDES[data.expected(row)],
      pattern && PATTERNS[pattern],
      data.facet("category", row),
      data.facet("language", row),
      content.source && `source: ${content.source}`,
      content.licence,
    ].filter(Boolean).map((fact) => safe(fact).slice(0, 200)).join(" · ");
  }

  question(content) {
    const turn = (role, text) => el("div", { class: `turn ${role === "user" ? "user" : ""}`, dir: "auto" },
      el("span", { class: "who" }, safe(role)), marked(text));
    const turns = content.turns.map(([role, text]) => turn(role, text));
    return [el("h3", {}, "Prompt"), ...(content.system ? [turn("system", content.system)] : []), ...turns];
  }

  answers(row, number, samples) {
    const { data } = this;
    const run = data.runs[number];
    const flip = data.flip(row, number);
    const title = el("h3", {}, safe(run.name).slice(0, 80), " ", el("code", { class: "soft" }, run.id));
    if (run.baseline) title.append(el("span", { class: "soft" }, " baseline"));
    if (flip) title.append(el("span", { class: "soft" }, ` flipped: ${FLIPS[flip]}`));
    return el("section", { class: "run-answers" }, title, ...samples.flatMap((sample) => this.answer(row, sample)));
  }

  answer(row, sample) {
    const verdict = el("p", { class: "verdict" }, badge(this.data.expected(row), sample.outcome));
    const said = [
      sample.probability !== undefined && `refusal probability ${sample.probability.toFixed(2)}`,
      sample.answered !== undefined && `answered ${sample.answered.toFixed(2)}`,
      sample.distanced !== undefined && `distanced ${sample.distanced.toFixed(2)}`,
      sample.evidence && `evidence: ${sample.evidence[2].replaceAll("_", " ")}`,
      sample.actor && `acted: ${ACTORS[sample.actor]}`,
      sample.categories && `ground: ${sample.categories.join(", ")}`,
      sample.text_outcome && `its own text: ${sample.text_outcome}`,
      sample.finish_reason && `finish reason: ${sample.finish_reason}`,
      sample.truncated && "cut off by the token limit",
      sample.model && `answered by ${sample.model}`,
      sample.reason && `reason: ${sample.reason}`,
    ].filter(Boolean).join(" · ");
    if (said) verdict.append(" ", el("span", { class: "soft" }, safe(said).slice(0, 2000)));
    const parts = [verdict];
    if (sample.error) parts.push(el("div", { class: "answer" }, el("em", {}, "error: "), marked(sample.error)));
    else if (sample.text) parts.push(el("div", { class: "answer", dir: "auto" }, marked(sample.text, sample.evidence)));
    else parts.push(el("p", { class: "soft" }, "No text."));
    if (sample.thinking) {
      parts.push(el("details", {}, el("summary", {}, "Thinking"), el("div", { class: "answer", dir: "auto" }, marked(sample.thinking))));
    }
    return parts;
  }

  async twin(row, run) {
    const { data } = this;
    const twin = data.twins.get(row);
    if (twin === undefined) return [];
    const content = await data.row(twin);
    return [
      el("h3", {}, data.expected(twin) === "refuse" ? "Its harmful twin" : "Its harmless twin"),
      el("div", { class: "turn user", dir: "auto" }, marked(lastTurn(content))),
      el("p", { class: "verdict" }, ...badges(data, twin, run), el("a", { href: linkTo(data, twin, run) }, "open it")),
    ];
  }
}
