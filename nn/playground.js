const decode = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const decodeSigned = text => new Int8Array(decode(text).buffer);
const surfaces = data.surfaces.map(decode), certainties = data.certainties.map(decode);
const N = data.grid, [x0, y0] = data.low, [x1, y1] = data.high;
const token = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Colours that differ in lightness too; classes also have shapes and numbers.
const HUES = ["#2468b2", "#c2571a", "#0b7a5e", "#8a3fa8", "#a8871c", "#5c6670"];
const hue = k => HUES[k % HUES.length];
const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
const mix = (a, b, t) => a.map((v, i) => v + (b[i] - v) * t);
const SHAPES = [
  r => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  r => `M0 ${-1.2 * r}L${1.1 * r} ${0.8 * r}H${-1.1 * r}z`,
  r => `M${-0.9 * r} ${-0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
  r => `M0 ${-1.25 * r}L${1.25 * r} 0L0 ${1.25 * r}L${-1.25 * r} 0z`,
  r => `M${-r} ${-0.8 * r}H${r}L0 ${1.1 * r}z`,
  r => `M0 ${-1.2 * r}L${1.1 * r} ${-0.3 * r}L${0.7 * r} ${r}H${-0.7 * r}L${-1.1 * r} ${-0.3 * r}z`,
];
const shape = (k, r) => SHAPES[k % SHAPES.length](r);

const short = x => {
  if (!Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? x.toExponential(2) : String(Number(x.toPrecision(4)));
};

// The plane. -------------------------------------------------------------------------------------

const canvas = byId("surface"), over = byId("over");
const SIZE = 400;
over.setAttribute("viewBox", `0 0 ${SIZE} ${SIZE}`);
const toX = x => SIZE * (x - x0) / (x1 - x0), toY = y => SIZE * (y1 - y) / (y1 - y0);

function ticks(low, high, count = 5) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= rough);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + 1e-9 * step; t += step) found.push(Number(t.toPrecision(10)));
  return found;
}

const boundary = element("svg:path", {class: "boundary"}), halo = element("svg:path", {class: "boundary-halo"});
const regions = element("svg:g"), points = element("svg:g"), wrongs = element("svg:path", {class: "wrong"});
over.append(element("svg:rect", {class: "axis", x: 0, y: 0, width: SIZE, height: SIZE, rx: 3}));
for (const t of ticks(x0, x1)) over.append(element("svg:path", {class: "axis", d: `M${toX(t)} ${SIZE}v5`}), element("svg:text", {x: toX(t), y: SIZE + 18, "text-anchor": "middle"}, String(t)));
for (const t of ticks(y0, y1)) over.append(element("svg:path", {class: "axis", d: `M0 ${toY(t)}h-5`}), element("svg:text", {x: -8, y: toY(t) + 4, "text-anchor": "end"}, String(t)));
over.append(halo, boundary, points, wrongs, regions);

const targetColour = target => data.kind === "number"
  ? `rgb(${mix(rgb(HUES[0]), rgb(HUES[1]), (target - data.range[0]) / ((data.range[1] - data.range[0]) || 1)).map(Math.round).join(" ")})`
  : hue(target > 0.5 && data.kind === "binary" ? 1 : data.kind === "binary" ? 0 : target);
const classOf = target => data.kind === "number" ? 0 : data.kind === "binary" ? Number(target > 0.5) : target;
const radius = data.points.length > 600 ? 2.6 : data.points.length > 200 ? 3.6 : 4.8;
data.points.forEach(([x, y], i) => points.append(element("svg:path", {
  class: "point", d: shape(classOf(data.targets[i]), radius), fill: targetColour(data.targets[i]),
  transform: `translate(${toX(x).toFixed(1)} ${toY(y).toFixed(1)})`,
})));

function drawSurface(frame) {
  const values = surfaces[frame], certain = certainties[frame];
  const paper = rgb(isDark() ? "#161e26" : "#ffffff");
  canvas.width = canvas.height = N;
  const context = canvas.getContext("2d"), image = context.createImageData(N, N);
  for (let i = 0; i < N * N; i += 1) {
    let colour;
    if (data.kind === "classes") {
      colour = mix(paper, rgb(hue(values[i])), 0.12 + 0.56 * certain[i] / 255);
    } else {
      const v = 2 * values[i] / 255 - 1;
      colour = mix(paper, rgb(HUES[v > 0 ? 1 : 0]), 0.06 + 0.62 * Math.abs(v));
    }
    image.data.set([...colour, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** Which class the model reads at each cell, and by how much. */
function readings(frame) {
  const values = surfaces[frame];
  return data.kind === "classes"
    ? {kinds: values, margins: certainties[frame]}
    : {kinds: values.map(v => Number(v > 127.5)), margins: values.map(v => Math.round(Math.abs(v - 127.5)))};
}

/** Where the class changes: marching squares over the centres of the cells. */
function drawBoundary(frame) {
  if (data.kind === "number") return;
  const {kinds, margins} = readings(frame), cell = SIZE / N;
  let d = "";
  const point = p => p.map(v => v.toFixed(1)).join(" ");
  for (let row = 0; row + 1 < N; row += 1) {
    for (let column = 0; column + 1 < N; column += 1) {
      const corners = [[0, 0], [0, 1], [1, 1], [1, 0]].map(([r, c]) => ({r: row + r, c: column + c, i: (row + r) * N + column + c}));
      const crossings = [];
      corners.forEach((a, k) => {
        const b = corners[(k + 1) % 4];
        if (kinds[a.i] === kinds[b.i]) return;
        const all = margins[a.i] + margins[b.i], t = all ? margins[a.i] / all : 0.5;
        crossings.push([(a.c + t * (b.c - a.c) + 0.5) * cell, (a.r + t * (b.r - a.r) + 0.5) * cell]);
      });
      if (crossings.length === 2) d += `M${point(crossings[0])}L${point(crossings[1])}`;
      else if (crossings.length > 2) {
        // Three or four regions meet.
        const middle = [0, 1].map(axis => crossings.reduce((sum, p) => sum + p[axis], 0) / crossings.length);
        for (const p of crossings) d += `M${point(p)}L${point(middle)}`;
      }
    }
  }
  boundary.setAttribute("d", d);
  halo.setAttribute("d", d);
  // The number of each class, where its region is widest.
  const distance = new Int32Array(N * N).fill(-1);
  let rim = [];
  kinds.forEach((kind, i) => {
    const row = Math.floor(i / N), column = i % N;
    const edge = row === 0 || column === 0 || row === N - 1 || column === N - 1;
    if (edge || [i - 1, i + 1, i - N, i + N].some(j => kinds[j] !== kind)) { distance[i] = 0; rim.push(i); }
  });
  const best = new Map();
  for (let depth = 0; rim.length; depth += 1) {
    const further = [];
    for (const i of rim) {
      if (!best.has(kinds[i]) || depth > best.get(kinds[i])[0]) best.set(kinds[i], [depth, i]);
      for (const j of [i - 1, i + 1, i - N, i + N]) if (distance[j] === -1) { distance[j] = depth + 1; further.push(j); }
    }
    rim = further;
  }
  regions.replaceChildren(...[...best].filter(([, [depth]]) => depth > 1).map(([kind, [, i]]) =>
    element("svg:text", {class: "region", x: (i % N + 0.5) * cell, y: (Math.floor(i / N) + 0.5) * cell + 6}, String(kind))));
}

function drawWrong(frame) {
  if (data.kind === "number") return;
  let d = "";
  data.points.forEach(([x, y], i) => {
    const column = Math.min(N - 1, Math.max(0, Math.floor(N * (x - x0) / (x1 - x0))));
    const row = Math.min(N - 1, Math.max(0, Math.floor(N * (y1 - y) / (y1 - y0))));
    const value = surfaces[frame][row * N + column];
    const guess = data.kind === "classes" ? value : Number(value > 127.5);
    const r = radius + 3.2;
    if (guess !== classOf(data.targets[i])) d += `M${(toX(x) - r).toFixed(1)} ${toY(y).toFixed(1)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  });
  wrongs.setAttribute("d", d);
}

