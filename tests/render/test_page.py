"""The step-through page, in a real browser where there is one."""

import base64
import hashlib
import json
import math
import re
import string
from itertools import pairwise

import numpy as np
import pytest

import autograd_core as ag
import nn
from autograd_core.render import engine
from autograd_core.render.describe import Origin, clean, describe, quantity
from autograd_core.render.html import html_page
from autograd_core.render.page import brief, heat, page
from autograd_core.render.steps import steps


def leaf(value, label=None, dtype=None):
    return ag.tensor(value, requires_grad=True, dtype=dtype, label=label)


def expression():
    x = leaf(0.5, "x")
    c = np.exp(x) + np.exp(x) ** 2
    return np.exp(c) + np.sin(c)


def network():
    rng = np.random.default_rng(0)
    model = nn.MLP([2, 6, 3], rng=0)
    x = ag.tensor(rng.standard_normal((7, 2)), dtype=np.float32, label="X")
    loss = nn.losses.cross_entropy(model(x), rng.integers(0, 3, 7))
    loss.label = "loss"
    return loss


def mixed():
    a, b = leaf(np.arange(6.0).reshape(2, 3), "a"), leaf(2.0, "b")
    return ((a * b).sum() + b * b - np.floor(b)) * 0.5


GRAPHS = [expression, network, mixed]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The page of each graph, written once, with its Graph."""
    folder = tmp_path_factory.mktemp("pages")
    made = {}

    def get(make):
        if make not in made:
            output = make()
            graph = ag.Graph(output)
            for node in graph.inputs:
                node.zero_grad()
            made[make] = ag.render(output, folder / f"{make.__name__}.html"), graph
        return made[make]

    return get


# What the page shows, read from the screen. -------------------------------------------------------

SHOWN = """[...document.querySelectorAll(".node")].map(node => ({
  name: node.querySelector(".name").textContent,
  value: [...node.querySelectorAll(".value .said")].map(e => e.textContent).filter(Boolean),
  grad: [...node.querySelectorAll(".grad .said")].map(e => e.textContent).filter(Boolean),
}))"""


def shown(browser):
    return {node["name"]: node for node in browser.run(SHOWN)}


def text_of(browser, selector):
    return browser.run(f"document.querySelector({json.dumps(selector)})?.textContent")


def now(browser):
    """The formula of the step, as one line."""
    return browser.run(
        '[...document.querySelectorAll("#now .formula span")].map(e => e.textContent)'
        '.filter(Boolean).join(" ")')


def step(browser):
    return int(text_of(browser, "#count").split("/")[0])


# Stepping. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", GRAPHS, ids=lambda f: f.__name__)
def test_stepping_to_the_end_shows_the_gradients_of_backward(browser, rendered, make):
    path, graph = rendered(make)
    for node in graph.inputs:
        node.zero_grad()
    graph.outputs[0].backward()
    found = steps(graph)
    browser.open(path)
    total = len(found.forward) + len(found.backward)
    assert text_of(browser, "#count") == f"0 / {total}"
    for i, expected in enumerate((*found.forward, *found.backward), start=1):
        browser.press("ArrowRight")
        assert step(browser) == i
        assert now(browser) == expected.text
        item = shown(browser)[found.names[expected.node]]
        said = item["value" if expected.phase == "forward" else "grad"]
        lines = brief(expected.result.lines)
        if not expected.last:
            assert re.fullmatch(re.escape(lines[0]) + r" \(\d+/\d+\)", said[0])
            said = [lines[0], *said[1:]]
        assert said == lines
    browser.press("ArrowRight")
    assert step(browser) == total
    end = shown(browser)
    for node, name in zip(graph.nodes, found.names, strict=True):
        assert end[name]["value"] == brief(quantity(node.numpy(force=True)).lines)
        if node.is_leaf and node.requires_grad:
            assert end[name]["grad"] == brief(quantity(node.grad).lines)
    assert browser.console == []
    assert [url.split("?")[0] for url in browser.requests] == [path.resolve().as_uri()]


def test_nothing_is_known_at_the_start_but_leaves_and_never_a_stale_zero(browser, rendered):
    path, graph = rendered(expression)
    browser.open(path)
    names = dict(zip(graph.nodes, steps(graph).names, strict=True))
    start = shown(browser)
    for node, name in names.items():
        assert start[name]["value"] == (["0.5"] if node.is_leaf else ["—"])
        assert start[name]["grad"] == ["—"]
    browser.press("End", "ArrowLeft")
    assert shown(browser)["x"]["grad"][0].endswith("(1/2)")
    browser.press("Home")
    assert shown(browser) == start


def test_the_sum_so_far_is_written_out(browser, rendered):
    path, graph = rendered(expression)
    browser.open(path)
    browser.press("End")
    last = steps(graph).backward[-1]
    assert last.sum and text_of(browser, "#now .sum") == f"dz/dx = {last.sum}"
    assert "complete" in text_of(browser, "#now .say")


# Keyboard, slider, search. ------------------------------------------------------------------------


def test_the_keyboard_does_everything(browser, rendered):
    path, _ = rendered(expression)
    browser.open(path)
    browser.press("ArrowRight", "ArrowRight", "ArrowLeft")
    assert step(browser) == 1
    browser.press("End")
    total = int(browser.run("slider.max"))
    assert step(browser) == total
    browser.press("Home")
    assert step(browser) == 0
    browser.press("b")
    assert text_of(browser, "#now .badge") == "Backward"
    browser.press("Home", " ")
    browser.wait_for("Number(slider.value) >= 1")
    assert browser.run("document.querySelector('#play').getAttribute('aria-label')") == "Pause"
    browser.press(" ")
    paused = step(browser)
    assert browser.run("document.querySelector('#play').getAttribute('aria-label')") == "Play"
    assert step(browser) == paused
    browser.press("?")
    assert browser.run("document.querySelector('#keys').open")
    browser.press("ArrowRight")
    assert step(browser) == paused, "the dialog has the keyboard"
    browser.press("Escape")
    assert not browser.run("document.querySelector('#keys').open")


def test_playing_comes_to_an_end_and_starts_again(browser, rendered):
    path, _ = rendered(expression)
    browser.open(path)
    browser.run("document.querySelector('#speed').value = '10'")
    browser.press("End", "ArrowLeft", "ArrowLeft", " ")
    browser.wait_for("slider.value === slider.max")
    browser.wait_for("!('playing' in document.querySelector('#play').dataset)")
    browser.press(" ")
    browser.wait_for("Number(slider.value) < 5")
    browser.press(" ")


def test_the_slider_is_a_slider(browser, rendered):
    path, _ = rendered(expression)
    browser.open(path)
    browser.run("slider.focus()")
    browser.press("ArrowRight", "ArrowRight")
    assert step(browser) == 2, "one step a key, not one of the page's and one of the slider's"
    browser.run("slider.value = 9; slider.dispatchEvent(new Event('input'))")
    assert step(browser) == 9
    assert "dz/d" in browser.run("slider.getAttribute('aria-valuetext')")


def test_the_buttons(browser, rendered):
    path, _ = rendered(expression)
    browser.open(path)
    browser.click("#next")
    assert step(browser) == 1
    browser.click("#last")
    assert step(browser) == int(browser.run("slider.max"))
    assert browser.run("document.querySelector('#next').disabled")
    browser.click("#back")
    browser.click("#first")
    assert step(browser) == 0
    browser.click("#log li:nth-child(3)")
    assert step(browser) == 3
    assert browser.run("document.querySelector('#log [aria-current]').textContent").startswith("v3")


def test_search_by_keyboard(browser, rendered):
    path, _ = rendered(expression)
    browser.open(path)
    browser.press("/")
    assert browser.run("document.activeElement.id") == "search"
    browser.type("sin")
    assert browser.run("found.hidden") is False
    assert browser.run("[...found.children].map(e => e.textContent)") == ["v6 = sin(v4)"]
    browser.press("Home")  # moves in the text, not in time
    assert step(browser) == 0
    browser.press("Enter")
    assert text_of(browser, "#chosen h2") == "v6 = sin(v4)"
    assert browser.run("found.hidden") is True
    browser.press("Escape")
    assert text_of(browser, "#chosen h2") == "No node chosen"
    browser.press("/")
    browser.type("exp")
    assert browser.run("found.querySelectorAll('.pick').length") == 3
    browser.press("ArrowDown", "ArrowDown", "Enter")
    assert text_of(browser, "#chosen h2") == "v5 = exp(v4)"
    browser.press("/")
    browser.type("nothing like it")
    assert text_of(browser, "#found .none") == "Nothing matches “nothing like it”"
    browser.press("Enter", "Escape")
    assert browser.run("document.activeElement.id") != "search"
    assert browser.console == []


def test_the_nodes_are_reached_and_chosen_by_keyboard(browser, rendered):
    path, _ = rendered(expression)
    browser.open(path)
    browser.run("document.querySelector('.node[tabindex=\"0\"]').focus()")
    for expected in (1, 2, 3):
        browser.press("ArrowRight", shift=True)
        assert browser.run("document.activeElement.dataset.node") == str(expected)
    assert step(browser) == 0
    browser.press("ArrowLeft", shift=True)
    browser.press("Enter")
    assert browser.run("document.querySelector('.node.chosen').dataset.node") == "2"
    assert browser.run("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert browser.run("document.querySelectorAll('.node[tabindex=\"0\"]').length") == 1


def test_zoom_and_pan_keep_the_current_step_in_sight(browser, rendered):
    path, _ = rendered(network)
    browser.open(path, size=(900, 700))
    wide = browser.run("picture.viewBox.baseVal.width")
    browser.press("+", "+")
    assert browser.run("picture.viewBox.baseVal.width") < 0.7 * wide
    for _ in range(12):
        browser.press("ArrowRight")
        assert browser.run("""(() => {
          const a = document.querySelector(".node.now").getBoundingClientRect();
          const b = document.querySelector(".stage").getBoundingClientRect();
          return a.left >= b.left && a.top >= b.top
            && a.left < b.right - 30 && a.top < b.bottom - 30;
        })()""")
    browser.press("0")
    assert browser.run("picture.viewBox.baseVal.width") >= wide


# Paths. -------------------------------------------------------------------------------------------


def total(browser):
    return text_of(browser, ".paths .total").rsplit("= ", 1)[1]


def test_a_leaf_s_paths_multiply_and_add_up_to_its_gradient(browser, rendered):
    path, graph = rendered(expression)
    browser.open(path)
    browser.press("End")
    browser.click('.node[data-node="0"]')
    assert text_of(browser, ".paths h3") == "4 paths to the output"
    products = browser.run(
        '[...document.querySelectorAll(".paths li")].map(e => e.textContent.split(" = ")[1])')
    assert np.isclose(sum(map(float, products)), steps(graph).gradients[0], rtol=1e-4)
    assert total(browser) == f"{steps(graph).gradients[0]:.5g}"
    assert shown(browser)["x"]["grad"] == [total(browser)]
    assert browser.run("document.querySelectorAll('.edge:not(.on-path)').length") == 0


def test_every_node_s_sum_of_products_is_its_gradient(browser, tmp_path):
    a, b = leaf(1.5, "a"), leaf(-0.75, "b")
    c = a * b + np.sin(a)
    z = (c * c).tanh() + c / b + a * a
    graph = ag.Graph(z)
    found = steps(graph)
    browser.open(ag.render(z, tmp_path / "z.html"))
    for i in range(len(graph.nodes) - 1):
        browser.run(f'document.querySelector(\'.node[data-node="{i}"]\').dispatchEvent('
                    'new MouseEvent("click", {bubbles: true}))')
        assert total(browser) == f"{found.gradients[i]:.5g}"
    assert browser.console == []


def test_more_paths_than_anyone_can_list_are_counted_and_summed(browser, tmp_path):
    x = leaf(1.0, "x")
    y = x
    for _ in range(40):
        y = y * 0.5 + y * 0.25 + y * 0.25
    browser.open(ag.render(y, tmp_path / "many.html"))
    browser.click('.node[data-node="0"]')
    assert text_of(browser, ".paths h3") == f"{3**40:,} paths to the output"
    assert browser.run('document.querySelectorAll(".paths li").length') == 51
    assert total(browser) == "1"


def test_arrays_have_paths_too_but_no_products(browser, rendered):
    path, _ = rendered(network)
    browser.open(path)
    browser.press("End")
    browser.run('document.querySelector(\'.node.variable\').dispatchEvent('
                'new MouseEvent("click", {bubbles: true}))')
    assert text_of(browser, ".paths h3") == "1 path to the output"
    assert "Jacobian" in text_of(browser, ".paths .say")
    assert browser.run("document.querySelectorAll('#chosen svg.heat rect').length") > 0


# Legible. -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("make", [expression, network], ids=lambda f: f.__name__)
def test_contrast_passes_aa(browser, rendered, make, dark):
    path, _ = rendered(make)
    browser.open(path, dark=dark)
    for keys in ([], ["ArrowRight"], ["b"], ["End"], ["?"]):
        browser.press(*keys)
        found = browser.contrast()
        assert found["count"] > 40
        assert found["poor"] == []


def test_the_contrast_test_sees_what_it_is_meant_to_see(browser, rendered):
    path, _ = rendered(expression)
    browser.open(path)
    browser.run("document.querySelector('#subtitle').style.color = '#aaa'")
    browser.run("document.querySelector('.node .said').style.fill = '#aaa'")
    assert len(browser.contrast()["poor"]) == 2


def test_light_and_dark_follow_the_system_until_they_are_switched(browser, rendered):
    path, _ = rendered(expression)
    colour = "getComputedStyle(document.body).backgroundColor"
    browser.open(path, dark=False)
    light = browser.run(colour)
    browser.prefer(dark=True)
    dark = browser.run(colour)
    assert light != dark
    browser.press("t")
    assert browser.run(colour) == light
    browser.click("#theme")
    assert browser.run(colour) == dark


OVERFLOWING = """[...document.querySelectorAll(".node")].flatMap(node => {
  const box = node.querySelector(".box").getBBox();
  return [...node.querySelectorAll("text")].filter(t => {
    const b = t.getBBox();
    return b.width > 0 && (b.x < 0 || b.x + b.width > box.width + 0.5
      || b.y < -1 || b.y + b.height > box.height + 2);
  }).map(t => t.textContent);
})"""


@pytest.mark.parametrize("make", GRAPHS, ids=lambda f: f.__name__)
def test_no_text_leaves_its_box_at_any_step(browser, rendered, make):
    path, _ = rendered(make)
    browser.open(path)
    for _ in range(int(browser.run("slider.max")) + 1):
        assert browser.run(OVERFLOWING) == []
        browser.press("ArrowRight")


@pytest.mark.parametrize("width", [360, 700, 1000, 1800])
def test_the_page_fits_its_window(browser, rendered, width):
    path, _ = rendered(network)
    browser.open(path, size=(width, 760))
    browser.press("End")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelector('.stage').clientHeight") > 250
    bottom = browser.run("document.querySelector('#player').getBoundingClientRect().bottom")
    assert bottom <= 761, "the player is always in sight"


def test_everything_has_a_name_and_steps_are_spoken(browser, rendered):
    path, graph = rendered(expression)
    browser.open(path)
    nameless = browser.run("""[...document.querySelectorAll("button, input, select, [role=button]")]
      .filter(e => !(e.getAttribute("aria-label") || e.textContent.trim() || e.closest("label")))
      .map(e => e.outerHTML.slice(0, 80))""")
    assert nameless == []
    browser.press("End", "ArrowLeft")
    said = text_of(browser, "#said")
    assert said.startswith(steps(graph).backward[-2].text)
    label = browser.run("document.querySelector('.node').getAttribute('aria-label')")
    assert label.startswith("x, variable, value 0.5, gradient 426.6, 1 of 2 terms")
    assert browser.run("document.documentElement.lang") == "en"


# Nothing gets in, nothing gets out. ---------------------------------------------------------------

NASTY = [
    "</script><script>injected = 1</script>", "<img src=x onerror='injected = 1'>", "<!--", "]]>",
    "'\"`&amp;&lt;", "{}$" + "{injected = 1} ${x} {0} %s \\u003c \\", "a\nb\r\nc\td\0e\x1b[0m",
    "x" * 10_000, "😀 漢字 ∇ \U0001f9ff", "\ud800 half a pair", "\u202e right to left",
    "__proto__", "constructor", "</svg><foreignObject>", "$title $data", "",
    "-->", "<style>*{display:none}</style>", string.printable,
]


def random_labels():
    """Of all that Unicode has, and above all of what means something to HTML, CSS and JSON."""
    rng = np.random.default_rng(0)
    special = [*"<>&'\"\\/`${}[]()=;:!-#%\n\r\t\0\u2028\u2029\ufeff", "script", "--", "\\u003c"]
    pools = [special, [chr(i) for i in range(0x20, 0x7F)], None]

    def letter():
        pool = pools[rng.integers(3)]
        return chr(rng.integers(0x110000)) if pool is None else pool[rng.integers(len(pool))]

    return ["".join(letter() for _ in range(rng.integers(1, 60))) for _ in range(18)]


@pytest.mark.parametrize("labels", [NASTY, random_labels()], ids=["known", "random"])
def test_labels_inject_nothing(browser, tmp_path, labels):
    def labelled(labels):
        nodes = [leaf(float(i), label) for i, label in enumerate(labels)]
        total = nodes[0] * 1.0
        for node in nodes[1:]:
            total = total * node + 1.0
        total.label = labels[1]
        return total

    count = "document.querySelectorAll('*').length"
    plain = [f"label {i} of a plain kind" for i in range(len(labels))]
    browser.open(ag.render(labelled(plain), tmp_path / "plain.html", title="plain"))
    expected = browser.run(count)
    path = ag.render(labelled(labels), tmp_path / "nasty.html", title=labels[0])
    browser.open(path)
    assert browser.run(count) == expected, "not an element more"
    assert browser.run("typeof injected") == "undefined"
    assert browser.run("document.title") == " ".join(clean(labels[0]).split())
    assert browser.run("document.scripts.length") == 2
    browser.press("End")
    for i, label in enumerate(labels):
        browser.run(f'[...document.querySelectorAll(".node.variable")][{i}].dispatchEvent('
                    'new MouseEvent("click", {bubbles: true}))')
        shown_label = clean(label)
        if len(shown_label) > 16:
            assert f"“{shown_label}”" in text_of(browser, "#chosen .what")
        elif shown_label:
            assert text_of(browser, "#chosen h2") == shown_label
    browser.press("/")
    browser.type("<img")
    browser.press("Enter")
    assert browser.run("typeof injected") == "undefined"
    assert browser.console == []
    assert len(browser.requests) == 1


def test_nothing_can_be_asked_of_the_network_and_no_foreign_script_runs(browser, rendered):
    path, _ = rendered(expression)
    browser.open(path)
    stopped = browser.run("""(async () => {
      const stopped = [];
      addEventListener("securitypolicyviolation", e => stopped.push(e.effectiveDirective));
      await fetch("https://example.invalid/").catch(() => {});
      new Image().src = "https://example.invalid/a.png";
      const script = document.createElement("script");
      script.textContent = "injected = 1";
      document.body.append(script);
      const link = document.createElement("link");
      Object.assign(link, {rel: "stylesheet", href: "https://example.invalid/a.css"});
      document.head.append(link);
      await new Promise(done => setTimeout(done, 50));
      return [stopped.sort(), typeof injected];
    })()""")
    assert stopped == [["connect-src", "img-src", "script-src-elem", "style-src-elem"],
                       "undefined"]


def test_the_file_holds_all_it_needs(rendered):
    path, _ = rendered(network)
    source = path.read_text("utf-8")
    assert set(re.findall(r"https?://[^\s\"']+", source)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\bsrc=|<link|@import|url\(|\binnerHTML|\beval\b|new Function", source)


def test_the_policy_lets_through_this_style_and_this_script_alone(rendered):
    path, _ = rendered(expression)
    source = path.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', source)[1]
    assert policy.startswith("default-src 'none'")
    for kind, content in (
        ("style", re.search(r"<style>(.*?)</style>", source, re.DOTALL)[1]),
        ("script", re.search(r"<script>(.*?)</script>", source, re.DOTALL)[1]),
    ):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy.replace("&#x27;", "'")


def test_the_shell_escapes_whatever_it_is_given():
    made = html_page("<i>", subtitle="</p>&", body="<main></main>", style="", script="",
                     data={"<": ["</script>", "&", "\u2028", math.nan, -math.inf, "\ud800"]})
    source = made.decode("utf-8")
    assert "<title>&lt;i&gt;</title>" in source and "&lt;/p&gt;&amp;" in source
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', source)[1]
    assert json.loads(held)["<"][:5] == ["</script>", "&", "\u2028", "nan", "-inf"]
    assert "<" not in held and "&" not in held
    with pytest.raises(TypeError):
        html_page("", body="", data={"x": object()}, style="", script="")


# Without scripts, and inside other pages. ---------------------------------------------------------


def test_without_scripts_the_end_of_all_steps_is_there(browser, rendered):
    path, graph = rendered(expression)
    found = steps(graph)
    browser.open(path, scripts=False)
    browser.send("Emulation.setScriptExecutionDisabled", value=False)
    assert shown(browser)["x"]["grad"] == [f"{found.gradients[0]:.5g}"]
    listed = browser.run("[...document.querySelectorAll('#log li')].map(e => e.textContent)")
    assert [line.split("; ")[0] for line in listed] == [
        step.text for step in (*found.forward, *found.backward)]
    assert browser.run("getComputedStyle(document.querySelector('#player')).display") == "none"


def test_it_works_in_a_frame_as_notebooks_show_it(browser, rendered, tmp_path):
    path, _ = rendered(expression)
    outer = tmp_path / "notebook.html"
    outer.write_bytes(b"<!doctype html><iframe width=900 height=600></iframe>")
    browser.open(outer)
    browser.run(f"document.querySelector('iframe').srcdoc = {json.dumps(path.read_text('utf-8'))}")
    browser.wait_for("document.querySelector('iframe').contentDocument?.querySelector('#next')"
                     "?.disabled === false")
    inner = "document.querySelector('iframe').contentDocument"
    browser.run(f"{inner}.querySelector('#next').click()")
    assert browser.run(f"{inner}.querySelector('#count').textContent").startswith("1 /")


# Modules. -----------------------------------------------------------------------------------------


@pytest.fixture
def with_modules(tmp_path):
    """Two modules, one with another inside."""
    x = leaf(0.5, "x")
    a = np.exp(x)
    b = np.sin(a)
    c = b * a
    z = np.tanh(c) + x
    scopes = {a: ("outer",), b: ("outer", "inner"), c: ("outer", "inner"), z.inputs[0]: ("other",)}
    graph = ag.Graph(z)
    drawing = describe(graph, values=True, grads=False, shapes=True,
                       origin=lambda t: Origin("train.py:7", scopes.get(t, ())))
    path = tmp_path / "modules.html"
    path.write_bytes(page(drawing, steps(graph)))
    return path


VISIBLE = ("[...document.querySelectorAll('.node')].filter(e => e.getClientRects().length)"
           ".map(e => e.querySelector('.name').textContent)")


def test_modules_close_and_open(browser, with_modules):
    browser.open(with_modules)
    everything = browser.run(VISIBLE)
    assert set(everything) == {"x", "v1", "v2", "v3", "v4", "z"}
    browser.click(".frame[data-group] .frame-title")
    assert set(browser.run(VISIBLE)) == {"x", "v4", "z"}
    frame = "document.querySelector('.frame.closed')"
    assert browser.run(f"{frame}.querySelector('.frame-more').textContent") == "3 nodes"
    assert browser.run(f"{frame}.getAttribute('aria-expanded')") == "false"
    browser.press("Home", "ArrowRight")
    assert browser.run(f"{frame}.classList.contains('now')"), "the step is inside of it"
    assert now(browser).startswith("v1 =")
    browser.run(f"{frame}.focus()")
    browser.press("Enter")
    assert browser.run(VISIBLE) == everything
    browser.click("#modules")
    assert set(browser.run(VISIBLE)) == {"x", "z"}
    browser.click("#modules")
    assert browser.run(VISIBLE) == everything
    browser.click('.node[data-node="3"]')
    facts = text_of(browser, "#chosen .facts")
    assert "outer › inner" in facts and "train.py:7" in facts
    browser.press("c")
    assert set(browser.run(VISIBLE)) == {"x", "v1", "v4", "z"}
    assert browser.contrast()["poor"] == []
    assert browser.console == []


def test_a_model_is_grouped_by_its_modules(browser, tmp_path):
    model = nn.MLP([2, 4, 1], rng=0)
    path = ag.render(lambda x: nn.losses.mse(model(x), np.zeros((3, 1), np.float32)),
                     tmp_path / "model.html", example=np.ones((3, 2), np.float32))
    browser.open(path)
    titles = browser.run("[...document.querySelectorAll('.frame-title')].map(e => e.textContent)")
    assert titles[0] == "MLP" and any("Linear(2, 4)" in title for title in titles)
    before = len(browser.run(VISIBLE))
    browser.click("#modules")
    assert len(browser.run(VISIBLE)) < before
    browser.press("End")
    assert "dz/d" in now(browser)
    assert browser.console == []


# Other graphs. ------------------------------------------------------------------------------------


def test_without_a_backward_pass_the_page_says_why(browser, tmp_path):
    y = np.exp(leaf([1.0, 2.0], "x"))
    y.label = "y"
    browser.open(ag.render(y, tmp_path / "y.html"))
    assert "y has shape (2,)" in text_of(browser, ".notice")
    assert int(browser.run("slider.max")) == 1
    assert browser.console == []


def test_a_leaf_alone_is_a_page_too(browser, tmp_path):
    browser.open(ag.render(ag.tensor(3.0, label="x"), tmp_path / "leaf.html"))
    assert "nothing to compute" in text_of(browser, "#now")
    assert browser.run("document.querySelector('#player').hidden")
    assert browser.console == []


def test_nan_and_infinity_alarm(browser, tmp_path):
    x = leaf(0.0, "x")
    with np.errstate(all="ignore"):
        y = np.log(x) * x
    browser.open(ag.render(y, tmp_path / "nan.html"))
    browser.press("End")
    assert shown(browser)["z"]["value"] == ["nan"]
    assert browser.run("document.querySelectorAll('.node.alarming').length") == 3
    browser.click('.node[data-node="0"]')
    assert total(browser) == shown(browser)["x"]["grad"][0]


def test_a_compiled_function_steps_through_its_instructions(browser, tmp_path):
    f = ag.compile(lambda x: np.exp(x) * np.sin(x) + 2.0)
    f(np.ones(3))
    browser.open(ag.render(f, tmp_path / "f.html", stage="before"))
    browser.press("ArrowRight")
    assert now(browser) == "%2 = exp(%1)"
    browser.press("End")
    assert now(browser) == "%5 = add(%4, 2)"
    assert "no numbers" in text_of(browser, ".notice")
    assert browser.console == []


def test_a_large_graph_is_collapsed_and_says_so(browser, tmp_path):
    x = leaf(1.0, "x")
    y = x
    for _ in range(1_000):
        y = np.tanh(y * 1.01)
    browser.open(ag.render(y, tmp_path / "large.html"))
    notices = browser.run("[...document.querySelectorAll('.notice')].map(e => e.textContent)")
    assert "2,001 nodes" in notices[0] and "collapse=False" in notices[0]
    assert browser.run("document.querySelectorAll('.node').length") < 200
    assert browser.console == []
    with pytest.raises(ag.RenderError, match=r"2,001 nodes.*the limit is 1,000"):
        ag.render(y, tmp_path / "all.html", collapse=False)
    assert not (tmp_path / "all.html").exists()


def test_without_graphviz_the_page_is_laid_out_simply_and_says_so(
    browser, tmp_path, monkeypatch
):
    def missing():
        raise ImportError("libsomething.so.0: no such file")

    monkeypatch.setattr(engine, "_embedded", missing)
    monkeypatch.setenv("PATH", str(tmp_path))
    engine._layout.cache_clear()
    try:
        path = ag.render(expression(), tmp_path / "simple.html")
    finally:
        engine._layout.cache_clear()
    browser.open(path)
    assert "no Graphviz" in text_of(browser, ".notice")
    browser.press("End")
    assert browser.run(OVERFLOWING) == []
    assert browser.run(OVERLAPPING) == []
    assert total_steps(browser) == 17
    browser.click('.node[data-node="0"]')
    assert shown(browser)["x"]["grad"] == [total(browser)]
    assert browser.console == []


OVERLAPPING = """(() => {
  const boxes = [...document.querySelectorAll(".node .box")].map(e => e.getBoundingClientRect());
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
})()"""


def total_steps(browser):
    return int(browser.run("slider.max"))


@pytest.mark.parametrize("rankdir", ["LR", "TB", "RL", "BT"])
def test_boxes_do_not_overlap_in_any_direction(browser, tmp_path, rankdir):
    browser.open(ag.render(expression(), tmp_path / "page.html", rankdir=rankdir))
    assert browser.run(OVERLAPPING) == []
    order = browser.run("[...document.querySelectorAll('.node .box')].map(e => "
                        "[e.getBoundingClientRect().x, e.getBoundingClientRect().y])")
    axis = 0 if rankdir in ("LR", "RL") else 1
    sign = -1 if rankdir in ("RL", "BT") else 1
    assert sign * (order[-1][axis] - order[0][axis]) > 0, "the data flow that way"


def test_the_search_for_the_best_places_is_limited_where_it_could_take_minutes():
    def fan(leaves):
        row = [leaf(0.1 * i) for i in range(leaves)]
        while len(row) > 1:
            row = [a * b for a, b in pairwise(row)]
        return ag.to_dot(row[0], collapse=False).source

    assert "nslimit" not in fan(6) and "nslimit=1" in fan(12)


def test_what_cannot_be_drawn_leaves_no_file(tmp_path):
    x = leaf(2.0, "x")
    y = np.exp(x)
    with pytest.raises(ag.RenderError, match="leave `values` out"):
        ag.render(y, tmp_path / "a.html", values=False)
    with pytest.raises(ag.RenderError, match="unknown rankdir"):
        ag.render(y, tmp_path / "b.html", rankdir="XY")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        ag.render(y, tmp_path / "missing" / "c.html")
    x.data = 3.0
    with pytest.raises(ag.StaleGraphError, match="fprop"):
        ag.render(y, tmp_path / "d.html")
    assert list(tmp_path.iterdir()) == []


def test_the_same_graph_gives_the_same_page(tmp_path):
    first, second = (ag.render(network(), tmp_path / f"{i}.html").read_bytes() for i in (1, 2))
    assert first == second


# Heat-maps. ---------------------------------------------------------------------------------------


def test_levels_are_shares_of_the_largest_magnitude():
    found = heat(np.array([[1.0, -1.0, 0.5], [0.0, np.nan, 0.06]]))
    assert found == {"rows": 2, "columns": 3, "shape": [2, 3], "largest": "1", "levels": "qamixi"}
    assert heat(np.zeros(3))["levels"] == "iii"
    assert heat(np.float64(1.0)) is None and heat(np.zeros((0, 3))) is None
    assert heat(np.array([True, False]))["levels"] == "qi"
    assert heat(np.array([3 + 4j, 0]))["largest"] == "5"


def test_large_arrays_are_averaged_in_blocks():
    array = np.zeros((100, 5, 30))
    array[:50] = 2.0
    found = heat(array)
    assert (found["rows"], found["columns"]) == (24, 24)
    assert found["levels"][:24] == "q" * 24 and found["levels"][-24:] == "i" * 24
    array[99, 4, 29] = np.inf
    assert heat(array)["levels"][-1] == "x"


def test_numbers_of_arguments_lie_beside_their_arrows(tmp_path):
    """Also where an arrow comes from above, where the place above it is on the line."""
    X, W = leaf(np.ones((2, 3)), "X"), leaf(np.ones((3, 2)), "W")
    y = ((X @ W) / (X.sum() - 2.0) - W[:2] / (W @ X)[:2, :2]).sum()
    point = "([-.0-9]+)[ ,]([-.0-9]+)"
    for rankdir in ("LR", "TB", "RL", "BT"):
        text = ag.render(y, tmp_path / "y.html", rankdir=rankdir).read_text()
        found = re.findall(
            rf'<path class="tip" d="M{point}L{point}L{point}Z"/>'
            r'<text class="local position" x="([-.0-9]+)" y="([-.0-9]+)">', text)
        assert len(found) >= 6
        for numbers in found:
            tx, ty, ax, ay, bx, by, x, y_ = map(float, numbers)
            tip, back = np.array([tx, ty]), np.array([ax + bx, ay + by]) / 2
            along = (tip - back) / np.linalg.norm(tip - back)
            off = np.array([x, y_ - 4]) - tip
            assert abs(along[0] * off[1] - along[1] * off[0]) > 7 and along @ off < -8
