"use strict";
(() => {
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let theme = recall();

  // A page that was opened from a file may have no storage.
  function recall() {
    try {
      const kept = window.localStorage.getItem("lossnets-theme");
      return themes.includes(kept) ? kept : "auto";
    } catch {
      return "auto";
    }
  }

  function remember() {
    try {
      window.localStorage.setItem("lossnets-theme", theme);
    } catch {
      // then only this view has the theme
    }
  }

  function paint() {
    const isDark = theme === "dark" || (theme === "auto" && dark.matches);
    root.dataset.theme = isDark ? "dark" : "light";
    root.classList.toggle("dark", isDark); // what DataTables looks for
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${theme}`;
  }

  paint();
  root.classList.add("scripted");
  dark.addEventListener("change", paint);
  document.addEventListener("DOMContentLoaded", start);

  function start() {
    const button = document.getElementById("theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      remember();
      paint();
    });
    paint();
    for (const save of document.querySelectorAll(".save")) save.hidden = false;
    document.addEventListener("click", onSave);
    for (const file of document.querySelectorAll("button.file")) {
      file.disabled = false;
      file.addEventListener("click", () => saveFile(file));
    }
    follow();
    makeBoard().catch((error) => {
      const note = document.getElementById("loading");
      note.hidden = false;
      note.textContent = `The table could not be made (${error.message}); this browser may be too old.`;
    });
  }

  // Mark the section in view in the navigation.
  function follow() {
    const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    }, { rootMargin: "-20% 0px -75% 0px" });
    for (const section of document.querySelectorAll("main > section")) watcher.observe(section);
  }

  // ---- packed text ---------------------------------------------------------------------------

  async function unpack(id) {
    const packed = document.getElementById(id).textContent;
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function download(content, kind, name) {
    const url = URL.createObjectURL(new Blob([content], { type: kind }));
    const link = element("a", "", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 30000);
  }

  async function saveFile(button) {
    download(await unpack(`file-${button.dataset.file}`), button.dataset.kind, button.dataset.name);
  }

  // ---- figures -------------------------------------------------------------------------------

  async function onSave(event) {
    const button = event.target.closest("button[data-save]");
    if (!button) return;
    const figure = button.closest("figure");
    const drawing = figure.querySelector(root.classList.contains("dark") ? ".of-dark svg" : ".of-light svg");
    const text = standalone(drawing, getComputedStyle(figure).backgroundColor);
    const name = `${figure.dataset.name}.${button.dataset.save}`;
    if (button.dataset.save === "svg") download(text, "image/svg+xml", name);
    else download(await pixels(drawing, text), "image/png", name);
  }

  // The drawing as a file of its own: with a size, and the background that its colours are made for.
  function standalone(drawing, background) {
    const { width, height } = drawing.viewBox.baseVal;
    const copy = drawing.cloneNode(true);
    copy.setAttribute("width", `${width}pt`);
    copy.setAttribute("height", `${height}pt`);
    const ground = document.createElementNS(copy.namespaceURI, "rect");
    for (const [name, value] of Object.entries({ width, height, fill: background })) ground.setAttribute(name, value);
    copy.prepend(ground);
    return new XMLSerializer().serializeToString(copy);
  }

  async function pixels(drawing, text) {
    const scale = 2;
    const box = drawing.viewBox.baseVal;
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const canvas = element("canvas", "", {
      width: Math.round(box.width * scale * 4 / 3), height: Math.round(box.height * scale * 4 / 3),
    });
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  }

  // ---- small help ----------------------------------------------------------------------------

  // Every text goes through textContent: whatever a results file holds stays text.
  function element(tag, text = "", attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function escaped(text) {
    return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  }

  function number(value, digits = 4) {
    if (value === null || value === undefined) return "–";
    if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential(digits - 1);
    return Number(value.toPrecision(digits)).toString();
  }

  // ---- leaderboard ---------------------------------------------------------------------------

  const AT = {};
  let settings = [];
  let runs = null;

  async function makeBoard() {
    const data = JSON.parse(document.getElementById("data").textContent);
    data.columns.forEach((name, index) => { AT[name] = index; });
    settings = data.settings;
    const [script, style] = await Promise.all([unpack("datatables-script"), unpack("datatables-style")]);
    document.head.insertBefore(element("style", style), document.querySelector("head style"));
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const { default: DataTable } = await import(url);
    URL.revokeObjectURL(url);
    missingLast(DataTable);
    const view = element("table", "", { class: "board hover", "aria-label": "Leaderboard" });
    document.getElementById("board").append(view);
    const table = new DataTable(view, {
      data: data.rows,
      columns: columns(),
      order: [],
      pageLength: 25,
      lengthMenu: [10, 25, 50, 100],
      autoWidth: false,
      deferRender: true,
      layout: { topStart: "search", topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" },
      language: {
        search: "Search", lengthMenu: "Rows _MENU_", emptyTable: "There are no runs.",
        zeroRecords: "No row fits these filters.",
      },
      createdRow: (tr, row) => { tr.classList.add(`state-${slug(row[AT.state])}`); },
    });
    table.on("click", "tbody tr", (event) => toggleRow(table, event));
    makeFilters(table, data.rows);
    printWhole(table);
    document.getElementById("loading").hidden = true;
    root.dataset.board = "ready";
  }

  const slug = (text) => String(text).toLowerCase().replace(/[^a-z0-9]+/g, "-");

  // Numbers that are missing stand last, whichever way the column is sorted.
  function missingLast(DataTable) {
    const compare = (sign) => (a, b) => {
      const none = (v) => v === null || v === undefined || v === "";
      if (none(a) || none(b)) return none(a) - none(b);
      return sign * (a - b);
    };
    DataTable.ext.type.order["number-asc"] = compare(1);
    DataTable.ext.type.order["number-desc"] = compare(-1);
  }

  // For display a node or escaped text; for the search escaped text, since DataTables decodes entities.
  function column(title, text, { sort = text, node = null, ...more } = {}) {
    const render = (_, type, row) => {
      if (type === "display" && node) return node(row);
      return type === "display" || type === "filter" ? escaped(text(row)) : sort(row);
    };
    return { title, data: null, type: "string", ...more, render };
  }

  function columns() {
    const numeric = { type: "number", className: "n" };
    return [
      column("Rank", (r) => number(r[AT.rank]), { ...numeric, sort: (r) => r[AT.rank] }),
      column("Loss", (r) => `${r[AT.short]} ${r[AT.loss]} ${imitated(r)}`.trim(), { className: "loss", node: lossCell }),
      column("Score", scoreText, { ...numeric, sort: (r) => r[AT.value] }),
      column("95 % interval", intervalText, { ...numeric, sort: (r) => r[AT.low] }),
      column("Seeds", (r) => (settings[r[AT.setting]].trains && r[AT.runs].length ? String(r[AT.seeds]) : "–"), { ...numeric, sort: (r) => r[AT.seeds] }),
      column("State", stateText, { node: stateCell }),
      column("Setting", (r) => `${settings[r[AT.setting]].label} ${measureText(r)}`, {
        className: "setting", sort: (r) => settings[r[AT.setting]].label, node: settingCell,
      }),
    ];
  }

  function lossCell(row) {
    if (!row[AT.runs].length) return element("span", row[AT.short], { title: row[AT.loss] });
    const about = { type: "button", class: "open", "aria-expanded": "false", title: row[AT.loss] };
    const button = element("button", row[AT.short], about);
    if (!imitated(row)) return button;
    const cell = element("span", "");
    cell.append(button, element("small", imitated(row)));
    return cell;
  }

  // A gradient network is to be read beside the loss that it imitates.
  function imitated(row) {
    return /^imitates [^;]+/.exec(row[AT.note] ?? "")?.[0] ?? "";
  }

  // A value means nothing without its measure and direction.
  function measureText(row) {
    const { score, unit, higher } = settings[row[AT.setting]];
    return score ? `${score}${unit ? `, ${unit}` : ""}, ${higher ? "higher" : "lower"} is better` : "";
  }

  function settingCell(row) {
    const cell = element("span", settings[row[AT.setting]].label);
    cell.append(element("small", measureText(row)));
    return cell;
  }

  function stateText(row) {
    const words = [row[AT.state]];
    if (row[AT.failed] && row[AT.state] !== "failed") words.push(`${row[AT.failed]} failed`);
    if (row[AT.value] !== null && row[AT.seeds] === 1 && settings[row[AT.setting]].trains) words.push("one seed");
    return words.join(", ");
  }

  function stateCell(row) {
    const cell = element("span", stateText(row), { class: `state ${slug(row[AT.state])}` });
    if (row[AT.note]) cell.title = row[AT.note];
    return cell;
  }

  function scoreText(row) {
    const { unit } = settings[row[AT.setting]];
    const value = number(row[AT.value]);
    return value === "–" || !unit || unit.length > 4 ? value : `${value} ${unit}`;
  }

  function intervalText(row) {
    return row[AT.low] === null || row[AT.high] === null ? "–" : `${number(row[AT.low], 3)} to ${number(row[AT.high], 3)}`;
  }

  // ---- filters -------------------------------------------------------------------------------

  function makeFilters(table, rows) {
    const form = document.getElementById("filters");
    const values = {
      task: (row) => settings[row[AT.setting]].task,
      setting: (row) => settings[row[AT.setting]].label,
      network: (row) => row[AT.network] ?? "(none)",
      state: (row) => row[AT.state],
    };
    const selects = [...form.querySelectorAll("select")];
    for (const select of selects) {
      const names = [...new Set(rows.map(values[select.dataset.filter]))];
      if (select.dataset.filter === "network") names.sort();
      select.append(element("option", "all", { value: "" }));
      names.forEach((name, index) => select.append(element("option", name, { value: String(index) })));
      select.addEventListener("change", () => table.draw());
      select.wanted = () => (select.value === "" ? null : names[Number(select.value)]);
    }
    table.search.fixed("filters", (_, row) => selects.every((select) => {
      const wanted = select.wanted();
      return wanted === null || values[select.dataset.filter](row) === wanted;
    }));
    form.addEventListener("reset", () => setTimeout(() => table.search("").draw()));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
  }

  function printWhole(table) {
    let length = 25;
    window.addEventListener("beforeprint", () => {
      length = table.page.len();
      table.page.len(500).draw();
    });
    window.addEventListener("afterprint", () => table.page.len(length).draw());
  }

  // ---- runs behind a row ---------------------------------------------------------------------

  async function toggleRow(table, event) {
    if (event.target.closest(".runs")) return; // inside the details
    const tr = event.target.closest("tr");
    const row = table.row(tr);
    if (!row.any() || !row.data()[AT.runs].length) return;
    if (!event.target.closest("button.open") && String(window.getSelection())) return; // a reader marks text
    const button = tr.querySelector("button.open");
    if (row.child.isShown()) {
      row.child.hide();
      button.setAttribute("aria-expanded", "false");
      return;
    }
    button.setAttribute("aria-expanded", "true");
    if (runs === null) {
      const last = document.querySelectorAll("button.file").length - 1;
      runs = JSON.parse(await unpack(`file-${last}`));
    }
    row.child(detailsOf(row.data())).show();
    row.child().addClass("details");
  }

  function detailsOf(row) {
    const box = element("div", "", { class: "runs" });
    if (row[AT.loss] !== row[AT.short]) box.append(element("p", row[AT.loss], { class: "whole" }));
    if (row[AT.note]) box.append(element("p", row[AT.note], { class: "note warn" }));
    const about = settings[row[AT.setting]].meaning;
    if (about) box.append(element("p", about, { class: "meaning" }));
    for (const index of row[AT.runs]) box.append(runBox(runs[index]));
    return box;
  }

  function runBox(run) {
    const box = element("div", "", { class: "run" });
    box.append(element("p", `Seed ${run.seed}: ${run.status}, ${number(run.seconds, 3)} s`, { class: "run-title" }));
    if (run.error) box.append(element("p", run.error, { class: "note warn" }));
    if (run.scores.length) box.append(scoresTable(run.scores));
    const facts = element("dl", "", { class: "facts" });
    const left = new Set(["scores", "error", "seed", "status", "seconds"]);
    for (const [name, value] of Object.entries(run)) {
      if (left.has(name) || value === null) continue;
      const entry = element("div");
      const text = typeof value === "object" ? JSON.stringify(value) : String(value);
      entry.append(element("dt", name), element("dd", text));
      facts.append(entry);
    }
    const fold = element("details");
    fold.append(element("summary", "Configuration, versions and hashes"), facts);
    box.append(fold);
    return box;
  }

  function scoresTable(scores) {
    const table = element("table", "", { class: "plain" });
    const head = element("tr");
    for (const title of ["Score", "Split", "Value", "95 % interval", "Unit", "Items", "Note"]) {
      head.append(element("th", title, { scope: "col" }));
    }
    table.createTHead().append(head);
    const body = table.createTBody();
    for (const score of scores) {
      const tr = element("tr");
      const both = score.low === undefined || score.high === undefined;
      const texts = [
        score.score, score.split, number(score.value, 6),
        both ? "–" : `${number(score.low)} to ${number(score.high)}`,
        score.unit ?? "", score.n ?? "", score.note ?? "",
      ];
      for (const text of texts) tr.append(element("td", text));
      body.append(tr);
    }
    return table;
  }
})();