const legend = byId("legend");
if (data.kind === "number") {
  legend.append(element("span", {}, `Blue is ${short(data.range[0])}, orange ${short(data.range[1])}.`));
} else {
  for (let k = 0; k < data.classes; k += 1) {
    legend.append(element("span", {}, element("svg:svg", {viewBox: "-8 -8 16 16", "aria-hidden": "true"}, element("svg:path", {d: shape(k, 6.5), fill: hue(k)})), `class ${k}`));
  }
  legend.append(element("span", {}, element("svg:svg", {viewBox: "-8 -8 16 16", "aria-hidden": "true"}, element("svg:path", {d: shape(0, 6.5), fill: "none", stroke: "currentColor", "stroke-width": 2})), "misread"));
}

// The loss. --------------------------------------------------------------------------------------

const lossChart = byId("losses");
lossChart.classList.add("chart");
const W = 380, H = 190, LEFT = 52, BOTTOM = 24;
lossChart.setAttribute("viewBox", `0 0 ${W} ${H}`);
const curve = data.history.map((v, i) => [i + 1, v]);
const known = [...curve.map(p => p[1]), ...data.losses].map(number).filter(Number.isFinite);
const lowest = Math.min(...known), highest = Math.max(...known);
const logarithmic = lowest > 0 && highest / lowest > 20;
const map = v => logarithmic ? Math.log(v) : v;
const bottom = map(lowest), top2 = map(highest) > bottom ? map(highest) : bottom + 1;
const lastEpoch = Math.max(1, data.epochs.at(-1));
const cx = epoch => LEFT + (W - LEFT - 8) * epoch / lastEpoch;
const cy = v => 10 + (H - 10 - BOTTOM) * (1 - (map(v) - bottom) / (top2 - bottom));
lossChart.append(element("svg:path", {class: "axis", d: `M${LEFT} 6V${H - BOTTOM}H${W - 4}`}));
const levels = logarithmic
  ? Array.from({length: 30}, (_, k) => 10 ** (k - 15)).filter(v => v >= lowest * 0.999 && v <= highest * 1.001)
  : ticks(lowest, highest, 4);
