const {nodes, edges, groups, steps} = data;
const stage = document.querySelector(".stage"), picture = byId("picture");
const drawn = [...document.querySelectorAll(".node")];
const curves = [...document.querySelectorAll(".edge")];
const frames = new Map([...document.querySelectorAll(".frame")].map(f => [f.dataset.group, f]));
const log = byId("log"), entries = [...log.children];
const DASH = "—";

// What is known at each step. Step 0 is the start; step i + 1 shows steps[i]. ---------------------

const forwardCount = steps.filter(step => step.phase === "forward").length;
const valueAt = nodes.map(() => 0);
const termsAt = nodes.map(() => []);
steps.forEach((step, i) => {
  if (step.phase === "forward") valueAt[step.node] = i + 1;
  else termsAt[step.node].push(i + 1);
});
/** How many terms of the node's gradient are there at step `at`. */
function arrived(node, at) {
  let count = 0;
  while (count < termsAt[node].length && termsAt[node][count] <= at) count += 1;
  return count;
}
const gradient = (node, count) => steps[termsAt[node][count - 1] - 1].result;

// Numbers and heat-maps. -------------------------------------------------------------------------

/** Five significant digits, as Python's `.5g` writes them. */
function digits(x) {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  if (x === 0) return Object.is(x, -0) ? "-0" : "0";
  const [mantissa, power] = x.toExponential(4).split("e");
  const trim = s => s.includes(".") ? s.replace(/\.?0+$/, "") : s;
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 5) {
    return `${trim(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return trim(x.toFixed(4 - exponent));
}

const level = (heat, k) => heat.levels[k] === "x" ? null : heat.levels.charCodeAt(k) - 105;

/** The small one in a node: colour alone, as a glance; cells of one level are one path. */
function thumb(into, heat) {
  into.replaceChildren();
  if (!heat) return;
  const width = Number(into.dataset.width), height = Number(into.dataset.height);
  const w = width / heat.columns, h = height / heat.rows;
  into.append(element("svg:rect", {width, height, rx: 1.5}));
  const runs = new Map();
  for (let row = 0; row < heat.rows; row += 1) {
    for (let column = 0; column < heat.columns;) {
      const here = level(heat, row * heat.columns + column);
      let end = column + 1;
      while (end < heat.columns && level(heat, row * heat.columns + end) === here) end += 1;
      if (here !== 0) {
        const d = `M${(column * w).toFixed(2)} ${(row * h).toFixed(2)}h${((end - column) * w).toFixed(2)}v${h.toFixed(2)}h${(-(end - column) * w).toFixed(2)}z`;
        runs.set(here, (runs.get(here) ?? "") + d);
      }
      column = end;
    }
  }
  for (const [here, d] of runs) {
    into.append(element("svg:path", {
      d, class: here === null ? "bad" : here > 0 ? "plus" : "minus",
      opacity: here === null ? 1 : 0.15 + 0.85 * Math.abs(here) / 8,
    }));
  }
}

/** The large one beside the picture: size is magnitude; filled is positive, hollow negative. */
function heatMap(heat) {
  const cell = Math.max(7, Math.min(20, Math.floor(340 / heat.columns)));
  const map = element("svg:svg", {
    class: "heat", width: heat.columns * cell, height: heat.rows * cell, role: "img",
    viewBox: `0 0 ${heat.columns * cell} ${heat.rows * cell}`,
    "aria-label": `Heat-map of shape ${heat.shape.join(" by ")}, magnitudes up to ${heat.largest}`,
  });
  for (let row = 0; row < heat.rows; row += 1) {
    for (let column = 0; column < heat.columns; column += 1) {
      const here = level(heat, row * heat.columns + column);
      const x = (column + 0.5) * cell, y = (row + 0.5) * cell, r = cell / 2 - 1;
      if (here === null) {
        map.append(element("svg:path", {class: "bad", d: `M${x - r} ${y - r}L${x + r} ${y + r}M${x - r} ${y + r}L${x + r} ${y - r}`}));
      } else if (here !== 0) {
        const half = Math.max(0.8, r * Math.sqrt(Math.abs(here) / 8));
        map.append(element("svg:rect", {
          class: here > 0 ? "plus" : "minus", x: x - half, y: y - half, width: 2 * half, height: 2 * half,
        }));
      }
    }
  }
  const size = heat.shape.reduce((a, b) => a * b, 1);
  const averaged = size > heat.rows * heat.columns ? `; ${size.toLocaleString("en")} elements, averaged in blocks` : "";
  return [map, element("div", {class: "scale"}, `filled + , hollow − ; largest square ${heat.largest}${averaged}`)];
}

/** A quantity as children of a `dd`. */
function written(quantity) {
  if (!quantity) return [DASH];
  const lines = quantity.lines.map(line => element("div", {class: quantity.alarming ? "alarm" : null}, line));
  if (quantity.exact !== null && Number(quantity.exact) !== Number(quantity.lines[0])) {
    lines.push(element("div", {class: "scale"}, `exactly ${quantity.exact}`));
  }
  return quantity.heat ? [...lines, ...heatMap(quantity.heat)] : lines;
}

// Relabelling the picture. -----------------------------------------------------------------------

const rows = drawn.map(node => ({
  value: node.querySelector(".row.value"), grad: node.querySelector(".row.grad"),
}));
const shownIn = new Map();

const brief = line => line.length > data.columns ? `${line.slice(0, data.columns - 1)}…` : line;

function relabel(row, key, quantity, suffix = "") {
  const what = quantity ? quantity.lines.join("\n") + suffix : DASH;
  if (shownIn.get(row) === what + key) return;
  shownIn.set(row, what + key);
  const lines = [...row.querySelectorAll(".said")];
  lines.forEach((line, k) => {
    line.textContent = quantity ? brief(quantity.lines[k] ?? "") + (k === 0 ? suffix : "") : k === 0 ? DASH : "";
    line.classList.toggle("bad", Boolean(quantity?.alarming));
  });
  const heat = row.querySelector(".thumb");
  if (heat) thumb(heat, quantity?.heat);
}

function paint(at) {
  nodes.forEach((node, i) => {
    const known = valueAt[i] <= at, {value, grad} = rows[i];
    if (value) relabel(value, "", known ? node.value : null);
    drawn[i].classList.toggle("waiting", !known);
    let said = `${node.heading}, ${node.kind}`;
    if (value) said += known ? `, value ${node.value.lines.join(", ")}` : ", no value yet";
    let alarming = known && Boolean(node.value?.alarming);
    if (grad) {
      const count = arrived(i, at), all = node.terms;
      const quantity = count ? gradient(i, count) : null;
      relabel(grad, String(count), quantity, count && count < all ? ` (${count}/${all})` : "");
      grad.classList.toggle("partial", count > 0 && count < all);
      said += quantity ? `, gradient ${quantity.lines.join(", ")}${count < all ? `, ${count} of ${all} terms` : ""}` : ", no gradient yet";
      alarming ||= Boolean(quantity?.alarming);
    }
    drawn[i].classList.toggle("alarming", alarming);
    drawn[i].setAttribute("aria-label", said);
  });
}

// This step. -------------------------------------------------------------------------------------

const now = byId("now");

function say(at) {
  now.replaceChildren();
  if (!steps.length && nodes.some(node => node.kind === "group")) return "";
  const badge = (text, kind) => element("span", {class: `badge ${kind}`}, text);
  if (at === 0) {
    now.append(element("div", {class: "line-up"}, badge("Start", "start"), element("span", {class: "muted"}, `${steps.length} steps`)));
    now.append(element("p", {class: "say"}, steps.length
      ? "The leaves have their values. Press → to step on, or the space bar to play."
      : "There is nothing to compute: the graph has leaves only."));
    return "Start: the leaves have their values.";
  }
  const step = steps[at - 1], backward = step.phase === "backward";
  const [index, total] = backward ? [at - forwardCount, steps.length - forwardCount] : [at, forwardCount];
  now.append(element("div", {class: "line-up"},
    badge(backward ? "Backward" : "Forward", backward ? "backward" : "forward"),
    element("span", {class: "muted"}, `${index} of ${total}`)));
  const formula = element("div", {class: `formula ${step.phase}`});
  step.formula.forEach((part, k) => {
    const last = k === step.formula.length - 1;
    formula.append(
      element("span", {class: "target"}, k === 0 ? step.target : ""),
      element("span", {class: "sign"}, k === 0 ? step.sign : "="),
      element("span", {class: last && k > 0 ? "result" : null}, part));
  });
  now.append(formula);
  if (step.sum) now.append(element("p", {class: "sum"}, `${step.target} = ${step.sum}`));
  let more = "";
  if (backward) {
    const count = arrived(step.node, at), all = nodes[step.node].terms;
    if (step.consumer === null && step.formula.length === 1) more = "The output's derivative by itself: where the backward pass starts.";
    else if (step.consumer === null) more = "No path leads to the output.";
    else if (all > 1) more = step.last ? `All ${all} terms are in: this gradient is complete.` : `Term ${count} of ${all}: more paths lead on from ${nodes[step.node].name}.`;
    else more = `The one way on from ${nodes[step.node].name}: this gradient is complete.`;
    now.append(element("p", {class: "say"}, more));
  }
  const quantity = backward ? step.term ?? step.result : nodes[step.node].value;
  if (quantity?.heat) {
    now.append(element("p", {class: "say"}, quantity.lines.join("; ")), ...heatMap(quantity.heat));
  }
  return `${step.target} ${step.sign} ${step.formula.join(" = ")}. ${step.sum ? `${step.target} = ${step.sum}. ` : ""}${more}`;
}

// The chosen node, and its paths to the output. --------------------------------------------------

const card = byId("chosen");
let chosen = null;
const onwards = nodes.map(() => []), into = nodes.map(() => []);
edges.forEach((edge, e) => {
  if (!edge.back) { onwards[edge.tail].push(e); into[edge.head].push(e); }
});
const LISTED = 50;

/** All paths from a node to an output: which edges are on one, how many, the first of them. */
function trace(start) {
  const outputs = new Set(nodes.flatMap((node, i) => node.output ? [i] : []));
  // Nodes are in topological order: each is decided after all that it leads to.
  const count = nodes.map(() => 0n), sum = nodes.map(() => 0);
  let complete = true;
  for (let i = nodes.length - 1; i >= 0; i -= 1) {
    if (outputs.has(i)) { count[i] += 1n; sum[i] += 1; }
    for (const e of onwards[i]) {
      const {head, local} = edges[e];
      count[i] += count[head];
      if (count[head] > 0n && local !== null) sum[i] += number(local) * sum[head];
    }
  }
  const onPath = new Set(), seen = new Set([start]), queue = [start];
  while (queue.length) {
    for (const e of onwards[queue.pop()]) {
      const {head, local} = edges[e];
      if (count[head] === 0n) continue;
      onPath.add(e);
      if (local === null) complete = false;
      if (!seen.has(head)) { seen.add(head); queue.push(head); }
    }
  }
  const paths = [], stack = count[start] > 0n ? [[start, []]] : [];
  while (stack.length && paths.length < LISTED) {
    const [node, way] = stack.pop();
    if (outputs.has(node)) paths.push(way);
    for (const e of [...onwards[node]].reverse()) {
      if (count[edges[e].head] > 0n) stack.push([edges[e].head, [...way, e]]);
    }
  }
  return {onPath, nodesOn: seen, paths, count: count[start], sum: sum[start], complete};
}

function choose(node, reveal = false) {
  chosen = node;
  card.replaceChildren();
  picture.classList.toggle("tracing", node !== null);
  for (const item of [...drawn, ...curves]) item.classList.remove("chosen", "on-path");
  drawn.forEach((item, i) => item.setAttribute("aria-pressed", i === node));
  if (node === null) {
    card.append(element("h2", {}, "No node chosen"), element("p", {class: "what"},
      "Choose one to see all of its paths to the output, and what they multiply and add up to."));
    return;
  }
  const about = nodes[node], found = trace(node);
  drawn[node].classList.add("chosen");
  for (const e of found.onPath) curves[e].classList.add("on-path");
  for (const i of found.nodesOn) drawn[i].classList.add("on-path");
  inspect();
  if (reveal) showNode(node);
}

/** The card of the chosen node, with the values of the current step. */
function inspect() {
  if (chosen === null) return;
  const node = nodes[chosen], at = time.now, count = arrived(chosen, at);
  const fact = (name, kind, ...content) => [element("dt", {}, name), element("dd", {class: kind}, ...content)];
  const kinds = {operation: "operation", variable: "leaf that receives a gradient", input: "leaf without gradient", constant: "constant array", update: "update", group: "module, collapsed"};
  const facts = element("dl", {class: "facts"});
  if (node.type) facts.append(...fact("type", null, node.type));
  if (node.value) facts.append(...fact("value", null, ...written(valueAt[chosen] <= at ? node.value : null)));
  if (node.terms) {
    const quantity = count ? gradient(chosen, count) : null;
    facts.append(...fact("gradient", "grad", ...written(quantity),
      count && count < node.terms ? element("div", {class: "scale"}, `${count} of ${node.terms} terms so far`) : null));
  }
  const around = modulesAround(chosen);
  if (around.length) facts.append(...fact("module", null, around.map(group => group.title).join(" › ")));
  if (node.place) facts.append(...fact("made at", null, node.place));
  const titled = node.title !== node.kind && !node.heading.includes(node.title) ? `“${node.title}”, ` : "";
  card.replaceChildren(
    element("h2", {class: "mono"}, node.heading),
    element("p", {class: "what"}, `${titled}${kinds[node.kind] ?? node.kind}${node.output ? ", output" : ""}${node.formula ? `: ${node.formula}` : ""}`),
    facts, ...(node.output ? [] : [pathsOf(chosen)]));
}

function pathsOf(start) {
  const found = trace(start), box = element("div", {class: "paths"});
  const many = found.count === 1n ? "1 path" : `${found.count.toLocaleString("en")} paths`;
  if (found.count === 0n) {
    box.append(element("h3", {}, "No path to the output"));
    return box;
  }
  box.append(element("h3", {}, `${many} to the output`));
  const list = element("ol");
  const products = [];
  for (const way of found.paths) {
    const route = [start, ...way.map(e => edges[e].head)].map(i => nodes[i].name).join(" → ");
    const item = element("li", {}, element("span", {class: "route"}, route));
    if (found.complete) {
      const factors = way.map(e => number(edges[e].local));
      const product = factors.reduceRight((a, b) => b * a, 1);
      products.push(product);
      const bracket = x => x.startsWith("-") ? `(${x})` : x;
      item.append(`${factors.map(digits).map(bracket).join(" * ")} = ${digits(product)}`);
    }
    list.append(item);
  }
  if (found.count > BigInt(found.paths.length)) {
    list.append(element("li", {class: "route"}, `and ${(found.count - BigInt(found.paths.length)).toLocaleString("en")} more`));
  }
  box.append(list);
  if (found.complete) {
    const bracket = x => x.startsWith("-") ? `(${x})` : x;
    const sum = found.count <= 6n && found.count > 1n ? `${products.map(digits).map(bracket).join(" + ")} = ` : "";
    box.append(element("p", {class: "total"}, `sum of products = ${sum}${digits(found.sum)}`));
  } else if (steps.length > forwardCount) {
    box.append(element("p", {class: "say"}, "The products are of Jacobian matrices here, too large to be written out."));
  }
  return box;
}

drawn.forEach((node, i) => {
  node.addEventListener("click", () => { if (!dragged) choose(chosen === i ? null : i); });
  node.addEventListener("keydown", event => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      choose(chosen === i ? null : i);
    }
  });
  node.addEventListener("focus", () => { rove(i); showNode(i); });
});
let roving = 0;
function rove(i) {
  drawn[roving]?.setAttribute("tabindex", "-1");
  roving = i;
  drawn[i]?.setAttribute("tabindex", "0");
}

// Modules. ---------------------------------------------------------------------------------------

const groupOf = new Map(groups.map(group => [group.name, group]));
const closed = new Set();

function modulesAround(node) {
  const around = [];
  for (let name = nodes[node].group; name; name = groupOf.get(name).parent) around.unshift(groupOf.get(name));
  return around;
}
/** The outermost closed module that hides the node, or nothing. */
const hiddenIn = node => modulesAround(node).find(group => closed.has(group.name))?.name ?? null;

function showModules() {
  nodes.forEach((_, i) => { drawn[i].style.display = hiddenIn(i) === null ? "" : "none"; });
  edges.forEach((edge, e) => {
    const a = hiddenIn(edge.tail);
    curves[e].style.display = a !== null && a === hiddenIn(edge.head) ? "none" : "";
  });
  for (const group of groups) {
    const frame = frames.get(group.name), isClosed = closed.has(group.name);
    let outer = false;
    for (let name = group.parent; name; name = groupOf.get(name).parent) outer ||= closed.has(name);
    frame.style.display = outer ? "none" : "";
    frame.classList.toggle("closed", isClosed);
    frame.setAttribute("aria-expanded", String(!isClosed));
    const inside = nodes.filter((_, i) => modulesAround(i).includes(group)).length;
    frame.querySelector(".frame-more").textContent = isClosed ? `${inside} nodes` : "";
    sizeTitle(frame, isClosed);
    // A closed frame lies above the edges, so that they end at its border.
    (isClosed ? byId("closed") : byId("frames")).append(frame);
  }
  byId("modules").textContent = closed.size ? "Open modules" : "Close modules";
  byId("modules").setAttribute("aria-pressed", String(closed.size > 0));
  mark(time?.now ?? 0);
}
/** The title of a closed frame fills it, so that it can be read from afar. */
function sizeTitle(frame, isClosed) {
  const title = frame.querySelector(".frame-title"), more = frame.querySelector(".frame-more");
  const box = frame.querySelector("rect"), width = Number(box.getAttribute("width")), height = Number(box.getAttribute("height"));
  const size = isClosed ? Math.max(11, Math.min(56, height / 4, 1.4 * width / Math.max(8, title.textContent.length))) : null;
  title.style.fontSize = isClosed ? `${size}px` : "";
  more.style.fontSize = isClosed ? `${0.6 * size}px` : "";
  title.setAttribute("x", isClosed ? width / 2 : 12);
  title.setAttribute("y", isClosed ? height / 2 : 19);
  more.setAttribute("y", height / 2 + (isClosed ? 0.95 * size : 5));
}
function toggleModule(name) {
  if (closed.has(name)) closed.delete(name); else closed.add(name);
  showModules();
}
for (const [name, frame] of frames) {
  frame.setAttribute("role", "button");
  frame.setAttribute("tabindex", "0");
  frame.setAttribute("aria-label", `Module ${groupOf.get(name).title}`);
  frame.addEventListener("click", () => { if (!dragged) toggleModule(name); });
  frame.addEventListener("keydown", event => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      toggleModule(name);
      frame.focus();
    }
  });
}
byId("modules").hidden = groups.length === 0;
byId("modules").addEventListener("click", () => {
  if (closed.size) closed.clear();
  else for (const group of groups) if (!group.parent) closed.add(group.name);
  showModules();
});

// Zoom and pan. ----------------------------------------------------------------------------------

const whole = (([x, y, w, h]) => ({x, y, w, h}))(picture.getAttribute("viewBox").split(" ").map(Number));
let scale = 1, left = 0, top_ = 0, dragged = false;

function look() {
  const w = stage.clientWidth / scale, h = stage.clientHeight / scale;
  picture.setAttribute("viewBox", `${left} ${top_} ${w} ${h}`);
}
function clamp() {
  const w = stage.clientWidth / scale, h = stage.clientHeight / scale;
  // Whatever is smaller than the view is centred, whatever is larger may not be lost from sight.
  left = w >= whole.w ? whole.x - (w - whole.w) / 2 : Math.min(Math.max(left, whole.x - w / 2), whole.x + whole.w - w / 2);
  top_ = h >= whole.h ? whole.y - (h - whole.h) / 2 : Math.min(Math.max(top_, whole.y - h / 2), whole.y + whole.h - h / 2);
}
function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const before = scale;
  scale = Math.min(4, Math.max(0.02, scale * factor));
  left += x / before - x / scale;
  top_ += y / before - y / scale;
  clamp();
  look();
}
const fitting = () => Math.min(stage.clientWidth / whole.w, (stage.clientHeight - 56) / whole.h);
function fit() {
  scale = Math.min(1.6, fitting());
  left = whole.x - (stage.clientWidth / scale - whole.w) / 2;
  top_ = whole.y - (stage.clientHeight / scale - whole.h) / 2;
  clamp();
  look();
}
/** At the start all of it, unless that could not be read: then its beginning, at a legible size. */
function begin() {
  fit();
  if (scale >= 0.62 || !drawn.length) return;
  scale = 0.8;
  const tall = whole.h / stage.clientHeight > whole.w / stage.clientWidth;
  left = tall ? whole.x + whole.w / 2 - stage.clientWidth / scale / 2 : whole.x;
  top_ = tall ? whole.y : whole.y + whole.h / 2 - stage.clientHeight / scale / 2;
  clamp();
  look();
  showNode(0);
}
/** Pans as little as is needed for an element to be seen. */
function reveal(item) {
  const inner = item.getBoundingClientRect(), outer = stage.getBoundingClientRect(), gap = 36;
  let dx = 0, dy = 0;
  if (inner.left < outer.left + gap) dx = inner.left - outer.left - gap;
  else if (inner.right > outer.right - gap) dx = Math.min(inner.right - outer.right + gap, inner.left - outer.left - gap);
  if (inner.top < outer.top + gap) dy = inner.top - outer.top - gap;
  else if (inner.bottom > outer.bottom - gap) dy = Math.min(inner.bottom - outer.bottom + gap, inner.top - outer.top - gap);
  if (!dx && !dy) return;
  left += dx / scale;
  top_ += dy / scale;
  clamp();
  look();
}
function showNode(i) {
  const frame = hiddenIn(i);
  reveal(frame === null ? drawn[i] : frames.get(frame));
}
stage.addEventListener("wheel", event => {
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.clientX - box.left, event.clientY - box.top);
}, {passive: false});
const fingers = new Map();
picture.addEventListener("pointerdown", event => {
  fingers.set(event.pointerId, {x: event.clientX, y: event.clientY});
  if (fingers.size === 1) dragged = false;
});
addEventListener("pointermove", event => {
  const last = fingers.get(event.pointerId);
  if (!last) return;
  const dx = event.clientX - last.x, dy = event.clientY - last.y;
  if (!dragged && Math.hypot(dx, dy) < 5) return;
  dragged = true;
  picture.classList.add("held");
  if (fingers.size === 2) {
    const [a, b] = [...fingers].map(([id, p]) => id === event.pointerId ? {x: event.clientX, y: event.clientY} : p);
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const box = stage.getBoundingClientRect();
    zoom(Math.hypot(a.x - b.x, a.y - b.y) / Math.max(1, Math.hypot(last.x - other.x, last.y - other.y)),
      (a.x + b.x) / 2 - box.left, (a.y + b.y) / 2 - box.top);
  } else {
    left -= dx / scale;
    top_ -= dy / scale;
    clamp();
    look();
  }
  fingers.set(event.pointerId, {x: event.clientX, y: event.clientY});
});
for (const end of ["pointerup", "pointercancel"]) {
  addEventListener(end, event => { fingers.delete(event.pointerId); picture.classList.remove("held"); });
}
picture.addEventListener("click", event => { if (event.target === picture && !dragged) choose(null); });
byId("closer").addEventListener("click", () => zoom(1.3));
byId("farther").addEventListener("click", () => zoom(1 / 1.3));
byId("fit").addEventListener("click", fit);
new ResizeObserver(() => { clamp(); look(); }).observe(stage);

// Search. ----------------------------------------------------------------------------------------

const search = byId("search"), results = byId("found");
let matches = [], picked = 0;
const haystacks = nodes.map((node, i) => [node.heading, node.title, node.detail, node.type ?? "", node.place ?? "", ...modulesAround(i).map(group => group.title)].join(" ").toLowerCase());

function find() {
  const wanted = search.value.trim().toLowerCase();
  matches = wanted ? nodes.flatMap((_, i) => haystacks[i].includes(wanted) ? [i] : []) : [];
  picked = 0;
  picture.classList.toggle("searching", wanted !== "");
  drawn.forEach((item, i) => item.classList.toggle("match", wanted !== "" && matches.includes(i)));
  offer();
}
function offer() {
  const wanted = search.value.trim();
  results.hidden = wanted === "";
  results.replaceChildren(...matches.slice(0, 40).map((i, k) => {
    const item = element("li", {role: "option", id: `found-${k}`, class: "pick", "aria-selected": String(k === picked)}, nodes[i].heading);
    item.addEventListener("pointerdown", event => { event.preventDefault(); take(i); });
    return item;
  }));
  if (!matches.length && wanted) results.append(element("li", {class: "none", role: "option", "aria-disabled": "true"}, `Nothing matches “${wanted}”`));
  if (matches.length > 40) results.append(element("li", {class: "none", role: "option", "aria-disabled": "true"}, `and ${matches.length - 40} more`));
  search.setAttribute("aria-activedescendant", matches.length ? `found-${picked}` : "");
  if (wanted) byId("said").textContent = matches.length === 1 ? "1 node found" : `${matches.length} nodes found`;
}
function take(i) {
  leaveSearch();
  choose(i, true);
  if (hiddenIn(i) === null) drawn[i].focus();
}
function leaveSearch() {
  search.value = "";
  find();
  search.blur();
}
search.setAttribute("role", "combobox");
search.setAttribute("aria-expanded", "false");
search.addEventListener("input", () => { find(); search.setAttribute("aria-expanded", String(!results.hidden)); });
search.addEventListener("keydown", event => {
  const shown = Math.min(40, matches.length);
  if (event.key === "Enter" && shown) take(matches[picked]);
  else if (event.key === "Escape") { leaveSearch(); event.stopPropagation(); }
  else if (event.key === "ArrowDown" && shown) { picked = (picked + 1) % shown; offer(); }
  else if (event.key === "ArrowUp" && shown) { picked = (picked + shown - 1) % shown; offer(); }
  else return;
  event.preventDefault();
  results.querySelector('[aria-selected="true"]')?.scrollIntoView({block: "nearest"});
});

// Keys. ------------------------------------------------------------------------------------------

document.addEventListener("keydown", event => {
  if (help.open || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=range]), select")) return;
  if (event.shiftKey && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    event.preventDefault();
    const way = event.key === "ArrowRight" ? 1 : -1;
    let to = roving;
    do to = (to + way + nodes.length) % nodes.length; while (hiddenIn(to) !== null && to !== roving);
    drawn[to].focus();
    return;
  }
  const keys = {
    "/": () => search.focus(), Escape: () => choose(null), "+": () => zoom(1.3), "=": () => zoom(1.3),
    "-": () => zoom(1 / 1.3), "0": fit, b: () => time.go(forwardCount + (steps.length > forwardCount ? 1 : 0)),
    c: () => { const around = chosen === null ? [] : modulesAround(chosen); if (around.length) toggleModule(hiddenIn(chosen) ?? around.at(-1).name); },
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});

// All of it. -------------------------------------------------------------------------------------

function mark(at) {
  const step = at > 0 ? steps[at - 1] : null;
  picture.classList.toggle("backward-pass", step?.phase === "backward");
  drawn.forEach(item => item.classList.remove("now", "from"));
  curves.forEach(item => item.classList.remove("now"));
  for (const frame of frames.values()) frame.classList.remove("now");
  if (!step) return;
  drawn[step.node].classList.add("now");
  if (hiddenIn(step.node) !== null) frames.get(hiddenIn(step.node)).classList.add("now");
  if (step.phase === "forward") {
    for (const e of into[step.node]) curves[e].classList.add("now");
  } else if (step.consumer !== null) {
    drawn[step.consumer].classList.add("from");
    curves[step.edge].classList.add("now");
  }
}

let time = null;
function show(at) {
  paint(at);
  mark(at);
  const said = say(at);
  entries.forEach((entry, i) => {
    entry.classList.toggle("later", i >= at);
    if (i === at - 1) entry.setAttribute("aria-current", "step"); else entry.removeAttribute("aria-current");
  });
  const current = entries[at - 1];
  if (current) {
    const over = current.offsetTop - log.scrollTop, under = over + current.offsetHeight - log.clientHeight;
    if (over < 0) log.scrollTop += over - 8; else if (under > 0) log.scrollTop += under + 8;
  } else log.scrollTop = 0;
  if (time !== null) {
    inspect();
    if (at > 0) showNode(steps[at - 1].node);
  }
  return said;
}
if (!steps.length) log.closest(".card").hidden = true;
entries.forEach((entry, i) => entry.addEventListener("click", () => time.go(i + 1)));

const marks = [];
if (forwardCount) marks.push([0, "forward"]);
if (steps.length > forwardCount) marks.push([forwardCount, "backward"]);
time = player({length: steps.length + 1, show, marks, seconds: 1.1});
rove(0);
choose(null);
showModules();
begin();

/** Where a fallback font is wider than expected, letters move together rather than out of the box. */
for (const node of drawn) {
  const box = node.querySelector(".box").getBBox();
  for (const line of node.querySelectorAll("text")) {
    const room = box.width - Number(line.getAttribute("x")) - 4;
    if (line.getComputedTextLength() > room) {
      line.setAttribute("textLength", room);
      line.setAttribute("lengthAdjust", "spacingAndGlyphs");
    }
  }
}
