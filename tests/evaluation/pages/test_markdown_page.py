from __future__ import annotations

import re

from report_sections import NASTY, numbers_table, png, sections

from lt_callbacks.evaluation.pages.markdown_page import markdown_page
from lt_callbacks.evaluation.pages.report_blocks import Code, Facts, Paragraph, Picture, Section, Table, TableCell


def page(*blocks):
    return markdown_page(title="T", summary="S", sections=[Section(title="One", blocks=list(blocks))])


def test_a_page_has_title_summary_and_sections():
    text = markdown_page(title="T", summary="S.", sections=[Section(title="One"), Section(title="Two")])
    assert text == "# T\n\nS.\n\n## One\n\n## Two\n"


def test_a_table_aligns_numbers_right_and_marks_the_best():
    lines = page(numbers_table(note="A note.")).splitlines()
    assert lines[6:] == [
        "| Setting | All |",
        "| :--- | ---: |",
        "| a | 10.0 |",
        "| b | – |",
        "| c | **9.5** |",
        "",
        "A note.",
    ]


def test_groups_have_headings():
    rows = [[TableCell(text="x")]]
    text = page(Table(headings=("A",), groups=[("first", rows), ("second", rows)]))
    assert re.findall(r"^### .*", text, re.MULTILINE) == ["### first", "### second"]
    assert text.count("| A |") == 2


def test_pictures_are_linked_beside_the_page():
    assert "![What](figures/maps.png)\n\nBelow." in page(
        Picture(name="maps", png=png(), title="What", caption="Below.")
    )


def test_lists_facts_and_code():
    text = page(
        Paragraph(text="Some:", items=("a", "b")),
        Facts(groups={"noise": {"ratio": "0.4"}, "": {"x": "1"}}),
        Code(text="a\n```\nb"),
    )
    assert "Some:\n\n- a\n- b" in text
    assert "| noise.ratio | 0.4 |\n| x | 1 |" in text
    assert "````\na\n```\nb\n````" in text


def test_no_text_can_be_taken_for_markup():
    text = markdown_page(title=NASTY, summary=NASTY, sections=sections())
    outside_code = re.sub(r"^```\n.*?\n```$", "", text, flags=re.MULTILINE | re.DOTALL)
    without_links = re.sub(r"\]\(<[^>]*>\)", "", outside_code)
    assert "<" not in without_links
    assert not re.search(r"(?<!\\)[`*](?!\*)(?<!\*\*)[a-z]", without_links)
    for line in without_links.splitlines():
        if line.startswith("| ") and "onerror" in line:
            assert len(re.findall(r"(?<!\\)\|", line)) == 3


def test_a_link_keeps_its_address_whole():
    rows = [[TableCell(text="log", link="a b/<c>.log")]]
    assert "[log](<a b/%3Cc%3E.log>)" in page(Table(headings=("A",), groups=[("", rows)]))