for (const v of levels.length > 1 ? levels : [lowest, highest]) lossChart.append(element("svg:path", {class: "axis", d: `M${LEFT - 4} ${cy(v)}h4`}), element("svg:text", {x: LEFT - 8, y: cy(v) + 4, "text-anchor": "end"}, short(v)));
for (const e of ticks(0, lastEpoch, 5).filter(Number.isInteger)) lossChart.append(element("svg:path", {class: "axis", d: `M${cx(e)} ${H - BOTTOM}v4`}), element("svg:text", {x: cx(e), y: H - 6, "text-anchor": "middle"}, String(e)));
const whole = [[0, number(data.losses[0])], ...curve].filter(p => Number.isFinite(p[1]));
lossChart.append(element("svg:path", {class: "line", d: whole.map(([e, v], i) => `${i ? "L" : "M"}${cx(e).toFixed(1)} ${cy(v).toFixed(1)}`).join("")}));
const cursor = element("svg:path", {class: "cursor"}), dot = element("svg:circle", {class: "dot", r: 4.5});
lossChart.append(cursor, dot);
const lossAt = epoch => epoch === 0 ? number(data.losses[0]) : number(data.history[epoch - 1]);

// Gradients. -------------------------------------------------------------------------------------

const GW = 160, GH = 30;
const gradientRows = data.parameters.map(parameter => {
  const all = parameter.gradients.map(number);
  const logs = all.map(v => v > 0 && Number.isFinite(v) ? Math.log(v) : null);
  const seen = logs.filter(v => v !== null), low = Math.min(...seen), high = Math.max(...seen);
  const gx = i => GW * i / Math.max(1, all.length - 1), gy = v => 4 + (GH - 8) * (high > low ? (high - v) / (high - low) : 0.5);
  let d = "", pen = "M";
  logs.forEach((v, i) => { if (v === null) pen = "M"; else { d += `${pen}${gx(i).toFixed(1)} ${gy(v).toFixed(1)}`; pen = "L"; } });
  const mark = element("svg:circle", {class: "dot", r: 3.5}), value = element("span", {class: "number"});
  byId("gradients").append(element("div", {class: "gradient"},
    element("span", {class: "label"}, parameter.name),
    element("svg:svg", {class: "chart", viewBox: `0 0 ${GW} ${GH}`, preserveAspectRatio: "none", role: "img", "aria-label": `Gradient of ${parameter.name} by epoch`}, element("svg:path", {class: "line", d, "vector-effect": "non-scaling-stroke"}), mark), value));
  return frame => {
    value.textContent = short(all[frame]);
    mark.style.display = logs[frame] === null ? "none" : "";
    if (logs[frame] !== null) { mark.setAttribute("cx", gx(frame)); mark.setAttribute("cy", gy(logs[frame])); }
  };
});

