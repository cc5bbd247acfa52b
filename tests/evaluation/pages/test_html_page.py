from __future__ import annotations

import base64
import re

import pytest
from headless_page import CHROMIUM, browser
from parsed_page import Parsed
from report_sections import NASTY, numbers_table, png, sections, wide_table

from lt_callbacks.evaluation.pages.html_page import html_page
from lt_callbacks.evaluation.pages.report_blocks import Facts, Picture, Section, Table, TableCell

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


def page(*blocks):
    return html_page(title="T", summary="S", sections=[Section(title="One", blocks=list(blocks))])


def test_no_text_becomes_a_tag_or_an_attribute():
    found = Parsed(html_page(title=NASTY, summary=NASTY, sections=sections()))
    assert [image["src"][:15] for image in found.all("img")] == ["data:image/png;"]
    assert len(found.all("script")) == 1
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert found.all("img")[0]["alt"] == NASTY
    # 7 of titles and contents, 6 of the table, 1 of the picture, 2 of the paragraph, 1 of the code, 4 of the facts
    assert sum(text.count("<img src=http") for text in found.text) == 21


def test_the_file_needs_nothing_else():
    text = html_page(title="T", summary="S", sections=sections("plain"))
    found = Parsed(text)
    assert not found.all("link")
    assert not re.search(r"@import|url\(|https?://", text)
    assert all(script == {} for script in found.all("script"))
    assert {anchor["href"] for anchor in found.all("a")} == {"#plain", "#plain-1", "#rest", "logs/plain"}
    policy = next(meta["content"] for meta in found.all("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; ")


def test_the_contents_lead_to_the_sections():
    found = Parsed(
        html_page(title="T", summary="S", sections=[Section(title=title) for title in ("A b!", "A b?", "–")])
    )
    assert [anchor["href"] for anchor in found.all("a")] == ["#a-b", "#a-b-1", "#section"]
    assert [section["id"] for section in found.all("section")] == ["a-b", "a-b-1", "section"]


def test_a_picture_is_embedded_at_half_its_pixels():
    content = png(7.0, 3.0)
    (image,) = Parsed(page(Picture(name="a", png=content, title="What it is"))).all("img")
    assert base64.b64decode(image["src"].partition(",")[2]) == content
    assert (image["width"], image["height"], image["alt"]) == ("672", "288", "What it is")


def test_rows_and_columns_are_named_for_those_who_hear_them():
    found = Parsed(page(numbers_table(groups=[("group", numbers_table().groups[0][1])])))
    assert [head.get("scope") for head in found.all("th")] == ["col", "col", "rowgroup", "row", "row", "row"]
    assert [entry.get("data-sort") for entry in found.all("td")] == ["10.0", None, "9.5"]
    assert len(found.all("strong")) == 1


def test_facts_without_a_group_have_no_heading():
    assert not Parsed(page(Facts(groups={"": {"a": "1"}}))).all("h3")


@pytest.fixture(scope="module")
def tab():
    with browser() as opened:
        yield opened


def written(folder, text):
    path = folder / "report.html"
    path.write_text(text)
    return path


@needs_browser
@pytest.mark.ddp
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_complaint_or_request(tmp_path, tab, width, scheme):
    path = written(tmp_path, html_page(title=NASTY, summary=NASTY, sections=sections()))
    tab.complaints.clear()
    tab.requests.clear()
    tab.open(path, width=width, scheme=scheme)
    assert tab.ask("[...document.images].map(image => image.naturalWidth)") == [1344]
    assert tab.ask("document.documentElement.scrollWidth") == width
    assert tab.ask("document.body.scrollWidth") <= width
    dark = tab.ask("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert dark == (scheme == "dark")
    picture = tab.screenshot(tmp_path / "page.png").read_bytes()
    assert len(picture) > 20_000
    assert tab.complaints == []
    assert tab.requests == [path.resolve().as_uri()]


@needs_browser
@pytest.mark.ddp
def test_the_first_column_stays_while_a_wide_table_scrolls_in_its_frame(tmp_path, tab):
    tab.open(written(tmp_path, page(wide_table())), width=390, scheme="light")
    frame = "document.querySelector('.scroll')"
    assert tab.ask(f"{frame}.scrollWidth > {frame}.clientWidth + 200")
    before = tab.ask("document.querySelector('tbody th[scope=row]').getBoundingClientRect().left")
    other = tab.ask("document.querySelector('tbody td').getBoundingClientRect().left")
    tab.ask(f"void ({frame}.scrollLeft = 200)")
    assert tab.ask("document.querySelector('tbody th[scope=row]').getBoundingClientRect().left") == before
    assert tab.ask("document.querySelector('tbody td').getBoundingClientRect().left") == other - 200


@needs_browser
@pytest.mark.ddp
def test_a_click_on_a_heading_sorts_by_value_and_keeps_dashes_last(tmp_path, tab):
    tab.open(written(tmp_path, page(numbers_table())), width=1280, scheme="light")
    order = "[...document.querySelectorAll('tbody th')].map(cell => cell.textContent)"
    click = "document.querySelectorAll('thead button')[{}].click()"
    assert tab.ask(order) == ["a", "b", "c"]
    tab.ask(click.format(1))
    # by value: as text, 10.0 would come first
    assert tab.ask(order) == ["c", "a", "b"]
    assert tab.ask("document.querySelectorAll('thead th')[1].getAttribute('aria-sort')") == "ascending"
    tab.ask(click.format(1))
    assert tab.ask(order) == ["a", "c", "b"]
    tab.ask(click.format(0))
    assert tab.ask(order) == ["a", "b", "c"]
    assert tab.ask("document.querySelectorAll('[aria-sort]').length") == 1


@needs_browser
@pytest.mark.ddp
def test_rows_are_sorted_within_their_group(tmp_path, tab):
    rows = [[TableCell(text=text)] for text in ("b", "a")]
    tab.open(
        written(tmp_path, page(Table(headings=("A",), groups=[("one", rows), ("two", rows)]))),
        width=1280,
        scheme="light",
    )
    tab.ask("document.querySelector('thead button').click()")
    assert tab.ask("[...document.querySelectorAll('tbody th')].map(cell => cell.textContent)") == [
        "one",
        "a",
        "b",
        "two",
        "a",
        "b",
    ]


@needs_browser
@pytest.mark.ddp
def test_everything_can_be_read_without_a_script(tmp_path, tab):
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(written(tmp_path, page(numbers_table())), width=1280, scheme="light")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert tab.ask("document.querySelectorAll('button').length") == 0
    assert tab.ask("document.querySelector('table').innerText").split() == [
        "Setting",
        "All",
        "a",
        "10.0",
        "b",
        "–",
        "c",
        "9.5",
    ]
