// The page as a whole: theme, address, keys.

const THEMES = ["auto", "light", "dark"];

function remembered(name, fallback) {
  try {
    return localStorage.getItem(name) ?? fallback;
  } catch {
    return fallback;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Files and strict browsers may have no storage; the choice then lasts as long as the page.
  }
}

function startTheme() {
  const button = document.getElementById("theme");
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  set(THEMES.includes(remembered("theme")) ? remembered("theme") : "auto");
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    set(next);
    remember("theme", next);
  });
}

function startKeys(table, detail) {
  const switched = document.getElementById("shortcuts");
  switched.checked = remembered("shortcuts", "on") === "on";
  switched.addEventListener("change", () => remember("shortcuts", switched.checked ? "on" : "off"));
  const STEPS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input, select, textarea")) return;
    const letter = event.key.length === 1;
    if (letter && !switched.checked) return;
    const inDialog = detail.dialog.open;
    const inList = event.target.closest("#list") !== null;
    if (event.key === "/" && !inDialog) {
      event.preventDefault();
      document.getElementById("search").focus();
    } else if (Object.hasOwn(STEPS, event.key) && inDialog && letter) {
      detail.move(STEPS[event.key]);
    } else if (Object.hasOwn(STEPS, event.key) && !inDialog && (inList || letter)) {
      event.preventDefault();
      table.step(STEPS[event.key]);
    }
  });
}

async function start() {
  startTheme();
  startDiagnosis();
  const data = await Data.load();
  const filters = new Filters(data);
  const table = new Table(data, filters);
  const detail = new Detail(data, table);

  // Addresses: `#prompt=ID&run=RUN` opens one prompt, other choices filter the list.
  const follow = async () => {
    const found = new URLSearchParams(location.hash.slice(1));
    if (!found.has("prompt") && detail.dialog.open) detail.dialog.close();
    if (found.has("prompt")) {
      const run = Math.max(0, data.runs.findIndex((one) => one.id === found.get("run")));
      const row = data.find(found.get("prompt"), run);
      if (row !== undefined) return detail.show(row, run);
      table.count.textContent = "The prompt that the address names is not in this report.";
    } else if (filters.read(location.hash)) {
      await table.refresh({ address: false });
      document.getElementById("prompts").scrollIntoView({ behavior: "instant" });
      document.getElementById("prompts-title").focus({ preventScroll: true });
    }
  };
  window.addEventListener("hashchange", follow);
  document.getElementById("browse").hidden = false;
  if (!location.hash.includes("prompt=")) filters.read(location.hash);
  await table.refresh({ address: false });
  pairCards(data);
  flipCards(data);
  startKeys(table, detail);
  if (location.hash.includes("=")) await follow();
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  // Above all a browser without DecompressionStream.
  const words = "This browser could not unpack the prompts; a newer one can.";
  document.getElementById("browse").replaceChildren(el("p", {}, words));
  document.getElementById("browse").hidden = false;
  throw error;
});