// The model: unit by unit where it is narrow, else its weights as squares. ------------------------

const inside = byId("inside");
const matrices = data.parameters.filter(p => p.shape.length === 2 && p.values);
const widths = matrices.length ? [matrices[0].shape[0], ...matrices.map(p => p.shape[1])] : [];
const chained = matrices.every((p, k) => k === 0 || p.shape[0] === matrices[k - 1].shape[1]);
const asNetwork = matrices.length > 0 && chained && Math.max(...widths) <= 12 && widths[0] === 2 && data.units.length === matrices.length;

function network() {
  const unit = 40, gap = 16, columnGap = Math.max(96, 300 / widths.length), tallest = Math.max(...widths);
  const width = widths.length * unit + (widths.length - 1) * columnGap + 24, height = tallest * (unit + gap) + 34;
  const drawing = element("svg:svg", {id: "network", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Network of ${widths.join(", ")} units`});
  const ux = column => 12 + column * (unit + columnGap);
  const uy = (column, k) => 24 + (height - 34 - widths[column] * (unit + gap) + gap) / 2 + k * (unit + gap);
  const links = element("svg:g"), unitsG = element("svg:g");
  drawing.append(links, unitsG);
  const values = matrices.map(p => p.values.map(decodeSigned));
  const responses = data.units.map(layer => layer.responses.map(decodeSigned));
  const lines = matrices.map((p, layer) => {
    const found = [];
    for (let i = 0; i < p.shape[0]; i += 1) {
      for (let j = 0; j < p.shape[1]; j += 1) {
        const [ax, ay, bx, by] = [ux(layer) + unit, uy(layer, i) + unit / 2, ux(layer + 1), uy(layer + 1, j) + unit / 2];
        const line = element("svg:path", {class: "link", d: `M${ax} ${ay}C${ax + columnGap / 2} ${ay} ${bx - columnGap / 2} ${by} ${bx} ${by}`});
        links.append(line);
        found.push(line);
      }
    }
    return found;
  });
  const maps = [];
  const G = data.unitGrid, c = unit / G;
  widths.forEach((count, column) => {
    const title = column === 0 ? "input" : column === widths.length - 1 ? "output" : `layer ${column}`;
    drawing.append(element("svg:text", {x: ux(column) + unit / 2, y: 12}, title));
    for (let k = 0; k < count; k += 1) {
      const g = element("svg:g", {transform: `translate(${ux(column)} ${uy(column, k)})`});
      g.append(element("svg:rect", {class: "unit", width: unit, height: unit, rx: 6}));
      if (column === 0) g.append(element("svg:text", {x: unit / 2, y: unit / 2 + 4}, k ? "x₂" : "x₁"));
      else {
        const plus = element("svg:g"), frame = element("svg:rect", {class: "unit", width: unit, height: unit, rx: 6, style: null, "fill-opacity": 0});
        g.append(plus, frame);
        maps.push({column, k, plus});
      }
      unitsG.append(g);
    }
  });
  inside.append(drawing);
  byId("inside-title").textContent = "Network";
  byId("inside-legend").textContent = "Lines are weights: solid orange positive, dashed blue negative, the wider the larger. Each square is what its unit gives over the plane.";
  return frame => {
    lines.forEach((layer, l) => layer.forEach((line, e) => {
      const v = values[l][frame][e] / 127;
      line.setAttribute("class", `link ${v < 0 ? "minus" : "plus"}`);
      line.setAttribute("stroke-width", (0.3 + 4.7 * Math.abs(v)).toFixed(2));
      line.setAttribute("opacity", (0.25 + 0.75 * Math.abs(v)).toFixed(2));
    }));
    for (const {column, k, plus} of maps) {
      const all = responses[column - 1][frame], base = k * G * G, runs = new Map();
      for (let row = 0; row < G; row += 1) {
        for (let x = 0; x < G;) {
          const level = Math.round(all[base + row * G + x] / 127 * 6);
          let end = x + 1;
          while (end < G && Math.round(all[base + row * G + end] / 127 * 6) === level) end += 1;
          if (level !== 0) runs.set(level, `${runs.get(level) ?? ""}M${(x * c).toFixed(2)} ${(row * c).toFixed(2)}h${((end - x) * c).toFixed(2)}v${c}h${(-(end - x) * c).toFixed(2)}z`);
          x = end;
        }
      }
      plus.replaceChildren(...[...runs].map(([level, d]) => element("svg:path", {class: `cell ${level > 0 ? "plus" : "minus"}`, d, opacity: (0.12 + 0.88 * Math.abs(level) / 6).toFixed(2)})));
    }
  };
}

function squares() {
  const shown = data.parameters.filter(p => p.values);
  if (!shown.length) {
    inside.append(element("p", {class: "muted"}, "The model has too many weights for each to be shown; their gradients are below."));
    return () => {};
  }
  byId("inside-legend").textContent = "The size of a square is the magnitude of a weight: filled positive, hollow negative.";
  const painters = shown.map(parameter => {
    // Tall ones are laid on their side.
    const last = parameter.shape.at(-1) ?? 1, first = parameter.shape.reduce((a, b) => a * b, 1) / last;
    const turned = first > 12 && first > last, columns = turned ? first : last, rows = turned ? last : first;
    const cell = Math.max(5, Math.min(18, Math.floor(380 / columns)));
    const picture = element("svg:svg", {width: columns * cell, height: rows * cell, viewBox: `0 0 ${columns * cell} ${rows * cell}`, role: "img", "aria-label": `${parameter.name} of shape ${parameter.shape.join(" by ")}`});
    inside.append(element("div", {class: "matrix"}, element("h3", {}, `${parameter.name}  ${parameter.shape.join("×")}${turned ? ", transposed" : ""}, largest ${short(parameter.largest)}`), picture));
    const values = parameter.values.map(decodeSigned);
    return frame => picture.replaceChildren(...[...values[frame]].flatMap((v, i) => {
      const half = Math.sqrt(Math.abs(v) / 127) * (cell / 2 - 0.8);
      if (half < 0.3) return [];
      const row = turned ? i % last : Math.floor(i / last), column = turned ? Math.floor(i / last) : i % last;
      const x = (column + 0.5) * cell, y = (row + 0.5) * cell;
      return [element("svg:rect", {class: v > 0 ? "plus" : "minus", x: x - half, y: y - half, width: 2 * half, height: 2 * half})];
    }));
  });
  return frame => { for (const paint of painters) paint(frame); };
}
const drawInside = asNetwork ? network() : squares();

// All of it. -------------------------------------------------------------------------------------

function show(frame) {
  const epoch = data.epochs[frame], loss = lossAt(epoch), accuracy = data.accuracies[frame];
  drawSurface(frame);
  drawBoundary(frame);
  drawWrong(frame);
  drawInside(frame);
  for (const row of gradientRows) row(frame);
  cursor.setAttribute("d", `M${cx(epoch)} 6V${H - BOTTOM}`);
  dot.style.display = Number.isFinite(loss) ? "" : "none";
  if (Number.isFinite(loss)) { dot.setAttribute("cx", cx(epoch)); dot.setAttribute("cy", cy(loss)); }
  byId("loss-now").textContent = `epoch ${epoch}: ${short(loss)}`;
  const score = accuracy === null ? "" : `${(100 * accuracy).toFixed(1)} % read right`;
  byId("score").textContent = score;
  return `Epoch ${epoch}: ${data.lossName} ${short(loss)}${score ? `, ${score}` : ""}`;
}
const time = player({length: data.epochs.length, show, seconds: 0.28, caption: i => `epoch ${data.epochs[i]}`});
themeChanged(() => drawSurface(time.now));
