"""The report in a real browser: it renders, sorts, filters, saves files, runs nothing hostile."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossnets.analysis import Results, load_results, shipped_costs, shipped_results
from lossnets.report import build_report

SECTIONS = (
    "summary", "leaderboard", "taps", "ranks", "cost", "correlations", "variance", "findings", "pictures",
    "provenance", "downloads",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1280,900",
)  # fmt: skip
ROWS = "#board tbody tr:not(.details)"
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.timeout(600)]


def _hostile() -> Any:
    place = Path(__file__).parents[1] / "unit" / "report" / "hostile.py"
    spec = importlib.util.spec_from_file_location("lossnets_hostile", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pages are written to and files saved."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def driver(folder: Path) -> Iterator[Any]:
    """A headless Chromium with a profile of its own."""
    browser = os.environ.get("LOSSNETS_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip("no Chromium found; LOSSNETS_BROWSER names one")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    made.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder / "saved")}
    )
    yield made
    made.quit()


@pytest.fixture(scope="module")
def shipped() -> Results:
    return shipped_results()


@pytest.fixture(scope="module")
def page(folder: Path, shipped: Results) -> Path:
    """The shipped results as a page."""
    path = folder / "shipped.html"
    path.write_text(build_report(shipped, costs=shipped_costs()), encoding="utf-8")
    return path


def until(wanted: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for a true value."""
    end = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def opened(driver: Any, path: Path, *, width: int = 1280, scheme: str = "light") -> Any:
    """The page, whole; the log is empty before."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    driver.get_log("browser")
    driver.get(path.as_uri())
    driver.execute_script("try { localStorage.clear(); } catch {}")
    driver.refresh()
    until(lambda: driver.execute_script("return document.documentElement.dataset.board") == "ready")
    return driver


def ask(driver: Any, script: str) -> Any:
    return driver.execute_script(f"return {script}")


def texts(driver: Any, column: int) -> list[str]:
    """Texts of a column of the leaderboard, as shown, top to bottom."""
    script = f"[...document.querySelectorAll('{ROWS}')].map(r => r.cells[{column}].innerText)"
    return [str(text) for text in ask(driver, script)]


def choose(driver: Any, name: str, value: str) -> None:
    """Set a filter to the option of that text."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element(By.CSS_SELECTOR, f"[data-filter={name}]")).select_by_visible_text(value)


def press(driver: Any, selector: str) -> None:
    """Click an element, wherever it is."""
    driver.execute_script("document.querySelector(arguments[0]).click()", selector)


def saved(folder: Path, name: str) -> bytes:
    """A file that the page saved."""
    path = folder / "saved" / name
    until(lambda: path.is_file() and path.stat().st_size > 0 and not list(path.parent.glob("*.crdownload")))
    return path.read_bytes()


def test_it_renders_without_an_error_or_a_request(driver: Any, page: Path, shipped: Results) -> None:
    opened(driver, page)
    heights = ask(driver, "[...document.querySelectorAll('main > section')].map(s => [s.id, s.offsetHeight])")
    assert [name for name, _ in heights] == list(SECTIONS)
    assert all(height > 100 for _, height in heights)
    assert ask(driver, "performance.getEntriesByType('resource').map(e => e.name)") == []
    assert driver.get_log("browser") == []
    assert len(texts(driver, 0)) == 25
    assert f"of {len(shipped.cells)} entries" in ask(driver, "document.querySelector('.dt-info').innerText")
    shown = ask(driver, "[...document.querySelectorAll('.of-light')].every(d => d.offsetHeight > 60)")
    hidden = ask(driver, "[...document.querySelectorAll('.of-dark')].every(d => d.offsetHeight === 0)")
    assert (shown, hidden) == (True, True)


