// What is chosen, in the address as well, so that any view can be linked; and which rows match.

const FLIPS = {
  any: "any flip",
  safety_lost: "harmful, answered now",
  refusal_new: "harmless, declined now",
  refusal_mended: "harmless, answered now",
  safety_gained: "harmful, declined now",
};
const PAIRS = {
  right: "told apart",
  cautious: "both declined",
  lax: "both answered",
  reversed: "the wrong one declined",
};
// What an answer can be besides one outcome: a word for several of them.
const GROUPED = { declined: "declined (refused or partial)", answered: "not declined" };
// The questions that most readers come with.
const VIEWS = [
  ["all", {}],
  ["harmless, declined", { side: "answer", outcome: "declined" }],
  ["harmful, not declined", { side: "refuse", outcome: "answered" }],
  ["flipped", { flip: "any" }],
  ["judge unsure", { sure: "no" }],
];
const CHOICES = ["run", "side", "outcome", "pattern", "category", "language", "flip", "pair", "sure", "q", "sort", "page"];

class Filters {
  constructor(data) {
    this.data = data;
    this.chosen = { run: data.runs[0].id };
  }

  get run() {
    return Math.max(0, this.data.runs.findIndex((run) => run.id === this.chosen.run));
  }

  get terms() {
    return (this.chosen.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  }

  // From the address: true where it speaks of prompts at all.
  read(hash) {
    const found = new URLSearchParams(hash.replace(/^#/, ""));
    if (!hash.includes("=")) return false;
    this.chosen = { run: this.data.runs[0].id };
    for (const name of CHOICES) if (found.has(name)) this.chosen[name] = found.get(name);
    return true;
  }

  address() {
    const wanted = new URLSearchParams();
    for (const name of CHOICES) if (this.chosen[name]) wanted.set(name, this.chosen[name]);
    return `#${wanted}`;
  }

  // Row numbers that fit all choices but the search, sorted.
  rows() {
    return this.sorted(this.fitting(this.chosen));
  }

  fitting(chosen) {
    const { data, run } = this;
    const letter = Object.keys(OUTCOMES).find((key) => OUTCOMES[key] === chosen.outcome);
    const tests = [];
    if (chosen.side) tests.push((row) => data.expected(row) === chosen.side);
    if (letter) tests.push((row) => data.letters(row, run).includes(letter));
    if (Object.hasOwn(GROUPED, chosen.outcome ?? "")) {
      const wanted = [...JUDGED].filter((one) => DECLINED.includes(one) === (chosen.outcome === "declined"));
      tests.push((row) => wanted.some((one) => data.letters(row, run).includes(one)));
    }
    for (const name of ["pattern", "category", "language"]) {
      if (chosen[name] === undefined || chosen[name] === "") continue;
      const wanted = data.index[name].names.indexOf(chosen[name] === ABSENT ? "" : chosen[name]);
      const number = wanted < 0 ? data.index[name].names.indexOf(chosen[name]) : wanted;
      tests.push((row) => data.index[name].rows[row] === number);
    }
    if (chosen.flip === "any") tests.push((row) => data.flip(row, run) !== "");
    else if (chosen.flip) tests.push((row) => data.flip(row, run) === chosen.flip);
    if (chosen.pair) tests.push((row) => data.pair(row, run) === chosen.pair);
    if (chosen.sure === "no") {
      tests.push((row) => {
        const p = data.probability(row, run);
        return p !== null && p > 0.2 && p < 0.8;
      });
    }
    const found = [];
    for (let row = 0; row < data.size; row++) {
      if (data.letters(row, run) && tests.every((test) => test(row))) found.push(row);
    }
    return found;
  }

  sorted(rows) {
    const { data, run } = this;
    const [name, direction] = (this.chosen.sort ?? "").split("-");
    const text = (of) => (a, b) => of(a).localeCompare(of(b));
    const orders = {
      id: text((row) => data.index.ids[row]),
      side: text((row) => data.expected(row)),
      outcome: text((row) => data.letters(row, run)),
      pattern: text((row) => data.facet("pattern", row)),
      category: text((row) => data.facet("category", row)),
      language: text((row) => data.facet("language", row)),
      probability: (a, b) => (data.probability(a, run) ?? 2) - (data.probability(b, run) ?? 2),
    };
    if (!Object.hasOwn(orders, name)) return rows;
    const sign = direction === "down" ? -1 : 1;
    return rows.sort((a, b) => sign * orders[name](a, b) || a - b);
  }

  // Those of `rows` whose texts hold every term; `report(found, share)` is called on the way.
  // A newer search stops an older one, which then returns null.
  async search(rows, report) {
    const ticket = (this.ticket = {});
    const { terms, data, run } = this;
    if (!terms.length) return rows;
    const wanted = new Map();
    for (const row of rows) {
      const number = data.blockOf(row);
      if (!wanted.has(number)) wanted.set(number, []);
      wanted.get(number).push(row);
    }
    const hits = new Set();
    let done = 0;
    let last = performance.now();
    for (const [number, members] of wanted) {
      const block = await data.block(number);
      if (this.ticket !== ticket) return null;
      for (const row of members) {
        if (matches(block[row % data.index.per_block], terms, run)) hits.add(row);
      }
      done += 1;
      if (performance.now() - last > 150) {
        report(rows.filter((row) => hits.has(row)), done / wanted.size);
        await new Promise((resolve) => setTimeout(resolve));
        if (this.ticket !== ticket) return null;
        last = performance.now();
      }
    }
    return rows.filter((row) => hits.has(row));
  }
}

function matches(row, terms, run) {
  const answers = (row.runs[run] ?? []).map((sample) => `${sample.text ?? ""}\n${sample.error ?? ""}`);
  const text = [row.id, ...row.turns.map((turn) => turn[1]), ...answers].join("\n").toLowerCase();
  return terms.every((term) => text.includes(term));
}
