const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);

/** An element of HTML, or with a name such as "svg:path" of SVG; children are elements and text. */
function element(name, attributes = {}, ...children) {
  const drawn = name.startsWith("svg:");
  const made = drawn
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

/** A number that JSON may have had to hold as a string. */
const number = x => typeof x === "number" ? x : x === "inf" ? Infinity : x === "-inf" ? -Infinity : NaN;

// Light and dark. --------------------------------------------------------------------------------

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const themeListeners = [];
const themeChanged = f => themeListeners.push(f);
const isDark = () => (document.documentElement.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";
function switchTheme() {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  for (const f of themeListeners) f();
}
byId("theme").addEventListener("click", switchTheme);
prefersDark.addEventListener("change", () => { for (const f of themeListeners) f(); });

// Help. ------------------------------------------------------------------------------------------

const help = byId("keys");
byId("help").addEventListener("click", () => help.showModal());

// The player. ------------------------------------------------------------------------------------

/**
 * Shows one of `length` states at a time: `show(i)` puts it on the screen and returns what a screen
 * reader says. `seconds`: how long each is shown while playing; `at`: the first one;
 * `marks`: [first state, title] of the parts that the slider is divided into; `caption(i)`: what
 * stands beside it.
 */
function player({length, show, seconds = 1, at = 0, marks = [], name = "step", caption = i => `${i} / ${length - 1}`}) {
  const slider = byId("slider"), play = byId("play");
  let now = -1, timer = null;

  function go(to, say = true) {
    to = Math.max(0, Math.min(length - 1, to));
    if (to === now) return;
    now = to;
    slider.value = to;
    const said = show(to);
    slider.setAttribute("aria-valuetext", said || `${name} ${to} of ${length - 1}`);
    byId("count").textContent = caption(to);
    for (const id of ["first", "back"]) byId(id).disabled = to === 0;
    for (const id of ["next", "last"]) byId(id).disabled = to === length - 1;
    if (say && timer === null) byId("said").textContent = said ?? "";
  }
  function pause() {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    delete play.dataset.playing;
    play.setAttribute("aria-label", "Play");
  }
  function tick() {
    go(now + 1);
    if (now === length - 1) pause();
    else timer = setTimeout(tick, 1000 * seconds / Number(byId("speed").value));
  }
  function toggle() {
    if (timer !== null) return pause();
    if (now === length - 1) go(0);
    play.dataset.playing = "";
    play.setAttribute("aria-label", "Pause");
    timer = setTimeout(tick, 400 * seconds / Number(byId("speed").value));
  }
  function jump(to) { pause(); go(to); }

  slider.max = length - 1;
  slider.addEventListener("input", () => jump(Number(slider.value)));
  play.addEventListener("click", toggle);
  byId("first").addEventListener("click", () => jump(0));
  byId("back").addEventListener("click", () => jump(now - 1));
  byId("next").addEventListener("click", () => jump(now + 1));
  byId("last").addEventListener("click", () => jump(length - 1));
  const ends = [...marks.slice(1).map(mark => mark[0]), length - 1];
  marks.forEach(([from, title], i) => {
    const mark = element("span", {}, title);
    mark.style.left = `${100 * from / Math.max(1, length - 1)}%`;
    mark.style.width = `${100 * (ends[i] - from) / Math.max(1, length - 1)}%`;
    byId("marks").append(mark);
  });
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey && event.key !== "?") return;
    const target = event.target;
    if (help.open || target.matches("input:not([type=range]), select, textarea")) return;
    const keys = {
      ArrowRight: () => jump(now + 1), ArrowLeft: () => jump(now - 1),
      Home: () => jump(0), End: () => jump(length - 1),
      t: switchTheme, "?": () => help.showModal(),
    };
    // A focused button is pressed by the space bar, as everywhere.
    if (!target.matches("button, summary, [role=button]")) keys[" "] = toggle;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  byId("player").hidden = length < 2;
  go(at, false);
  return {go: jump, get now() { return now; }, get length() { return length; }};
}
