"""The page in a browser, as a local page and as a widget: its numbers are Python's, and keys alone reach all."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from chromium import IN_CHROMIUM, find_violations, set_theme
from PIL import Image

from headroles import InputError, ablating, scaling_heads
from headroles.causal.margins import ValueTexts
from headroles.explore.engine import Engine
from headroles.explore.page_files import page_files
from headroles.explore.serving import LocalPage, open_port

pytest.importorskip("selenium")
pytest.importorskip("anywidget", reason="needs headroles[notebook]")
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from headroles.explore.widget import Explorer

pytestmark = IN_CHROMIUM
KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
CELL = """<!doctype html><html lang="en"><title>cell</title><link rel="icon" href="data:,"><h1>cell</h1>
<main id="explore"></main><script type="module">
import widget from "./explore.js";
const handlers = {}, values = { heads: [], image: "0" };
const reply = async (where, body) => (await fetch(where, { method: "POST", body: JSON.stringify(body) })).json();
let last = Promise.resolve();
const post = (where, body) => (last = last.then(() => reply(where, body)));  // In order, as notebooks send.
const fire = (name, ...given) => (handlers[name] || []).forEach((visit) => visit(...given));
window.model = {
  get: (name) => values[name],
  set(name, value) { values[name] = value; fire("change:" + name); },
  save_changes: () => post("state", values),
  on(name, visit) { (handlers[name] ||= []).push(visit); },
  off(name, visit) { handlers[name] = (handlers[name] || []).filter((each) => each !== visit); },
  send: (content) => post("message", content).then((sent) => sent.forEach((each) => fire("msg:custom", each))),
};
window.leave = widget.render({ model: window.model, el: document.getElementById("explore") });
</script>"""
"""A notebook's cell: anywidget's module, and a model as notebooks give it, whose other end is the Python widget."""


@pytest.fixture(scope="module")
def explorer(tiny, tiny_map, labelled):
    return Explorer(Engine(tiny_map, tiny, labelled))


@pytest.fixture(scope="module")
def address(explorer):
    """A server of the page's files, its questions and the widget's messages."""
    files = page_files() | {"cell.html": CELL}

    def answer(where: str, content) -> object:
        if where == "ask":
            try:
                return explorer.engine.answer(content)
            except InputError as error:
                return {"error": str(error)}
        if where == "state":
            return explorer.set_state(content)
        sent: list = []
        explorer.send = sent.append
        explorer._handle_custom_msg(content, [])
        return sent

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path[1:] or "index.html"
            self.reply(files[name].encode(), KINDS[name.rpartition(".")[2]])

        def do_POST(self):
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(json.dumps(answer(self.path[1:], content)).encode(), "application/json")

        def reply(self, body: bytes, kind: str):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class Page:
    """What is below the page's shadow root."""

    def __init__(self, browser, address: str) -> None:
        self.browser = browser
        browser.get(address)
        host = browser.find_element(By.ID, "explore")
        self.wait(lambda: host.get_attribute("data-ready"))
        self.root = host.shadow_root

    def wait(self, ready):
        """Until it is; what is drawn anew meanwhile is looked at again."""
        waiting = WebDriverWait(self.browser, 10, 0.02, [StaleElementReferenceException])
        return waiting.until(lambda _: ready())

    def find(self, selector: str):
        return self.root.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str):
        return self.browser.execute_script("const root = arguments[0]; " + script, self.root)

    def numbers(self, selector: str) -> list[float]:
        return [
            float(value)
            for value in self.run(f"return [...root.querySelectorAll('{selector} data')].map((each) => each.value)")
        ]

    def told(self, shown: int) -> list[float] | None:
        """Probabilities of the classes, once so many numbers are shown for each; after a cut they are two."""
        script = "return [...root.querySelectorAll('.told .values:not(.quiet)')].map((each) => "
        found = self.run(script + "[...each.querySelectorAll('data')].map((own) => Number(own.value)))")
        return [own[-1] for own in found] if found and len(found[0]) == shown else None

    @property
    def shown(self) -> str:
        return self.find("#panel h3").text

    def active(self):
        return self.run("return root.activeElement")

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self.browser, duration=0).send_keys(key).perform()

    def tab_to(self, selector: str) -> None:
        for _ in range(80):
            self.press(Keys.TAB)
            if self.run(f"return root.activeElement !== null && root.activeElement.matches('{selector}')"):
                return
        raise AssertionError(f"the tab key does not reach {selector}")


