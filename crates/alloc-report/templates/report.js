"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const svgNS = "http://www.w3.org/2000/svg";
  const number = (n) => n.toLocaleString("en-US");
  const plural = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;
  const size = (n) => {
    const units = ["KiB", "MiB", "GiB", "TiB"];
    if (n < 1024) return plural(n, "byte");
    let unit = -1;
    while (n >= 1024 && unit < 3) { n /= 1024; unit += 1; }
    return `${n.toFixed(1)} ${units[unit]}`;
  };
  const percent = (part, whole) => (whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "0 %");

  // The findings: filtering by text and kind.
  const findings = () => {
    const filter = byId("finding-filter");
    if (!filter) return;
    const cards = [...document.querySelectorAll(".card")];
    const texts = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));
    const kinds = [...document.querySelectorAll(".finding-kind")];
    const show = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = new Set(kinds.filter((box) => box.checked).map((box) => box.value));
      let count = 0;
      for (const card of cards) {
        const text = texts.get(card);
        card.hidden = !(chosen.has(card.dataset.kind) && words.every((word) => text.includes(word)));
        if (!card.hidden) count += Number(card.dataset.count);
      }
      byId("finding-count").value = `${plural(count, "finding")} shown`;
    };
    filter.addEventListener("input", show);
    for (const box of kinds) box.addEventListener("change", show);
    show();
  };

  // The table: sorting by a column, filtering by text and kind.
  const leakTable = () => {
    const table = byId("leak-table");
    if (!table) return;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const filter = byId("leak-filter");
    const kinds = [...document.querySelectorAll(".leak-kind")];
    const show = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = new Set(kinds.filter((box) => box.checked).map((box) => box.value));
      let [places, blocks, bytes] = [0, 0, 0];
      for (const row of rows) {
        const text = texts.get(row);
        row.hidden = !(chosen.has(row.dataset.kind) && words.every((word) => text.includes(word)));
        if (row.hidden) continue;
        places += 1;
        blocks += Number(row.dataset.count);
        bytes += Number(row.dataset.bytes);
      }
      byId("leak-count").value =
        `${plural(places, "place")}, ${plural(blocks, "block")}, ${size(bytes)}`;
    };
    const sort = (button) => {
      const head = button.closest("th");
      const key = button.dataset.key;
      const isText = key === "name";
      const before = head.getAttribute("aria-sort");
      const first = isText || key === "rank" ? "ascending" : "descending";
      const second = first === "ascending" ? "descending" : "ascending";
      const order = before === first ? second : first;
      for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const compare = isText
        ? (a, b) => a.dataset[key].localeCompare(b.dataset[key], "en")
        : (a, b) => Number(a.dataset[key]) - Number(b.dataset[key]);
      rows.sort((a, b) => sign * compare(a, b) || Number(b.dataset.bytes) - Number(a.dataset.bytes));
      body.append(...rows);
    };
    filter.addEventListener("input", show);
    for (const box of kinds) box.addEventListener("change", show);
    for (const button of table.querySelectorAll("th button")) {
      button.addEventListener("click", () => sort(button));
    }
    show();
  };

  // The icicle: a tree of call paths, each node as wide as what it holds.
  const icicle = () => {
    const svg = byId("icicle");
    if (!svg) return;
    const rowHeight = 22;
    const [metric, kind, order, search, reset, info] =
      ["path-metric", "path-kind", "path-order", "path-search", "path-reset", "path-info"].map(byId);
    let root, zoomed, focused = null;

    const build = () => {
      root = { name: "everything", place: "", module: "", values: [0, 0], kids: new Map(), parent: null };
      for (const [leakKind, blocks, bytes, path] of data.paths) {
        if (kind.value && kind.value !== leakKind) continue;
        const add = (node) => { node.values[0] += blocks; node.values[1] += bytes; };
        let node = root;
        add(node);
        for (const index of order.value === "site" ? path : [...path].reverse()) {
          const [name, place, module] = data.frames[index];
          const key = `${name}\n${module}`;
          let kid = node.kids.get(key);
          if (!kid) {
            kid = { name, place, module, values: [0, 0], kids: new Map(), parent: node };
            node.kids.set(key, kid);
          } else if (kid.place !== place) {
            kid.place = kid.place.replace(/:\d+$/, "");
          }
          add(kid);
          node = kid;
        }
      }
      zoomed = root;
      focused = null;
    };
    const value = (node) => node.values[Number(metric.value)];
    const words = (node) => (metric.value === "1" ? size(value(node)) : plural(value(node), "block"));
    const colour = (node) => {
      if (node === root) return "root";
      let hash = 7;
      const text = node.module + node.name.split(/::|\(|</)[0];
      for (const c of text) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
      return `c${hash % 7}`;
    };
    const describe = (node) => {
      const part = node === root ? "" : `, ${percent(value(node), value(root))} of everything`;
      const bold = document.createElement("b");
      bold.textContent = node.name;
      const rest = `  ${size(node.values[1])} in ${plural(node.values[0], "block")}${part}`;
      const lines = [bold, rest];
      if (node.place || node.module) {
        lines.push(document.createElement("br"), node.place || node.module);
      }
      info.replaceChildren(...lines);
    };
    const zoom = (node) => {
      zoomed = node;
      focused = node;
      draw();
      svg.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
    };
    const kidsOf = (node) => [...node.kids.values()].sort((a, b) => value(b) - value(a));

    const draw = () => {
      const width = Math.max(svg.clientWidth, 200);
      const placed = [];
      const above = [];
      for (let node = zoomed.parent; node; node = node.parent) above.unshift(node);
      above.forEach((node, row) => placed.push({ node, row, x: 0, w: width, above: true }));
      let deepest = above.length;
      const place = (node, row, x, w) => {
        placed.push({ node, row, x, w, above: false });
        deepest = Math.max(deepest, row);
        let at = x;
        for (const kid of kidsOf(node)) {
          const share = value(node) > 0 ? (w * value(kid)) / value(node) : 0;
          if (share >= 1) place(kid, row + 1, at, share);
          at += share;
        }
      };
      place(zoomed, above.length, 0, width);
      svg.setAttribute("height", String((deepest + 1) * rowHeight));
      svg.setAttribute("aria-label", `Call paths by ${metric.selectedOptions[0].text}`);
      const wanted = search.value.toLowerCase();
      svg.classList.toggle("searching", wanted !== "");
      const current = placed.some((one) => one.node === focused) ? focused : zoomed;
      const nodes = placed.map(({ node, row, x, w, above: isAbove }) => {
        const group = document.createElementNS(svgNS, "g");
        const hit = wanted && `${node.name} ${node.place} ${node.module}`.toLowerCase().includes(wanted);
        group.setAttribute("class", colour(node) + (isAbove ? " above" : "") + (hit ? " hit" : ""));
        group.setAttribute("tabindex", node === current ? "0" : "-1");
        group.setAttribute("role", "button");
        group.setAttribute("aria-label", `${node.name}, ${words(node)}, ${percent(value(node), value(root))}`);
        group.node = node;
        const rect = document.createElementNS(svgNS, "rect");
        const box = { x, y: row * rowHeight, width: Math.max(w - 0.5, 0.5), height: rowHeight - 1 };
        for (const [name, v] of Object.entries(box)) rect.setAttribute(name, String(v));
        group.append(rect);
        const fits = Math.floor((w - 10) / 7.25);
        if (fits >= 3) {
          const text = document.createElementNS(svgNS, "text");
          text.setAttribute("x", String(x + 6));
          text.setAttribute("y", String(row * rowHeight + 15));
          const full = node === root ? `${node.name}, ${words(node)}` : `${node.name}  ${words(node)}`;
          const shown = full.length <= fits ? full : node.name;
          text.textContent = shown.length <= fits ? shown : `${shown.slice(0, fits - 1)}…`;
          group.append(text);
        }
        group.addEventListener("click", () => zoom(node));
        group.addEventListener("focus", () => { focused = node; describe(node); });
        group.addEventListener("mouseenter", () => describe(node));
        return group;
      });
      svg.replaceChildren(...nodes);
      reset.disabled = zoomed === root;
      let hits = 0;
      const count = (node) => {
        const text = `${node.name} ${node.place} ${node.module}`.toLowerCase();
        if (node !== root && text.includes(wanted)) hits += value(node);
        else node.kids.forEach(count);
      };
      if (wanted) count(root);
      byId("path-hits").value = wanted ? `${percent(hits, value(root))} in what is highlighted` : "";
      describe(current);
    };

    const move = (event) => {
      const node = event.target.closest("g")?.node;
      if (!node) return;
      const siblings = node.parent ? kidsOf(node.parent) : [node];
      const at = siblings.indexOf(node);
      const steps = {
        ArrowUp: node.parent, ArrowDown: kidsOf(node)[0],
        ArrowLeft: siblings[at - 1], ArrowRight: siblings[at + 1],
      };
      if (event.key === "Enter" || event.key === " ") zoom(node);
      else if (event.key === "Escape") zoom(root);
      else if (event.key in steps) {
        const group = [...svg.children].find((one) => one.node === steps[event.key]);
        if (group) {
          svg.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
          group.setAttribute("tabindex", "0");
          group.focus({ preventScroll: true });
        }
      } else return;
      event.preventDefault();
    };
    const rebuild = () => { build(); draw(); };
    svg.addEventListener("keydown", move);
    metric.addEventListener("change", draw);
    for (const control of [kind, order]) control.addEventListener("change", rebuild);
    search.addEventListener("input", draw);
    reset.addEventListener("click", () => zoom(root));
    let drawnWidth = 0;
    new ResizeObserver(() => {
      if (svg.clientWidth !== drawnWidth) { drawnWidth = svg.clientWidth; draw(); }
    }).observe(svg.parentElement);
    rebuild();
  };

  // The plots: what is under the pointer.
  const plots = () => {
    document.querySelectorAll(".plot").forEach((plot, index) => {
      const { points, unit, x0, x1, y0, y1, ms, top } = data.plots[index];
      const label = plot.parentElement.querySelector(".value");
      const said = label.textContent;
      const line = document.createElementNS(svgNS, "line");
      const dot = document.createElementNS(svgNS, "circle");
      line.setAttribute("class", "cross");
      dot.setAttribute("class", "dot");
      dot.setAttribute("r", "4");
      const hide = () => { line.remove(); dot.remove(); label.textContent = said; };
      plot.addEventListener("pointermove", (event) => {
        const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
        const time = (ms * (at.x - x0)) / (x1 - x0);
        let best = points[0];
        for (const point of points) if (Math.abs(point[0] - time) < Math.abs(best[0] - time)) best = point;
        const x = x0 + ((x1 - x0) * best[0]) / Math.max(ms, 1);
        const y = y1 - ((y1 - y0) * best[1]) / Math.max(top, 1);
        for (const [name, v] of Object.entries({ x1: x, x2: x, y1: y0, y2: y1 })) line.setAttribute(name, String(v));
        dot.setAttribute("cx", String(x));
        dot.setAttribute("cy", String(y));
        plot.append(line, dot);
        const shown = unit === "bytes" ? size(best[1]) : plural(best[1], "block");
        label.textContent = `${shown} at ${number(best[0])} ms`;
      });
      plot.addEventListener("pointerleave", hide);
    });
  };

  // A printed page shows every leak's stack.
  const printing = () => {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll(".where > details:not([open]), .fold:not([open])")].slice(0, 100);
      for (const one of opened) one.open = true;
    });
    addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
  };

  findings();
  leakTable();
  icicle();
  plots();
  printing();
})();
