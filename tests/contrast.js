// All text on the screen whose contrast with what is behind it fails WCAG AA, and how much was seen.
(() => {
  const parse = text => {
    const values = (text.match(/[\d.]+/g) ?? []).map(Number);
    return values.length === 3 ? [...values, 1] : values;
  };
  const over = (a, b) => [0, 1, 2].map(i => a[3] * a[i] + (1 - a[3]) * b[i]).concat(1);
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = c => {
    const [r, g, b] = c.slice(0, 3).map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = e => {
    const layers = [];
    const box = e.closest("svg .node, svg .frame.closed")?.querySelector(".box, rect");
    const fill = box ? getComputedStyle(box).fill : "none";
    if (fill !== "none") layers.push(parse(fill));
    for (let x = e; x; x = x.parentElement) layers.push(parse(getComputedStyle(x).backgroundColor));
    let colour = [255, 255, 255, 1];
    for (const layer of layers.reverse()) colour = over(layer, colour);
    return colour;
  };
  const poor = [];
  let count = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t = walker.nextNode(); t; t = walker.nextNode()) {
    const e = t.parentElement, style = getComputedStyle(e);
    if (!t.textContent.trim() || !e.getClientRects().length) continue;
    if (e.closest("script, style, noscript, .hidden, :disabled, option")) continue;
    const front = parse(e instanceof SVGElement ? style.fill : style.color), back = behind(e);
    const [low, high] = [luminance(over(front, back)), luminance(back)].sort((x, y) => x - y);
    const ratio = (high + 0.05) / (low + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    count += 1;
    if (ratio < (large ? 3 : 4.5)) {
      poor.push(`${ratio.toFixed(2)} ${e.tagName}.${e.getAttribute("class")}: ${t.textContent}`);
    }
  }
  return {poor, count};
})()