@pytest.fixture
def page(browser, address):
    """The local page; no error may be left in the console."""
    yield Page(browser, address)
    assert browser.get_log("browser") == []


def probabilities(tiny, labelled, row=0) -> list[float]:
    values = ValueTexts.embed(tiny, labelled.concepts)
    logits = values.scale * tiny.embed_images(labelled.images[row][1][None]) @ values.embeddings[0].T
    return logits.softmax(-1)[0].tolist()


def test_a_click_a_text_and_a_cut_show_what_python_gives(page, explorer, tiny, tiny_map, labelled):
    page.find('[data-head="L2.H1"]').click()
    page.wait(lambda: page.numbers(".amount"))
    found = explorer.engine.answer({"ask": "head", "layer": 2, "head": 1, "image": "0"})
    assert page.shown == "L2.H1" and page.numbers(".amount") == [found["image"]["amount"], found["mean"]]
    assert page.numbers(".tops:first-of-type") == [each["amount"] for each in found["top"]]
    assert len(page.run("return [...root.querySelectorAll('.about canvas')]")) == 4
    page.find("#ask-text").send_keys("a grey thing", Keys.ENTER)
    page.wait(lambda: page.numbers(".ranks"))
    ranked = explorer.engine.answer({"ask": "text", "text": "a grey thing", "image": "0"})["heads"]
    assert page.numbers(".ranks") == [head["more"] for head in ranked]
    assert page.find(".ranks button").text == ranked[0]["name"]
    assert page.wait(lambda: page.told(1)) == pytest.approx(probabilities(tiny, labelled), abs=1e-5)
    concept = tiny_map.heads(role="attribute")[0].concept
    own = [(head.layer, head.head) for head in tiny_map.heads(role="attribute", concept=concept)]
    with ablating(tiny, own, "zero"):  # Before the page asks: the model is the engine's too.
        cut = probabilities(tiny, labelled)
    with scaling_heads(tiny, {f"L{layer}.H{head}": 0.5 for layer, head in own}):
        halved = probabilities(tiny, labelled)
    page.find(f'input[data-concept="{concept}"]').click()
    assert page.wait(lambda: page.told(2)) == pytest.approx(cut, abs=1e-5)
    page.run("const scale = root.getElementById('scale'); scale.value = 0.5; scale.dispatchEvent(new Event('input'))")
    page.wait(lambda: page.told(2) == pytest.approx(halved, abs=1e-5))
    page.find("details:has(#classes) > summary").click()
    page.find("#classes").send_keys("\na fifth class")
    page.wait(lambda: len(page.told(2) or ()) == 5)


