// Two responses side by side: the halves of a contrast pair, or a prompt before and after.

const CARDS_PER_PAGE = 4;

class Cards {
  // `halves(entry)` gives two of `[label, row, run]`; `kinds` maps a kind to its words.
  constructor(holder, data, { kinds, entries, halves, title }) {
    Object.assign(this, { holder, data, kinds, entries, halves, title, page: 0 });
    const label = `Which ${title}`;
    this.runs = data.runs.map((run, number) => number).filter((number) => entries(number).length);
    this.run = this.runs[0];
    this.kind = "";
    this.head = el("div", { class: "cards-head" });
    this.body = el("div");
    this.state = el("p", { role: "status" });
    if (this.run === undefined) return;
    if (this.runs.length > 1) {
      this.head.append(this.select("Run", this.runs.map((run) => [run, safe(data.runs[run].name).slice(0, 40)]), (value) => {
        this.run = Number(value);
      }));
    }
    this.head.append(this.select(label, [["", `all ${title}`], ...Object.entries(kinds)], (value) => {
      this.kind = value;
    }));
    this.back = el("button", { type: "button", onclick: () => this.turn(-1) }, "Previous");
    this.on = el("button", { type: "button", onclick: () => this.turn(1) }, "Next");
    this.head.append(this.back, this.on, this.state);
    holder.append(this.head, this.body);
    this.show();
  }

  select(label, options, chosen) {
    const select = el("select", { "aria-label": label }, ...options.map(([value, words]) => el("option", { value }, words)));
    select.addEventListener("change", () => {
      chosen(select.value);
      this.page = 0;
      this.show();
    });
    return select;
  }

  turn(by) {
    this.page += by;
    this.show();
  }

  async show() {
    const order = Object.keys(this.kinds);
    const all = this.entries(this.run)
      .filter((entry) => !this.kind || entry.kind === this.kind)
      .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || a.row - b.row);
    const pages = Math.max(1, Math.ceil(all.length / CARDS_PER_PAGE));
    const from = this.page * CARDS_PER_PAGE;
    const shown = all.slice(from, from + CARDS_PER_PAGE);
    this.state.textContent = all.length ? `${from + 1} to ${from + shown.length} of ${all.length} ${this.title}` : `no ${this.title}`;
    this.back.disabled = this.page === 0;
    this.on.disabled = this.page >= pages - 1;
    const cards = await Promise.all(shown.map((entry) => this.card(entry)));
    this.body.replaceChildren(...cards);
  }

  async card(entry) {
    const halves = await Promise.all(this.halves(entry, this.run).map((half) => this.half(...half)));
    const card = el("article", { class: "card" }, el("h4", {}, this.kinds[entry.kind]));
    const questions = halves.map((half) => half.querySelector(".asked"));
    // Before and after are of one prompt, which is then said once.
    if (questions[0] && questions[0].textContent === questions[1]?.textContent) {
      questions[1].remove();
      card.append(questions[0]);
    }
    card.append(...halves);
    return card;
  }

  async half(label, row, run) {
    const { data } = this;
    const content = row === undefined ? null : await data.row(row);
    const sample = content?.runs[run]?.[0];
    if (!sample) return el("div", { class: "half" }, el("p", { class: "who" }, `${label}: not run`));
    return el("div", { class: "half" },
      el("p", { class: "who" }, `${label} `, ...badges(data, row, run)),
      el("p", { class: "asked", dir: "auto" }, ...excerpt(lastTurn(content), [], 400)),
      el("p", { class: "said clamp", dir: "auto" }, ...clipped(sample)),
      el("p", { class: "who" }, el("a", { href: linkTo(data, row, run) }, "open it", el("span", { class: "away" }, ` (${safe(content.id).slice(0, 80)})`))));
  }
}

function clipped(sample) {
  const text = sample.text ?? sample.error ?? "";
  return text.length > 1500 ? [safe(text.slice(0, 1500)), "…"] : spans(text, sample.evidence);
}

function pairCards(data) {
  const holder = document.getElementById("pair-cards");
  if (!holder) return;
  const kinds = { reversed: PAIRS.reversed, cautious: PAIRS.cautious, lax: PAIRS.lax, right: PAIRS.right };
  new Cards(holder, data, {
    title: "pairs",
    kinds,
    entries: (run) => data.index.pairs
      .map(([row, twin]) => ({ row, twin, kind: data.pair(row, run) }))
      .filter((entry) => entry.kind),
    halves: ({ row, twin }, run) => [["harmless", row, run], ["harmful", twin, run]],
  });
}

function flipCards(data) {
  const holder = document.getElementById("flip-cards");
  const baseline = data.runs.findIndex((run) => run.baseline);
  if (!holder || baseline < 0) return;
  const { any, ...kinds } = FLIPS;
  const entries = data.runs.map((_, run) => {
    const found = [];
    for (let row = 0; row < data.size; row++) {
      const kind = data.flip(row, run);
      if (kind) found.push({ row, kind });
    }
    return found;
  });
  new Cards(holder, data, {
    title: "flips",
    kinds,
    entries: (run) => entries[run],
    halves: ({ row }, run) => [
      ["before", data.find(data.index.ids[row], baseline), baseline],
      ["now", row, run],
    ],
  });
}
