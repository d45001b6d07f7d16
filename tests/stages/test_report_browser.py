"""The report in a real browser, and at the size of the paper's data set.

Needs Chromium; the accessibility test also axe-core, from the file that AXE_CORE names or from npm.
"""

import json
import subprocess
import sys

import pytest

from dataprep.stages.report import Report
from tests.browser import NAMES, Browser, chromium
from tests.fake_dataset import End, make_dataset, make_photos
from tests.many_rows import multiply

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason=f"no browser: none of {', '.join(NAMES)} is installed"),
]
ROWS = 40_000
MAX_BYTES, MAX_SECONDS, MAX_PAINT_MS = 10e6, 60, 2000
MAX_MIB = 400  # of the whole process
SECTIONS = ("overview", "funnel", "pictures", "checks", "scores", "extremes", "coverage", "prior", "similar", "people",
            "health", "unmeasured", "timing", "difference", "provenance")  # fmt: skip
ENDS = {
    "text0.png": End("ingest", reason="undecodable", message="the file is not an image"),
    "photo0001.jpg": End("detect", reason="no_face", message="no face was found"),
    "photo0002.jpg": End("body", "error", "ValueError", "it broke"),
    "photo0003.jpg": End("quality", reason="sharpness", message="the face is blurred"),
}
_BUILD = """
import json, sys, time, pickle
from pathlib import Path
view, out = pickle.load(open(sys.argv[1], "rb")), Path(sys.argv[2])
from dataprep.stages.report import Report
def peak(): return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
started = time.process_time()
Report().build(view, out)
print(json.dumps({"cpu_s": time.process_time() - started, "peak_mib": peak()}))
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    make_photos(folder / "photos", 60, broken=1)
    view = make_dataset(folder / "photos", folder / "out", ENDS, small=True)
    return folder / "out", view


@pytest.fixture(scope="module")
def page(small):
    out, view = small
    Report().build(view, out)
    return out / "report" / "index.html"


@pytest.fixture(scope="module")
def browser():
    with Browser() as one:
        yield one


def test_no_errors_no_requests_and_every_section(browser, page):
    browser.open(page)
    for name in SECTIONS:
        size = browser.run(
            f"(() => {{ const s = document.getElementById('{name}'); s.scrollIntoView({{behavior: 'instant'}});"
            "const box = s.getBoundingClientRect(); return [box.width, box.height]; })()"
        )
        assert min(size) > 40, name
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith(("data:", "file:"))] == []


def test_every_picture_loads_when_it_is_reached(browser, page):
    browser.open(page)
    for name in SECTIONS:
        browser.run(f"document.getElementById('{name}').scrollIntoView({{behavior: 'instant'}})")
        browser.wait(
            "[...document.images].filter((i) => { const b = i.getBoundingClientRect();"
            "return b.bottom > 0 && b.top < innerHeight; }).every((i) => i.src && i.complete && i.naturalWidth > 0)"
        )
    assert browser.run("[...document.images].filter((i) => i.src && !i.naturalWidth).length") == 0


def test_filters_pages_and_the_opened_picture(browser, page):
    browser.open(page)
    shown = "document.querySelectorAll('#gallery button').length"
    assert browser.run(shown) == 48
    browser.run("document.getElementById('later').click()")
    assert browser.run(shown) == 57 - 48
    browser.run("document.querySelector('input[name=gallery][value=rejected]').click()")
    assert browser.run(shown) == 4
    browser.run("(() => { const f = document.getElementById('filters'); f.elements.end.value = 'detect: no_face';"
                "f.dispatchEvent(new Event('input')); })()")  # fmt: skip
    assert browser.run("document.querySelector('#gallery .name').textContent") == "photo0001.jpg"
    browser.run("document.querySelector('input[name=gallery][value=accepted]').click()")
    browser.run("(() => { const f = document.getElementById('filters'); f.elements.text.value = 'photo0042';"
                "f.dispatchEvent(new Event('input')); })()")  # fmt: skip
    assert browser.run(shown) == 1
    browser.run("document.querySelector('#gallery button').click()")
    browser.wait("document.querySelector('dialog').open && document.querySelector('dialog img')?.naturalWidth > 0")
    assert "photo0042.jpg" in browser.run("document.querySelector('dialog').textContent")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Escape", code="Escape", windowsVirtualKeyCode=27)
    browser.wait("!document.querySelector('dialog').open")
    browser.wait("document.activeElement.classList.contains('picture')")  # focus comes back
    assert browser.errors == []


def test_a_reload_shows_what_was_filtered(browser, page):
    browser.open(page)
    browser.run("(() => { const f = document.getElementById('filters'); f.elements.text.value = 'photo004';"
                "f.dispatchEvent(new Event('input')); })()")  # fmt: skip
    browser.run("document.querySelector('input[value=skeleton]').click()")
    browser.run("document.querySelector('nav a[href=\"#funnel\"]').click()")
    browser.wait("location.hash.startsWith('#funnel?')")
    browser.call("Page.reload")
    browser.wait("document.readyState === 'complete' && document.querySelectorAll('#gallery button').length === 10")
    assert browser.run("document.querySelector('input[value=skeleton]').checked")
    assert browser.run("document.getElementById('found').textContent") == "10 of 57 match"
    browser.run("location.hash = '#pictures?from=48&gallery=neither&split=%22%3E&x=1'")  # as somebody may type it
    browser.wait("document.getElementById('page').textContent === '49–57 of 57'")
    browser.run("location.hash = '#pictures?text=photo0042'")
    browser.wait("document.getElementById('found').textContent === '1 of 57 matches'")
    assert browser.errors == []


def test_an_opened_picture_has_its_own_pixels(browser, page):
    browser.open(page)
    browser.run("document.querySelector('#gallery button').click()")
    browser.wait("[...document.querySelectorAll('dialog img')].every((i) => i.naturalWidth > 0)")
    widths = "[...document.querySelectorAll('dialog img')].map((i) => i.{})"
    shown, own = (browser.run(widths.format(width)) for width in ("clientWidth", "naturalWidth"))
    assert len(shown) == 2
    assert all(a <= b for a, b in zip(shown, own, strict=True)), (shown, own)


def test_overlays_appear_and_go(browser, page):
    browser.open(page)
    browser.run("document.getElementById('pictures').scrollIntoView({behavior: 'instant'})")
    browser.wait("document.querySelector('#gallery img')?.src")
    assert browser.run("document.querySelectorAll('svg.overlay').length") == 0, "they are off until somebody asks"
    for layer in ("landmarks", "body"):
        browser.run(f"document.querySelector('input[value={layer}]').click()")
        browser.wait(f"document.querySelector('#gallery svg.overlay .{layer} path')")
    browser.run("document.querySelectorAll('input[name=layer]:checked').forEach((box) => box.click())")
    browser.wait("!document.querySelector('#gallery svg.overlay')")


@pytest.mark.parametrize("bare", ["#scores", "#extremes"])
def test_nothing_covers_a_picture_that_is_judged_by_eye(browser, page, bare):
    browser.open(page)
    browser.run("document.querySelectorAll('input[name=layer]').forEach((box) => box.click())")
    browser.run(f"document.querySelector('{bare}').scrollIntoView({{behavior: 'instant'}})")
    browser.wait(f"document.querySelector('{bare} .picture img').src")
    browser.run(f"document.querySelector('{bare} button.picture').click()")
    browser.wait("document.querySelector('dialog img')?.naturalWidth > 0")
    for where in (bare, "dialog"):
        assert browser.run(f"document.querySelectorAll('{where} svg.overlay').length") == 0
    assert browser.run("document.querySelectorAll('#funnel .picture[data-bare]').length") == 1  # what sharpness cost


@pytest.mark.parametrize(("width", "mobile"), [(390, True), (320, True), (768, False), (1280, False)])
def test_nothing_sticks_out(browser, page, width, mobile):
    browser.open(page, width, 844, mobile=mobile)
    assert browser.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "mobile"), [(390, True), (320, True), (768, False), (1280, False)])
def test_every_section_is_in_reach_and_marked(browser, page, width, mobile):
    browser.open(page, width, 844, mobile=mobile)
    for name in SECTIONS:
        if not browser.run("document.querySelector('nav .menu').open"):
            browser.run("document.querySelector('nav .menu summary').click()")
        link = f"document.querySelector('nav a[href=\"#{name}\"]')"
        browser.run(f"{link}.scrollIntoView({{block: 'nearest', behavior: 'instant'}})")
        box = browser.run(
            f"(({{left, right, top, bottom}}) => [left, right, top, bottom])({link}.getBoundingClientRect())"
        )
        assert (box[0] >= 0, box[1] <= width, box[2] >= 0, box[3] <= 844) == (True,) * 4, (name, box)
        browser.run(f"document.getElementById('{name}').scrollIntoView({{behavior: 'instant'}})")
        browser.wait("document.querySelectorAll('nav a[aria-current]').length === 1")
        last = browser.run("innerHeight + scrollY >= document.documentElement.scrollHeight - 2")
        browser.wait(
            f"{link}.ariaCurrent === 'location'" if not last else "document.querySelector('nav a[aria-current]')"
        )


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone_an_opened_picture_begins_at_its_beginning(browser, page, width):
    browser.open(page, width, 700, mobile=True)
    browser.run("document.querySelector('#extremes button.picture').click()")
    browser.wait("document.querySelector('dialog img')?.naturalWidth > 0")
    assert browser.run("document.querySelector('dialog').scrollTop") == 0
    for inside in ("dialog img", "dialog .next"):
        box = browser.run(f"document.querySelector('{inside}').getBoundingClientRect().toJSON()")
        assert (box["top"] >= 0, box["bottom"] <= 700, box["left"] >= 0, box["right"] <= width) == (True,) * 4, inside


def test_light_and_dark_differ(browser, page):
    colours = []
    for dark in (False, True):
        browser.open(page, dark=dark)
        colours.append(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    return axe_core(tmp_path_factory)


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(browser, page, axe, dark):
    browser.open(page, dark=dark)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    browser.run(axe + "; true")
    found = browser.run("axe.run().then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes[0].html]))")
    assert [one for one in found if one[0] in ("serious", "critical")] == []


def test_forty_thousand_rows(browser, small, tmp_path):
    import pickle

    view = multiply(small[0], tmp_path / "many", ROWS, dict(small[1].refs))
    (tmp_path / "view").write_bytes(pickle.dumps(view))
    command = [sys.executable, "-c", _BUILD, str(tmp_path / "view"), str(tmp_path / "many")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
    measured = json.loads(done.stdout.splitlines()[-1])
    path = tmp_path / "many" / "report" / "index.html"
    browser.open(path)
    paint = browser.run("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    print({**measured, "page_mb": path.stat().st_size / 1e6, "first_paint_ms": paint})
    assert path.stat().st_size <= MAX_BYTES
    assert measured["cpu_s"] < MAX_SECONDS
    assert measured["peak_mib"] < MAX_MIB
    assert paint < MAX_PAINT_MS
    assert "40,000" in browser.run("document.querySelector('h1').textContent")
    assert browser.errors == []
