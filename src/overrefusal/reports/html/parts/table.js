// The list of prompts: filters, a table of one page, a pager.

const PER_PAGE = 50;
const COLUMNS = [
  ["id", "Prompt and response"],
  ["side", "Expected"],
  ["outcome", "Outcome"],
  ["probability", "p(refusal)", "facet"],
  ["pattern", "Pattern", "facet"],
  ["category", "Category", "facet"],
  ["language", "Language", "facet"],
];

class Table {
  constructor(data, filters) {
    this.data = data;
    this.filters = filters;
    this.rows = [];
    this.form = document.getElementById("filters");
    this.count = document.getElementById("count");
    this.pager = document.getElementById("pager");
    this.head = document.querySelector("#list thead tr");
    this.body = document.querySelector("#list tbody");
    this.views = document.getElementById("views");
    this.buildForm();
  }

  // Links to the ready-made views of the chosen run, each with how many prompts it holds.
  showViews() {
    const { data, filters } = this;
    if (this.viewed !== filters.run) {
      this.viewed = filters.run;
      const run = data.runs[filters.run].id;
      const links = VIEWS
        .map(([words, choices]) => [words, choices, filters.fitting(choices).length])
        .filter(([words, , n]) => n || words !== "flipped" && words !== "judge unsure")
        .map(([words, choices, n]) => el("a", { href: `#${new URLSearchParams({ run, ...choices })}` },
          words, el("span", { class: "n" }, ` ${n.toLocaleString("en")}`)));
      this.views.replaceChildren(...links);
    }
    const { sort, page, ...chosen } = filters.chosen;
    const here = `#${new URLSearchParams({ run: data.runs[filters.run].id, ...chosen })}`;
    for (const link of this.views.children) {
      if (link.getAttribute("href") === here) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  buildForm() {
    const { data } = this;
    // A category may be called like a property that every object has.
    const words = (facet, name) => facet === "pattern" ? PATTERNS[name] : safe(name).slice(0, 60) || ABSENT;
    const names = (facet) => data.index[facet].names
      .map((name) => [name || ABSENT, words(facet, name)])
      .sort((a, b) => a[1].localeCompare(b[1]));
    const outcomes = [...Object.entries(GROUPED), ...Object.values(OUTCOMES).map((name) => [name, name])];
    const search = el("input", { type: "search", name: "q", id: "search", autocomplete: "off", spellcheck: "false" });
    this.form.append(el("label", { class: "wide" }, "Search prompts and responses", search));
    if (data.runs.length > 1) {
      this.select("run", "Run", data.runs.map((run) => [run.id, `${safe(run.name).slice(0, 40)} (${run.id})`]), null);
    }
    this.select("side", "Expected", Object.entries(SIDES));
    this.select("outcome", "Outcome", outcomes);
    if (data.index.pattern.names.length > 1) this.select("pattern", "Pattern", names("pattern"));
    if (data.index.category.names.length > 1) this.select("category", "Category", names("category"));
    if (data.index.language.names.length > 1) this.select("language", "Language", names("language"));
    if (data.runs.some((run) => run.baseline)) this.select("flip", "Flipped", Object.entries(FLIPS));
    if (data.index.pairs.length) this.select("pair", "Contrast pair", Object.entries(PAIRS));
    this.select("sure", "Judge", [["no", "uncertain only"]]);
    this.form.append(el("button", { type: "reset" }, "Clear"));
    let pause;
    this.form.addEventListener("input", (event) => {
      clearTimeout(pause);
      pause = setTimeout(() => this.choose(event.target.name, event.target.value), event.target === search ? 200 : 0);
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.filters.chosen = { run: this.filters.chosen.run };
      this.refresh();
    });
  }

  select(name, label, options, all = "all") {
    const select = el("select", { name }, ...(all === null ? [] : [el("option", { value: "" }, all)]));
    for (const [value, words] of options) select.append(el("option", { value }, words));
    this.form.append(el("label", {}, label, select));
  }

  choose(name, value) {
    const { chosen } = this.filters;
    if (value) chosen[name] = value;
    else delete chosen[name];
    if (name !== "page") delete chosen.page;
    return this.refresh();
  }

  // Show what the filters say, everywhere: address, form, count, table.
  async refresh({ address = true } = {}) {
    const { filters } = this;
    if (address) history.replaceState(null, "", filters.address());
    for (const field of this.form.elements) {
      if (!field.name) continue;
      const value = filters.chosen[field.name] ?? "";
      if (field.value !== value) field.value = value;
    }
    this.showViews();
    const candidates = filters.rows();
    const found = await filters.search(candidates, (some, share) => {
      this.show(some, `searched ${Math.round(100 * share)} %, ${some.length.toLocaleString("en")} found so far`);
    });
    if (found === null) return;
    const of = found.length === this.data.size ? "" : ` of ${this.data.size.toLocaleString("en")}`;
    this.show(found, `${found.length.toLocaleString("en")}${of} prompts`);
  }

  show(rows, words) {
    this.rows = rows;
    this.count.textContent = words;
    const pages = Math.max(1, Math.ceil(rows.length / PER_PAGE));
    const page = Math.min(pages, Math.max(1, Number(this.filters.chosen.page) || 1));
    this.page = page;
    this.head.replaceChildren(...COLUMNS.map((column) => this.heading(column)));
    this.body.replaceChildren(...rows.slice((page - 1) * PER_PAGE, page * PER_PAGE).map((row) => this.line(row)));
    if (!rows.length) this.body.append(el("tr", {}, el("td", { colspan: COLUMNS.length }, "No prompt fits.")));
    const go = (to, label, disabled) => el("button", { type: "button", disabled, onclick: () => this.turn(to) }, label);
    this.pager.replaceChildren(
      go(page - 1, "Previous", page <= 1),
      el("span", {}, `Page ${page.toLocaleString("en")} of ${pages.toLocaleString("en")}`),
      go(page + 1, "Next", page >= pages),
    );
  }

  turn(page) {
    this.filters.chosen.page = String(page);
    history.replaceState(null, "", this.filters.address());
    this.show(this.rows, this.count.textContent);
    document.getElementById("prompts-title").focus({ preventScroll: true });
    document.getElementById("browse").scrollIntoView({ block: "start", behavior: "instant" });
  }

  heading([name, label, kind]) {
    const [current, direction] = (this.filters.chosen.sort ?? "").split("-");
    const up = current === name && direction !== "down";
    const sort = current !== name ? null : up ? "ascending" : "descending";
    const arrow = sort ? (up ? " ↑" : " ↓") : "";
    const next = up ? `${name}-down` : name;
    const button = el("button", { type: "button", "data-sort": name }, label + arrow);
    button.addEventListener("click", async () => {
      await this.choose("sort", next);
      this.head.querySelector(`[data-sort="${name}"]`)?.focus();
    });
    return el("th", { scope: "col", class: kind, "aria-sort": sort }, button);
  }

  line(row) {
    const { data, filters: { run, terms } } = this;
    const asked = el("span", { class: "clamp" }, WAITING);
    const said = el("p", { class: "said clamp", dir: "auto" });
    data.row(row).then((content) => {
      asked.replaceChildren(...excerpt(lastTurn(content), terms));
      const first = content.runs[run]?.[0] ?? {};
      said.replaceChildren(...excerpt(first.text ?? first.error ?? "", terms));
    });
    const link = el("a", { class: "asked", href: linkTo(data, row, run), dir: "auto" }, asked);
    const probability = data.probability(row, run);
    const cell = (text) => el("td", { class: "facet" }, text);
    return el("tr", { "data-row": row },
      el("td", {}, link, said, el("span", { class: "id" }, safe(data.index.ids[row]).slice(0, 80))),
      el("td", {}, data.expected(row)),
      el("td", {}, ...badges(data, row, run)),
      cell(probability === null ? "–" : probability.toFixed(2)),
      cell(data.facet("pattern", row) ? PATTERNS[data.facet("pattern", row)] ?? "" : "–"),
      cell(safe(data.facet("category", row)).slice(0, 60) || "–"),
      cell(safe(data.facet("language", row)).slice(0, 20)),
    );
  }

  // Move the focus by so many lines; at either end it stays.
  step(by) {
    const links = [...this.body.querySelectorAll("a.asked")];
    const at = links.indexOf(document.activeElement);
    links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + by))]?.focus();
  }

  // The row before or after `row` in the list as it is filtered and sorted.
  neighbour(row, by) {
    const at = this.rows.indexOf(row);
    return at < 0 ? undefined : this.rows[at + by];
  }
}