def test_sorting_changes_the_order(driver: Any, page: Path, shipped: Results) -> None:
    opened(driver, page)
    label = str(shipped.cells["setting"].iloc[0])
    choose(driver, "setting", label)
    press(driver, "#board .dt-length option[value='100']")
    before = texts(driver, 1)
    press(driver, "#board thead th:nth-child(3) .dt-column-order")
    first = [float(text.split()[0]) for text in texts(driver, 2) if text != "–"]
    press(driver, "#board thead th:nth-child(3) .dt-column-order")
    second = [float(text.split()[0]) for text in texts(driver, 2) if text != "–"]
    assert first == sorted(first)
    assert second == sorted(second, reverse=True)
    assert first != second
    press(driver, "#board thead th:nth-child(2) .dt-column-order")
    assert texts(driver, 1) != before
    assert sorted(texts(driver, 1)) == sorted(before)
    assert ask(driver, "document.querySelector('#board thead th:nth-child(2)').getAttribute('aria-sort')")


def test_filters_and_search_reduce_the_rows(driver: Any, page: Path, shipped: Results) -> None:
    from selenium.webdriver.common.by import By

    opened(driver, page)
    cells = shipped.cells
    info = "document.querySelector('.dt-info').innerText"
    choose(driver, "task", "autoencoding")
    assert len(texts(driver, 1)) == (cells["task"] == "autoencoding").sum()
    assert all("autoencoding" in text for text in texts(driver, 6))
    choose(driver, "network", "efficientnet_lite0")
    mine = cells[(cells["task"] == "autoencoding") & (cells["architecture"] == "efficientnet_lite0")]
    assert len(texts(driver, 1)) == len(mine)
    press(driver, "#filters button[type=reset]")
    until(lambda: f"of {len(cells)} entries" in ask(driver, info) and "filtered" not in ask(driver, info))
    search = driver.find_element(By.CSS_SELECTOR, ".dt-search input")
    search.send_keys("pixel:mse")
    until(lambda: len(texts(driver, 1)) == (cells["loss"] == "pixel:mse").sum())
    search.send_keys("zzz")
    until(lambda: "No row fits" in ask(driver, "document.querySelector('#board tbody').innerText"))


def test_a_gradient_network_says_what_it_imitates(driver: Any, folder: Path, shipped: Results) -> None:
    setting = shipped.settings[0]
    first, second = [record for record in shipped.members[setting] if record.config.loss != "pixel:mse"][:2]
    signature = "pgn:mine|weights:sha256:1a|imitates:(pixel:mse;numerics:1)|numerics:1"
    network = replace(second, config=replace(second.config, loss="pgn:mine", signature=signature))
    path = folder / "imitating.html"
    text = build_report(Results((first, network)), costs=shipped_costs())
    path.write_text(text, encoding="utf-8")
    opened(driver, path)
    told = {text.split("\n")[0]: text.split("\n")[1:] for text in texts(driver, 1)}
    assert told["pgn:mine"] == ["imitates pixel:mse"]
    assert [rest for name, rest in told.items() if name != "pgn:mine"] == [[]]


def test_a_row_opens_its_runs_by_keyboard(driver: Any, page: Path, shipped: Results) -> None:
    from selenium.webdriver.common.keys import Keys

    opened(driver, page)
    driver.execute_script(f"document.querySelector('{ROWS} button.open').focus()")
    button = driver.switch_to.active_element
    button.send_keys(Keys.ENTER)
    text = until(lambda: ask(driver, "document.querySelector('.runs')?.textContent"))
    first = shipped.cells.iloc[0]
    record = next(
        r
        for r in shipped.records
        if (r.config.loss, r.config.signature) == (first["loss"], first["signature"])
    )
    for part in (record.identity, record.config.signature, record.config.fingerprint, "torch", first["loss"]):
        assert str(part) in text
    assert button.get_attribute("aria-expanded") == "true"
    button.send_keys(Keys.ENTER)
    until(lambda: not ask(driver, "document.querySelector('.runs')"))
    assert button.get_attribute("aria-expanded") == "false"


