"""The page in a real browser: everything that it lets one do is done once, and nothing leaves the machine."""

import functools
import http.server
import io
import json
import threading
import time
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import numpy as np
import pytest
from PIL import Image
from tiny_generators import tiny_generator

from studio import pages, recipes, under_way
from stylegan_tf.export import web
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import Sampler

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next((path for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if path.exists()), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="There is no Chromium; Debian's package is chromium.")
# Milliseconds within which something happens on a machine that has other work.
PATIENCE = 30000


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """A function that opens an address; at the end there were no errors, and no request has left the machine."""
    problems, context = [], browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(PATIENCE)

    def open_page(address, **size):
        page = context.new_page()
        if size:
            page.set_viewport_size(size)
        page.on("console", lambda told: problems.extend(errors(told)))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.extend(elsewhere(request.url)))
        page.on("websocket", lambda opened: problems.extend(elsewhere(opened.url)))
        page.goto(address)
        wait_until(page, "document.querySelector('#image').dataset.drawn > 0")
        return page

    yield open_page
    context.close()
    assert not problems


def errors(told):
    """What the console has told, if it is an error: not that the server has refused something, which the page says."""
    return [told.text] if told.type == "error" and "status of 400" not in told.text else []


def elsewhere(url):
    parts = urlsplit(url)
    return [] if parts.scheme in ("blob", "data") or parts.hostname == "127.0.0.1" else [f"{url} was asked for"]


def wait_until(page, expression, argument=None):
    """Waits until an expression is true. Playwright's own way evaluates text in the page, which its policy forbids."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression, argument):
        assert time.monotonic() < end, f"{expression} is still not so; {page.inner_text('#message')}"
        page.wait_for_timeout(20)


def pixels(page, selector="#image"):
    """What a canvas shows, as a data URL."""
    return page.locator(selector).first.evaluate("canvas => canvas.toDataURL()")


def changed(page, action, selector="#image"):
    """Waits until an action has changed what a canvas shows."""
    before = pixels(page, selector)
    action()
    wait_until(
        page, "([selector, before]) => document.querySelector(selector).toDataURL() !== before", [selector, before]
    )


def test_seeds(opened, address):
    page = opened(address)
    wait_until(page, "document.querySelectorAll('.cell').length >= 48")  # more by scrolling, as the first fit
    many = page.locator(".cell").count()
    page.locator(".cell").last.scroll_into_view_if_needed()
    wait_until(page, f"document.querySelectorAll('.cell').length > {many}")
    changed(page, page.locator(".cell").nth(5).click)
    assert page.inner_text("#caption") == "seed 5"
    page.keyboard.press("ArrowRight")  # by keyboard alone
    changed(page, lambda: page.keyboard.press("Enter"))
    assert page.inner_text("#caption") == "seed 6"
    page.keyboard.press("b")
    assert page.inner_text("#said") == "Source B is seed 6."
    page.keyboard.press("Tab")  # past the grid, which has no end
    assert not page.evaluate("document.activeElement.classList.contains('cell')")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "seed 6"
    shown = page.locator(".cell").count()
    for grid in (".cell canvas", ".cell:last-child canvas"):  # the grid as well, and nothing is lost from it
        changed(page, lambda: page.locator("#psi").press("ArrowLeft"), grid)
    assert page.locator(".cell").count() >= shown
    changed(page, lambda: page.select_option("#noise", "off"))
    changed(page, lambda: page.select_option("#noise", "random"))
    changed(page, lambda: page.click("#mean"))
    assert page.inner_text("#caption") == "the mean"


def test_a_plane_and_the_way_between_two(opened, address):
    page = opened(address)
    page.click("#tab-blend")
    page.wait_for_selector(".pad")
    box = page.locator(".pad").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    changed(page, page.mouse.down)
    changed(page, lambda: page.mouse.move(x + 60, y - 60, steps=5))
    page.mouse.up()
    changed(page, lambda: page.locator(".pad").press("Shift+ArrowLeft"))
    changed(page, lambda: page.get_by_label("From A to B").press("ArrowRight"))
    page.fill("[aria-label='Seed of B']", "77")
    changed(page, lambda: page.keyboard.press("Enter"), ".source:nth-child(2) canvas")


def test_mixing(opened, address):
    page = opened(address)
    page.click("#tab-mixing")
    page.wait_for_selector(".table canvas")
    assert page.locator(".table canvas").count() == 3 + 4 + 12
    changed(page, lambda: page.get_by_label("layer 3").press("Enter"))
    assert page.inner_text("#caption") == "seed 0 · layers 0, 1, 2 of seed 1"
    page.fill("text=Columns >> input", "20,21")
    page.keyboard.press("Enter")
    wait_until(page, "document.querySelectorAll('.table canvas').length === 3 + 2 + 6")


def test_directions(opened, address):
    page = opened(address)
    page.click("#tab-directions")
    page.fill("input[type=search]", "pca-1")
    changed(page, lambda: page.get_by_label("pca-1", exact=True).press("PageUp"))
    assert "pca-1 +" in page.inner_text("#caption")
    changed(page, lambda: page.get_by_label("Layers").fill("3"))
    changed(page, lambda: page.click("text=All to 0"))


def test_a_picture_becomes_a_source(opened, address, tmp_path):
    page = opened(address)
    page.click("#tab-picture")
    path = tmp_path / "mine.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)).save(path)
    page.get_by_label("Steps").fill("12")
    changed(page, lambda: page.set_input_files("input[type=file]", path))
    page.wait_for_selector("text=It is the source A now")
    assert page.inner_text("#caption") == "your picture"
    assert page.locator("img[alt='What the network makes of it']").get_attribute("src").startswith("data:image/png")
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files("input[type=file]", tmp_path / "text.png")
    page.wait_for_selector("#message:visible")
    assert page.inner_text("#message").startswith("Your picture cannot be used: it is no image")
    assert page.locator("img[alt='Your picture']").is_visible()  # the one before, and what is known of it
    assert page.locator("text=It is the source A now").is_visible()


def test_a_projection_is_stopped(opened, address, tmp_path):
    page = opened(address)
    page.click("#tab-picture")
    Image.new("RGB", (8, 8)).save(tmp_path / "dark.png")
    page.get_by_label("Steps").fill("2000")
    content = (tmp_path / "dark.png").read_bytes()
    # Dropped, as by a mouse.
    dropped = page.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dark.png", { type: "image/png" }));
            return data;
        }""",
        list(content),
    )
    page.dispatch_event(".drop", "drop", {"dataTransfer": dropped})
    page.wait_for_selector("text=/Step \\d+ of 2000/")
    page.click("#tab-seeds")
    page.click("#tab-picture")  # where it goes on
    page.click("text=Stop here")
    page.wait_for_selector("text=It is the source A now")


