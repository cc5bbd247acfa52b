import pytest
from made_documents import document

from lt_callbacks.bench.table import Table, conditions, markdown, milliseconds, times


def test_a_gpu_is_named_where_it_was_used():
    content = document("transport", {})
    assert conditions({**content, "settings": {"device": "cuda"}}).startswith("A GPU, ")


def test_markdown_has_a_line_a_row_and_its_notes():
    table = Table("title", ("a", "b"), [("x|y", "1")], ["A note."])
    assert markdown(table) == "| a | b |\n| :--- | ---: |\n| x/y | 1 |\n\nA note."


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.12345, "0.123"), (999.4, "999"), (12345.6, "12346")])
def test_milliseconds_have_three_digits(value, text):
    assert milliseconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.456, "0.46"), (9.999, "10.00"), (23.4, "23")])
def test_ratios_below_ten_have_two_decimals(value, text):
    assert times(value) == text
