"""The web page as people use it: with scripts, without, by keyboard, by screen reader, on a phone."""

import pathlib

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from conftest import PATIENCE, QUICK, SCREENSHOTS, until

expect.set_options(timeout=PATIENCE * 1000)

# Products of the sample catalogue; each test has its own.
DENSITY = "imperviousness-density-2018"
SCRIPTED = f"{DENSITY}/IMD_2018_100m_eu_03035_v020"
PLAIN = "clc2018/u2018_clc2018_v2020_20u1_raster100m"
KEYED = "lcc-2012-2018/u2018_cha1218_v2020_20u1_raster100m"
CANCELLED = f"{DENSITY}/IMD_2018_010m_mt_03035_v020"
FAILING = f"{DENSITY}/IMD_2018_010m_cz_03035_v020"
SHOWN = "clc-2006/g100_clc06_V18_5"
WAITING = f"{DENSITY}/IBU_2018_010m_al_03035_v010"
VECTOR = "clc2018/u2018_clc2018_v2020_20u1_geoPackage"


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def mark(page):
    return page.locator("section.state .mark").first


def test_search_fetch_pin_and_evict_with_scripts(world, visit):
    # slow enough that there is progress to be seen
    world.scenario(QUICK + "download_rate = 30000\n")
    page = visit()
    page.get_by_role("link", name="Datasets", exact=True).click()
    # found while typing, without a button
    page.get_by_label("Words in name and title").press_sequentially("density imperv")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    expect(page.locator("#live")).to_contain_text("1 dataset")
    assert "q=density" in page.url
    page.get_by_role("link", name="Imperviousness Density 2018").click()
    page.get_by_role("link", name=SCRIPTED.split("/")[1]).click()
    expect(mark(page)).to_have_text("cold")
    button(page, "Fetch").click()
    expect(page.locator("#told")).to_have_text("The fetch has begun.")
    expect(page.locator("#told")).to_be_focused()

    # from here on nothing is loaded anew: the mark on the window stays
    page.evaluate("""() => {
        window.stayed = true;
        window.percents = new Set();
        window.said = new Set();
        const look = () => {
            const bar = document.querySelector("progress[value]");
            if (bar) window.percents.add(bar.value);
            window.said.add(document.getElementById("live").textContent);
        };
        new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
    }""")
    expect(mark(page)).to_have_text("ready")
    picture = page.locator("img.preview")
    expect(picture).to_be_visible()
    until("the picture", lambda: picture.evaluate("image => image.complete && image.naturalWidth > 0"))
    assert page.evaluate("window.stayed"), "the page was loaded anew"
    assert len(page.evaluate("[...window.percents]")) >= 2, "progress was seen"
    said = page.evaluate("[...window.said]")
    assert any("downloaded" in one for one in said) and "on this machine" in said, said
    expect(page.get_by_text("EPSG:3035")).to_be_visible()
    expect(page.locator("figure.map svg .outline").first).to_be_visible()
    world.scenario(QUICK)

    button(page, "Pin").click()
    expect(page.get_by_text("Pinned: it is never evicted.").first).to_be_visible()
    expect(button(page, "Evict from the cache")).to_have_count(0)
    button(page, "Unpin").click()
    button(page, "Evict from the cache").click()
    expect(mark(page)).to_have_text("cold")
    assert world.state(SCRIPTED) == "cold"


def test_cancel_and_a_failure_with_its_way_out(world, visit):
    page = visit()
    world.scenario("queued = '1h'")
    page.goto(world.product(CANCELLED))
    button(page, "Fetch").click()
    expect(mark(page)).to_have_text("queued")
    page.get_by_role("link", name="Fetches", exact=True).click()
    expect(page.locator(".jobs > li")).to_have_count(1)
    page.locator(".jobs").get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Nothing is being fetched.")).to_be_visible()
    assert world.state(CANCELLED) == "cold"

    world.scenario(QUICK + "[[fault]]\nfile = 'IMD_2018_010m_cz*'\noutcome = 'finished_nok'\n")
    page.goto(world.product(FAILING))
    button(page, "Fetch").click()
    expect(mark(page)).to_have_text("failed")
    expect(page.locator(".problem")).to_contain_text("Finished_nok", ignore_case=True)
    page.goto(world.address)
    expect(page.get_by_role("region", name="Failed")).to_contain_text(FAILING)
    world.scenario(QUICK)
    page.get_by_role("region", name="Failed").get_by_role("button", name="Fetch again").click()
    until("the second attempt", lambda: world.state(FAILING) == "ready")
    expect(page.get_by_text("No fetch has failed.")).to_be_visible()