def test_the_theme_follows_the_system_until_it_is_chosen(driver: Any, page: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light = ask(opened(driver, page), colour)
    dark = ask(opened(driver, page, scheme="dark"), colour)
    assert light != dark
    assert ask(driver, "document.querySelector('.of-dark').offsetHeight") > 0
    press(driver, "#theme")
    assert (ask(driver, "document.getElementById('theme').textContent"), ask(driver, colour)) == (
        "Theme: light",
        light,
    )
    driver.refresh()
    assert ask(driver, colour) == light
    press(driver, "#theme")
    assert ask(driver, colour) == dark


def test_it_works_without_storage(driver: Any, page: Path) -> None:
    source = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no'); } });"
    made = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    try:
        opened(driver, page)
        press(driver, "#theme")
        assert ask(driver, "document.getElementById('theme').textContent") == "Theme: light"
        assert driver.get_log("browser") == []
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_files_are_saved_whole(driver: Any, page: Path, folder: Path, shipped: Results) -> None:
    import pandas as pd

    opened(driver, page)
    for k, name in enumerate(("leaderboard.csv", "scores.csv", "tables.tex", "runs.json")):
        press(driver, f"button.file[data-file='{k}']")
        saved(folder, name)
    frame = pd.read_csv(folder / "saved" / "leaderboard.csv")
    assert frame["loss"].tolist() == shipped.cells["loss"].tolist()
    np.testing.assert_allclose(frame["value"], shipped.cells["value"].astype(float), rtol=1e-12)
    assert r"\toprule" in saved(folder, "tables.tex").decode()
    again = load_results(folder / "saved" / "runs.json")
    assert {r.identity for r in again.records} == {r.identity for r in shipped.records}
    press(driver, "figure.plot [data-save=png]")
    press(driver, "figure.plot [data-save=svg]")
    name = ask(driver, "document.querySelector('figure.plot').dataset.name")
    assert saved(folder, f"{name}.png").startswith(b"\x89PNG")
    svg = saved(folder, f"{name}.svg").decode()
    assert svg.startswith("<svg")
    assert 'pt"' in svg
    from PIL import Image

    with Image.open(folder / "saved" / f"{name}.png") as image:
        colours = image.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 50  # drawn, not empty
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(driver: Any, page: Path, scheme: str) -> None:
    opened(driver, page, width=360, scheme=scheme)
    press(driver, f"{ROWS} button.open")
    until(lambda: ask(driver, "document.querySelector('.runs')"))
    driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert ask(driver, "document.documentElement.scrollWidth") <= 360
    assert ask(driver, "document.body.scrollWidth") <= 360


def test_texts_have_contrast(driver: Any, page: Path) -> None:
    """WCAG 2: at least 4.5 between text and what is behind it, in both themes."""
    script = """(() => {
      const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
          .map((v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4));
        return .2126 * r + .7152 * g + .0722 * b; };
      const behind = (e) => { for (; e; e = e.parentElement) {
          const c = getComputedStyle(e).backgroundColor;
          if (!/, 0\\)$/.test(c) && c !== 'transparent') return c; }
        return 'rgb(255, 255, 255)'; };
      const poor = [];
      const kinds = 'p, td, th, dt, dd, button, a, h1, h2, h3, h4, figcaption, summary, label, li, span';
      for (const e of document.querySelectorAll(kinds)) {
        if (e.closest('svg, .disabled, [disabled], .skip') || !e.offsetHeight) continue;
        const a = light(getComputedStyle(e).color), b = light(behind(e));
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) poor.push([e.tagName, e.className, e.textContent.slice(0, 40), ratio]);
      }
      return poor; })()"""
    for scheme in ("light", "dark"):
        opened(driver, page, scheme=scheme)
        assert ask(driver, script) == []


def test_hostile_texts_run_nothing(driver: Any, folder: Path) -> None:
    made = _hostile()
    path = folder / "hostile.html"
    path.write_text(
        build_report(made.hostile(), costs=shipped_costs(), title=made.TEXTS[1], origin=made.TEXTS[2]),
        encoding="utf-8",
    )
    opened(driver, path)
    assert driver.title == made.TEXTS[1]
    shown = texts(driver, 1)
    assert made.SCRIPT in shown
    assert "{{ 7 * 7 }}{% for x in y %}" in shown
    for k in range(len(shown)):
        driver.execute_script(f"document.querySelectorAll('{ROWS} button.open')[arguments[0]]?.click()", k)
    until(lambda: ask(driver, "document.querySelectorAll('.run').length") >= len(made.TEXTS))
    driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    search = "document.querySelector('.dt-search input')"
    for text in made.TEXTS:
        driver.execute_script(
            f"const s = {search}; s.value = arguments[0]; s.dispatchEvent(new Event('input'));", text
        )
    driver.execute_script(f"const s = {search}; s.value = ''; s.dispatchEvent(new Event('input'));")
    for name in ("task", "setting", "network", "state"):
        driver.execute_script(
            f"const s = document.querySelector('[data-filter={name}]'); s.selectedIndex = 1; "
            "s.dispatchEvent(new Event('change'));"
        )
    time.sleep(0.3)
    assert ask(driver, "window.harmed") is None
    assert (
        ask(driver, "document.querySelectorAll('main b:not(.words b), main img, main svg[onload]').length")
        == 0
    )
    assert ask(driver, "document.querySelectorAll('script:not([type])').length") == 1
    assert driver.get_log("browser") == []


def test_the_policy_stops_what_would_get_through(driver: Any, page: Path) -> None:
    """The second wall: were markup injected all the same, it would neither run nor load anything."""
    opened(driver, page)
    driver.execute_script(
        "document.body.insertAdjacentHTML('beforeend', "
        '\'<img src=x onerror="window.harmed = 1"><svg onload="window.harmed = 2"></svg>\');'
        "const s = document.createElement('script'); s.textContent = 'window.harmed = 3';"
        "document.body.append(s);"
    )
    time.sleep(0.3)
    assert ask(driver, "window.harmed") is None
    assert any("Content Security Policy" in entry["message"] for entry in driver.get_log("browser"))


@pytest.mark.slow
def test_five_thousand_runs_stay_usable(driver: Any, folder: Path, simulated: Callable[..., Any]) -> None:
    results = simulated(
        np.random.default_rng(0), architectures=14, seeds=30, failed=0.02, missing=0.02,
    )  # fmt: skip
    assert len(results.records) > 4800
    path = folder / "many.html"
    start = time.monotonic()
    path.write_text(build_report(results, costs=shipped_costs()), encoding="utf-8")
    built = time.monotonic() - start
    start = time.monotonic()
    opened(driver, path)
    loaded = (time.monotonic() - start) / 2  # opened twice
    # DataTables sorts after the click has returned: wait until the new order is in the document.
    sort = """const done = arguments[0], start = performance.now();
        document.querySelector('#board thead th:nth-child(3) .dt-column-order').click();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - start), 0));"""
    sorted_ms = driver.execute_async_script(sort)
    choose(driver, "state", "ranked")
    start = time.monotonic()
    press(driver, f"{ROWS} button.open")
    until(lambda: ask(driver, "document.querySelectorAll('.run').length") > 20)
    details = time.monotonic() - start
    print(json.dumps({"runs": len(results.records), "build_s": built, "load_s": loaded, "sort_ms": sorted_ms,
                      "details_s": details, "megabytes": path.stat().st_size / 1e6}))  # fmt: skip
    assert path.stat().st_size < 12e6
    assert built < 240
    assert loaded < 20
    assert sorted_ms < 2000
    assert details < 10
    assert driver.get_log("browser") == []