def test_keys_alone_choose_a_head_take_it_ask_and_scale(page, tiny_map):
    page.tab_to("[data-head]")
    page.press(Keys.CONTROL + Keys.HOME)
    ActionChains(page.browser, duration=0).key_down(Keys.CONTROL).send_keys(Keys.HOME).key_up(Keys.CONTROL).perform()
    page.press(Keys.RIGHT, Keys.DOWN, " ")
    cell = page.active()
    assert cell.get_attribute("data-head") == page.shown == "L1.H1"
    assert cell.get_attribute("aria-label").endswith(", taken") and page.find("#taken").text == "Taken: L1.H1"
    page.press(Keys.ENTER)
    assert cell.get_attribute("aria-selected") == "true"
    page.tab_to("#scale")
    page.press(Keys.END)
    assert page.find("output[for=scale]").text.endswith("2")
    page.wait(lambda: page.told(2))
    page.tab_to("[data-image]")
    page.press(Keys.RIGHT, Keys.ENTER)
    page.wait(lambda: page.find('[data-image="1"]').get_attribute("aria-pressed") == "true")
    page.tab_to("#ask-text")
    page.press(*"a sign", Keys.ENTER)
    page.wait(lambda: page.numbers(".ranks"))
    page.tab_to("[data-take]")
    page.press(" ")
    assert page.find("#taken").text == "No head is taken."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, scheme):
    set_theme(page.browser, scheme)
    page.find('[data-head="L1.H0"]').click()
    page.find("input[data-concept]").click()
    page.find("#ask-text").send_keys("a sign", Keys.ENTER)
    page.run("for (const each of root.querySelectorAll('details')) each.open = true")
    page.wait(lambda: page.numbers(".ranks") and page.told(2) and page.numbers(".amount"))
    assert find_violations(page.browser) == []
    set_theme(page.browser, "")


def test_an_image_of_ones_own_is_chosen_and_what_is_none_is_said(page, tmp_path):
    Image.new("RGB", (50, 40), "red").save(tmp_path / "mine.png")
    (tmp_path / "page.png").write_text("<script>alert(1)</script>")
    page.find("#own-image").send_keys(str(tmp_path / "page.png"))
    page.wait(lambda: "image: it cannot be read" in page.find(".complaint").text)
    page.find("#own-image").send_keys(str(tmp_path / "mine.png"))
    page.wait(lambda: page.find(".seen figcaption").text == "mine.png")
    page.wait(lambda: page.run("return root.querySelector('[data-image]').matches('[aria-pressed=true]')"))
    page.wait(lambda: page.find(".complaint").text == "")


def test_the_widget_and_python_share_heads_and_image(browser, address, explorer):
    page = Page(browser, address + "cell.html")
    ActionChains(browser).key_down(Keys.CONTROL).click(page.find('[data-head="L2.H2"]')).key_up(Keys.CONTROL).perform()
    page.find('[data-image="3"]').click()
    page.wait(lambda: (explorer.heads, explorer.image) == (((2, 2),), "3"))
    page.wait(lambda: page.told(2))
    explorer.heads = "L1.*"
    (heads,) = explorer.get_state("heads").values()
    browser.execute_script("model.set('heads', arguments[0])", heads)
    page.wait(lambda: page.find("#taken").text == "Taken: L1.H0, L1.H1, L1.H2")
    browser.execute_script("document.body.dataset.jpThemeLight = 'false'")
    page.wait(lambda: browser.find_element(By.ID, "explore").get_attribute("data-theme") == "dark")
    browser.execute_script("leave()")
    page.wait(lambda: page.run("return root.childElementCount") == 0)
    assert browser.get_log("browser") == []


def test_the_server_of_this_machine_shows_two_maps_side_by_side(browser, tiny, tiny_map, role_map_of, labelled):
    """Under its own policy, which runs no script but the page's."""
    other = role_map_of(tiny)
    engine = Engine(tiny_map, tiny, labelled, against=other)
    with open_port(0) as place, LocalPage(engine.answer, page_files(), place).running() as address:
        page = Page(browser, address)
        script = "return [...root.querySelectorAll('.changed-now tbody button')].map((each) => each.textContent)"
        assert page.run(script) == [head.name for head in engine.changes.changed] == ["L1.H3"]
        page.find('.sides [data-pair="L2.H1"]').click()
        assert page.find(".in-both h3").text == page.shown == "L2.H1"
        assert page.numbers(".in-both .role-line b") == [each["L2.H1"].entropy for each in (tiny_map, other)]
        page.wait(lambda: page.numbers(".amount"))
    assert browser.get_log("browser") == []