def test_the_same_walk_without_scripts(world, visit):
    world.scenario(QUICK)
    page = visit(script=False)
    page.get_by_role("link", name="Datasets", exact=True).click()
    page.get_by_label("Words in name and title").fill("clc2018")
    button(page, "Search").click()
    expect(page.locator("#results tbody tr")).to_have_count(1)
    page.get_by_role("link", name="CORINE Land Cover 2018").click()
    page.get_by_role("link", name=PLAIN.split("/")[1]).click()
    button(page, "Fetch").click()
    expect(page.locator("#told")).to_have_text("The fetch has begun.")
    until("ready after a reload", lambda: page.reload() and mark(page).text_content() == "ready")
    expect(page.locator("img.preview")).to_be_visible()
    # the lines to copy are there, the buttons for it are not
    expect(page.locator("code.copy").first).to_contain_text("gdalinfo")
    expect(page.locator("button.copy")).to_have_count(0)
    button(page, "Pin").click()
    expect(page.locator("#told")).to_have_text("Pinned: it is never evicted.")
    button(page, "Unpin").click()
    page.get_by_role("link", name="Cache", exact=True).click()
    page.get_by_role("row", name=PLAIN.split("/")[1]).get_by_role("button", name="Evict").click()
    expect(page.locator("#told")).to_contain_text("Deleted from the cache")
    assert world.state(PLAIN) == "cold"

    world.scenario("queued = '1h'")
    page.goto(world.product(PLAIN))
    button(page, "Fetch").click()
    button(page, "Cancel the fetch").click()
    until("cancelled", lambda: world.state(PLAIN) == "cold")
    world.scenario(QUICK)


def test_by_keyboard_alone(world, visit):
    page = visit()

    def focused():
        return page.evaluate("""() => {
            const one = document.activeElement;
            const style = getComputedStyle(one);
            const box = one.getBoundingClientRect();
            return {text: (one.textContent || one.name || "").trim(), outline: style.outlineStyle,
                    seen: box.width > 0 && box.left >= 0};
        }""")

    def tab_to(text):
        for _ in range(60):
            page.keyboard.press("Tab")
            now = focused()
            assert now["outline"] != "none" and now["seen"], f"the focus cannot be seen: {now}"
            if now["text"] == text:
                return
        raise AssertionError(f"no way to '{text}' by Tab")

    page.goto(world.product(KEYED))
    page.keyboard.press("Tab")
    assert focused()["text"] == "Skip to the content", "the first stop"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused()["text"] == "Datasets", "the first link of the content: the header was skipped"
    tab_to("Fetch")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_be_visible()
    expect(mark(page)).to_have_text("ready")
    tab_to("Pin")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_contain_text("Pinned")
    tab_to("Unpin")
    page.keyboard.press("Space")
    expect(page.locator("#told")).to_contain_text("Not pinned")
    # the way to another page and a choice in a form
    page.goto(world.address + "/datasets")
    page.get_by_label("State").focus()
    page.keyboard.type("only")
    expect(page.locator("#results")).to_contain_text(KEYED.split("/")[1])


def test_the_focus_stays_while_the_page_changes(world, visit):
    world.scenario("queued = '1h'")
    page = visit()
    page.goto(world.product(CANCELLED))
    button(page, "Fetch").click()
    expect(mark(page)).to_have_text("queued")
    button(page, "Pin").focus()
    world.run("cancel", CANCELLED)
    expect(button(page, "Fetch")).to_be_visible()
    assert page.evaluate("document.activeElement.textContent").strip() == "Pin"
    # what is gone does not hand the focus to another button, which the next key would press
    button(page, "Fetch").focus()
    world.order(CANCELLED)
    expect(button(page, "Cancel the fetch")).to_be_visible()
    assert page.evaluate("document.activeElement.dataset.live") == "buttons"
    world.run("cancel", CANCELLED)
    world.scenario(QUICK)


@pytest.fixture
def pages(world):
    """Every kind of page, with something on it."""
    world.scenario(QUICK)
    for product in (SHOWN, VECTOR):
        world.run("fetch", product)
    world.run("cache", "pin", VECTOR)
    world.scenario("queued = '1h'")
    world.order(WAITING)
    yield {
        "overview": "/",
        "datasets": "/datasets",
        "search": "/datasets?q=clc&products=1&kind=raster",
        "dataset": "/datasets/clc2018",
        "cold": f"/datasets/{SCRIPTED}",
        "raster": f"/datasets/{SHOWN}",
        "vector": f"/datasets/{VECTOR}",
        "fetches": "/jobs",
        "cache": "/cache",
        "waiting": f"/datasets/{WAITING}",
        "missing": "/no-such-page",
    }
    world.run("cancel", WAITING)
    world.scenario(QUICK)


def settled(page):
    """Waits for pictures, for a screenshot."""
    pictures = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    until("the pictures", lambda: page.evaluate(pictures))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_accessible_and_without_sideways_scrolling(world, visit, pages, width, scheme):
    page = visit(width=width, height=900 if width > 600 else 844, scheme=scheme)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    wrong = []
    for name, path in pages.items():
        answer = page.goto(world.address + path)
        assert answer.status == (404 if name == "missing" else 200), path
        settled(page)
        scroll = page.evaluate("document.documentElement.scrollWidth")
        if scroll > width:
            wrong.append(f"{name}: {scroll} pixels wide")
        for found in Axe().run(page).response["violations"]:
            if found["impact"] in ("serious", "critical"):
                nodes = [node["html"] for node in found["nodes"][:3]]
                wrong.append(f"{name}: {found['id']}: {found['help']}: {nodes}")
        suffix = "" if scheme == "light" else "-dark"
        page.screenshot(path=pathlib.Path(SCREENSHOTS) / f"{name}-{width}{suffix}.png", full_page=width < 600)
    assert not wrong, "\n".join(wrong)


def test_who_has_not_the_link_is_told_the_way_in(world, chromium):
    page = chromium.new_context().new_page()
    page.goto(world.address)
    expect(page.get_by_role("heading", level=1)).to_contain_text("not open to you")
    expect(page.locator("pre")).to_have_text("clmsfs web")
    assert not [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    page.context.close()