def test_a_new_picture_takes_the_place_of_one_that_is_projected(opened, address, tmp_path):
    page = opened(address)
    page.click("#tab-picture")
    for name, value in (("dark", 0), ("light", 255)):
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / f"{name}.png")
    page.get_by_label("Steps").fill("2000")
    page.set_input_files("input[type=file]", tmp_path / "dark.png")
    page.wait_for_selector("text=/Step \\d+ of 2000/")
    page.get_by_label("Steps").fill("4")
    with page.expect_request(lambda request: request.method == "DELETE"):  # the first one is stopped
        page.set_input_files("input[type=file]", tmp_path / "light.png")
    page.wait_for_selector("text=It is the source A now")
    page.wait_for_timeout(500)  # in which the first one would still be heard of
    assert page.locator("text=It is the source A now").is_visible() and page.locator("progress").is_hidden()
    # Dropped beside its place, a file does not replace the page.
    assert page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["x"], "x.png"));
            return ["dragover", "drop"].every((name) => !document.querySelector("#caption").dispatchEvent(
                new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: data })));
        }"""
    )


def test_pictures_one_right_after_the_other(opened, address, tmp_path):
    page = opened(address)
    page.click("#tab-picture")
    for name, value in (("dark", 0), ("light", 255)):
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("no picture")
    page.get_by_label("Steps").fill("2000")
    target = page.locator("img[alt='Your picture']")
    with page.expect_request(lambda request: request.method == "DELETE"):  # the first one is stopped
        for name in ("dark", "light"):
            page.set_input_files("input[type=file]", tmp_path / f"{name}.png")
    page.wait_for_selector("text=/Step \\d+ of 2000/")
    shown = target.get_attribute("src")
    page.set_input_files("input[type=file]", tmp_path / "text.png")
    page.wait_for_selector("#message:visible")
    assert target.get_attribute("src") == shown and target.is_visible()  # which goes on
    before = page.locator("[role=status]", has_text="Step").inner_text()
    wait_until(
        page, "before => ![...document.querySelectorAll('[role=status]')].some((x) => x.textContent === before)", before
    )
    page.click("text=Stop here")
    page.wait_for_selector("text=It is the source A now")


def test_a_walk(opened, address, tmp_path):
    page = opened(address)
    page.click("#add-key")
    changed(page, page.locator(".cell").nth(9).click)
    page.click("#add-key")
    page.click("#tab-walk")
    wait_until(page, "document.querySelectorAll('#panel .cell').length === 2")
    changed(page, lambda: page.click("text=Play"))
    page.click("text=Stop")
    page.get_by_label("Seconds").fill("1")
    for form in ("MP4", "GIF"):
        with page.expect_download() as download:
            page.click(f"text=Record {form}")
        assert download.value.suggested_filename == f"walk.{form.lower()}"
        assert Path(download.value.path()).stat().st_size > 1000
    page.locator("#panel .cell").first.click()
    wait_until(page, "document.querySelectorAll('#panel .cell').length === 1")
    for _ in range(64):
        page.locator("#add-key").press("Enter")
    assert page.inner_text("#said") == "A walk goes through 64 images at most."
    assert page.locator("#panel .cell").count() == 64


def test_saving_and_links(opened, address):
    page = opened(address)
    changed(page, page.locator(".cell").nth(7).click)
    shown = pixels(page)
    with page.expect_download() as download:
        page.click("#save-png")
    assert download.value.suggested_filename == "seed0007.png"
    with Image.open(download.value.path()) as image:
        assert image.info["seed"] == "7"
    with page.expect_download() as download:
        page.click("#save-w")
    assert download.value.suggested_filename == "w.npz"
    page.click("#copy-command")
    page.wait_for_selector("#said:has-text('run_generator.py images')")
    page.click("#copy-link")
    page.wait_for_selector("#said:has-text('The link is copied')")
    link = page.evaluate("navigator.clipboard.readText()")
    other = opened(link)
    assert other.inner_text("#caption") == "seed 7"
    assert pixels(other) == shown
    # In a tab in which the studio is open already; and what was made of a seed is not saved by its name alone.
    other.evaluate("link => { location.hash = link }", link.partition("#")[2].replace("seed%22%3A7", "seed%22%3A5"))
    other.wait_for_selector("#caption:has-text('seed 5')")
    other.click("#tab-mixing")
    other.wait_for_selector("#caption:has-text('layers')")
    with other.expect_download() as download:
        other.click("#save-png")
    assert download.value.suggested_filename == "seed0005-edited.png"


def test_networks_and_their_snapshots(opened, address):
    page = opened(address)
    changed(page, lambda: page.locator("#snapshot").press("ArrowLeft"))
    assert page.inner_text("#kimg") == "1 kimg"
    changed(page, lambda: page.select_option("#network", label="00001-tiny"))
    page.locator("#tab-seeds").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-blend").get_attribute("aria-selected") == "true"


def state(page):
    """What a link to the page would restore."""
    page.click("#copy-link")
    return json.loads(unquote(page.evaluate("location.hash.slice(1)")))


def test_what_another_network_does_not_know_stays_behind(opened, address):
    page = opened(address)
    page.click("#add-key")
    changed(page, page.locator(".cell").nth(5).click)
    page.click("#add-key")
    page.click("#tab-mixing")
    changed(page, lambda: page.get_by_label("layer 3").press("Enter"))
    changed(page, lambda: page.locator("#snapshot").press("ArrowLeft"))
    assert len(state(page)["keys"]) == 2  # another snapshot of the same run
    page.click("#tab-walk")
    changed(page, lambda: page.select_option("#network", label="00001-tiny"))
    assert (state(page)["keys"], page.inner_text("#caption")) == ([], "seed 5")
    assert page.locator("text=Play").is_disabled()


def test_a_link_to_a_network_that_is_not_here(opened, address):
    asked = {"network": "9-1", "view": "seeds", "recipe": {"a": {"picture": "mine"}}, "keys": [{"a": {"seed": 1}}]}
    page = opened(f"{address}#{quote(json.dumps(asked))}")
    page.wait_for_selector("#message:visible")
    assert "network is not in this studio" in page.inner_text("#message")
    assert (state(page)["keys"], page.inner_text("#caption")) == ([], "seed 0")


@pytest.mark.parametrize(
    "text",
    ["x", "{", '{"recipe": {"a": null}}', '{"keys": [null]}', '{"recipe": {"a": {"seed": 1}, "mix": "x", "plane": 3}}'],
)
def test_links_that_mean_nothing(opened, address, text):
    assert opened(f"{address}#{quote(text)}").inner_text("#caption") == "seed 0"


def test_seeds_appear_one_after_the_other(opened, address, monkeypatch):
    free, images = threading.Event(), pages.images

    def held(some, *arguments):
        assert some[0].sources[0].value < 3 or free.wait(30)
        return images(some, *arguments)

    monkeypatch.setattr(recipes, "_PIXELS", 64)  # one image at a time
    monkeypatch.setattr(pages, "images", held)
    try:
        page = opened(address)
        wait_until(page, "[...document.querySelectorAll('.cell canvas')].filter(one => one.width > 1).length === 3")
    finally:
        free.set()
    wait_until(page, "[...document.querySelectorAll('.cell canvas')].filter(one => one.width > 1).length >= 24")


def test_what_a_projection_waits_for(opened, address, tmp_path, monkeypatch):
    free = threading.Event()

    def held(generator, name, dataset, data_dir, options, report):
        report("Training the classifiers of tiny, once", 0.25)
        assert free.wait(30)
        raise OSError("The classifiers cannot be written.")

    monkeypatch.setattr(under_way, "open_distance", held)
    page = opened(address)
    changed(page, lambda: page.select_option("#network", label="00001-tiny"))  # which no other test projects into
    page.click("#tab-picture")
    Image.new("RGB", (8, 8)).save(tmp_path / "dark.png")
    page.set_input_files("input[type=file]", tmp_path / "dark.png")
    page.wait_for_selector("text=Training the classifiers of tiny, once ... 25%")
    changed(page, lambda: page.locator("#psi").press("ArrowLeft"))
    free.set()
    page.wait_for_selector("#message:visible")
    assert page.inner_text("#message") == "The classifiers cannot be written."


def test_only_the_last_image_of_a_drag_is_large(opened, address):
    page = opened(address)
    asked = page.evaluate(
        """async () => {
            const { App } = await import('./static/app.js'), { fresh } = await import('./static/state.js');
            let takes = 50;
            const asked = [], wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
            const draw = async (view, network, recipes, side) => {
                asked.push(side ?? 1024);
                await wait(takes);
                return [await createImageBitmap(new ImageData(1, 1))];
            };
            const app = new App({ draw }, fresh());
            app.facts = { previews: [64, 128], resolution: 1024, classes: [] };
            for (let i = 0; i < 10; i++) {
                app.set({ t: i / 10 });
                await wait(20);
            }
            await wait(500);
            takes = 400;
            const soon = asked.splice(0);
            for (let i = 0; i < 2; i++) {
                app.set({ t: i / 10 });
                await wait(1500);
            }
            return [soon, asked];
        }"""
    )
    soon, late = asked
    assert soon.count(1024) == 1 and soon[-1] == 1024 and soon[0] == 128 and len(soon) > 3
    assert late[-2:] == [64, 1024]  # where it takes long


def test_small_screens(opened, address):
    page = opened(address, width=400, height=800)
    for name in ("seeds", "blend", "mixing", "directions", "picture", "walk"):
        page.click(f"#tab-{name}")
        page.wait_for_selector("#panel > *")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, name
        # What holds for all images is not below a grid without an end.
        assert page.locator("#psi").bounding_box()["y"] < page.locator("#panel").bounding_box()["y"]


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(generator, folder) of an exported page; skipped without the runtime, which is 33 MB on npm."""
    folder = tmp_path_factory.mktemp("web")
    generator = tiny_generator(family="stylegan2", label_size=3)
    try:
        web.export_web(generator, folder / "page", cache_dir="cache")
    except OSError as error:
        pytest.skip(f"onnxruntime-web cannot be downloaded: {error}")
    return generator, folder / "page"


