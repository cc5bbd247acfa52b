from __future__ import annotations

import re

from made_results import method_result
from method_rows import method_rows
from report_sections import NASTY, numbers_table, png, sections

from lt_callbacks.evaluation import markdown_table, summarise
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


def test_markdown_is_exact():
    # differences 21, 20, 22: mean 21, sd 1, t(0.975; 2) = 4.3027, half width 4.3027 / sqrt(3) = 2.4841
    assert markdown_table(method_rows()) == (
        "| Method | Seeds | All | Many | Medium | Wrong labels fitted | Difference to CE |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| CE | 3 | 52.0 ± 2.0 | 80.0 ± 0.0 | 50.0 ± 0.0 | 91.0 ± 1.0 | reference |\n"
        "| D-SINK \\| a\\_b [x] | 3 | **73.0 ± 2.6** | 80.0 ± 0.0 | 50.0 ± 0.0 | 5.0 ± 0.0 | +21.0 [+18.5, +23.5] |\n"
        "\n"
        "Percent of the test set after the last epoch, mean ± sd over seeds. Many, Medium, Few: thirds of the classes by "
        "their number of training samples. Wrong labels fitted: percent of the "
        "wrongly labelled training samples predicted as their given label. Difference to CE: percentage points of "
        "All, paired by seed, with 95 % Student-t interval. Bold: the paired 95 % interval against every other method "
        "lies above 0.\n"
    )


def test_a_method_is_no_markup_in_its_table_either():
    (line,) = [
        line
        for line in markdown_table(summarise([method_result(NASTY)], reference=None)).splitlines()
        if "onerror" in line
    ]
    assert "<" not in line
    assert len(re.findall(r"(?<!\\)\|", line)) == 7
    text = markdown_table(
        summarise([method_result("[a](http://x.invalid)\n# b"), method_result("[a][b]")], reference=None)
    )
    assert "| [a\\](http://x.invalid) # b | 1 |" in text
    assert "| [a\\][b] | 1 |" in text


def test_one_method_with_one_seed_claims_nothing():
    assert markdown_table(summarise([method_result("CE")], reference=None)) == (
        "| Method | Seeds | All | Many | Medium | Few |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: |\n"
        "| CE | 1 | 50.0 | 80.0 | 50.0 | 20.0 |\n"
        "\n"
        "Percent of the test set after the last epoch, mean ± sd over seeds. Many, Medium, Few: thirds of the classes by "
        "their number of training samples.\n"
    )


def test_fewer_pairs_than_seeds_are_shown():
    results = [
        method_result("A", 0, 10.0),
        method_result("A", 1, 20.0),
        method_result("B", 1, 30.0),
        method_result("B", 2, 50.0),
        method_result("C", 5, 1.0),
    ]
    lines = markdown_table(summarise(results, reference="A")).splitlines()
    assert lines[3].endswith("| +10.0 (n = 1) |")
    assert lines[4].endswith("| – |")


def test_a_share_that_one_method_lacks_is_a_dash():
    results = [method_result("A", 0, wrong_labels_fitted=3.0), method_result("B", 0)]
    line = markdown_table(summarise(results, reference=None)).splitlines()[3]
    assert line == "| B | 1 | 50.0 | 80.0 | 50.0 | 20.0 | – |"