def test_an_exported_page_draws_in_the_browser(opened, exported):
    generator, folder = exported
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=folder))
    threading.Thread(target=server.serve_forever).start()
    try:
        page = opened(f"http://127.0.0.1:{server.server_port}/")
        changed(page, page.locator(".cell").nth(4).click)
        with page.expect_download() as download:
            page.click("#save-png")
        with Image.open(io.BytesIO(Path(download.value.path()).read_bytes())) as image:
            shown = np.asarray(image.convert("RGB")).astype(int)
        sampler = Sampler(generator)
        look = Look("n", sampler.usual_psi, sampler.truncated_layers)
        assert np.abs(shown - look.images(sampler, [4])[0]).max() <= 2
        page.click("#tab-mixing")
        changed(page, lambda: page.get_by_label("layer 3").press("Enter"))
        page.click("#tab-directions")
        changed(page, lambda: page.get_by_label("pca-0", exact=True).press("PageUp"))
    finally:
        server.shutdown()
        server.server_close()


def test_random_numbers_are_numpys(opened, address):
    page = opened(address)
    for seed in (0, 1, 123456789, 2**32 - 1):
        made = page.evaluate("async seed => Array.from((await import('./static/random.js')).latent(seed, 700))", seed)
        expected = np.random.RandomState(seed).randn(700).astype(np.float32)
        np.testing.assert_array_equal(np.float32(made), expected)
