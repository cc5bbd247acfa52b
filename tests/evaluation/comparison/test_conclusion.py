from __future__ import annotations

import pytest
from comparison_documents import comparison
from made_results import method_result

from lt_callbacks.evaluation import conclusion, summarise
from lt_callbacks.evaluation.comparison.conclusion import conclusions
from lt_callbacks.evaluation.comparison.setting_rows import summarise_settings

GIVEN = "held-out training samples by their given labels"


def rows(reference="CE", scored_on="the test set", **accuracies):
    """Rows of CE at 50, 51, 52, ... and of methods by their gains on each seed; a method's name has _ for a space."""
    longest = max(map(len, accuracies.values()), default=1)
    results = [method_result("CE", seed, 50.0 + seed, scored_on=scored_on) for seed in range(longest)]
    for name, gains in accuracies.items():
        for seed, gain in enumerate(gains):
            accuracy = 50.0 + seed + gain
            results.append(method_result(name.replace("_", " "), seed, accuracy, scored_on=scored_on))
    return summarise(results, reference=reference)


@pytest.mark.parametrize(
    ("gains", "text"),
    [
        ({"D": (2, 3, 4)}, "D is better than CE by 3.0 points (95 % interval 0.5 to 5.5, 3 seeds)."),
        ({"D": (-2, -3, -4)}, "No method is shown to be better than CE."
         " D is worse than CE by 3.0 points (95 % interval 0.5 to 5.5, 3 seeds)."),
        ({"D": (-2, 3)}, "D is not shown to be better or worse than CE: the 95 % interval of the difference,"
         " −31.3 to +32.3 points, contains 0 (2 seeds)."),
        ({"D": (-2, 3, 0), "E": (1, 0, -1)}, "No method is shown to be better than CE: every 95 % interval contains 0"
         " (3 seeds). Not corrected for 2 comparisons."),
        ({"D": (5,)}, "One seed: no interval, so nothing is shown."),
        ({"D": (5,), "E": (6,)}, "One seed: no interval, so nothing is shown."),
    ],
)  # fmt: skip
def test_it_says_what_the_intervals_allow(gains, text):
    assert conclusion(rows(**gains)) == text


def test_several_methods_are_listed_by_the_side_of_their_intervals():
    found = rows(A=(2, 3, 4), B=(6, 5, 3), C_c=(-1, 0, 1), D=(-2, -3, -4))
    assert conclusion(found) == (
        "Better than CE, in points (95 % interval, 3 seeds): B 4.7 (0.9 to 8.5); A 3.0 (0.5 to 5.5)."
        " D is worse than CE by 3.0 points (95 % interval 0.5 to 5.5, 3 seeds)."
        " Not shown to differ from CE: C c."
        " Which of them is best is not shown. Not corrected for 4 comparisons."
    )


def test_methods_on_one_side_are_listed_from_the_largest_difference_on():
    text = conclusion(rows(A=(-2, -3, -4), B=(-12, -13, -14), C=(-6, -7, -8)))
    assert "Worse than CE, in points (95 % interval, 3 seeds): B 13.0 (10.5 to 15.5); C 7.0 (4.5 to 9.5); A 3.0" in text


def test_no_method_is_better_than_one_that_it_shares_no_seed_with():
    found = [method_result("X", seed, 10.0 + seed) for seed in (7, 8, 9)]
    for seed in range(3):
        found += [
            method_result(name, seed, 50.0 + seed + gain + seed / 10) for name, gain in (("CE", 0), ("A", 5), ("B", 9))
        ]
    text = conclusion(summarise(found, reference="CE"))
    assert "Better than CE, in points" in text
    assert "Which of them is best is not shown." in text


def test_a_method_that_is_better_than_all_is_named():
    found = rows(A=(2, 3, 4), B=(12, 13, 14))
    assert "B is better than every other row, too." in conclusion(found)
    # with one better method there is nothing to choose
    assert "every other" not in conclusion(rows(A=(2, 3, 4), B=(-1, 0, 1)))


def test_pairs_are_counted_and_a_single_one_shows_nothing():
    found = rows(A=(2, 3, 4), B=(5,), C=(2, 3))
    text = conclusion(found)
    assert "One seed in common with CE, so nothing is shown of: B." in text
    assert "2 to 3 seeds" in text
    assert text.endswith("Not corrected for 2 comparisons.")
    single = [method_result("CE", 0), method_result("CE", 1), method_result("D", 0, 60)]
    assert conclusion(summarise(single, reference="CE")) == (
        "One seed in common with CE: no interval, so nothing is shown."
    )


def test_agreement_with_given_labels_shows_nobody_to_be_right():
    text = conclusion(rows(scored_on=GIVEN, D=(20, 21, 22)))
    assert text == (
        f"Scored on {GIVEN}: accuracy is agreement with labels of which some may be wrong, so no method is shown to be"
        " right more often than another."
    )
    # a run that knows no truth leaves the word nowhere
    assert "true" not in text
    assert "better" not in text


def test_without_a_comparison_there_is_no_conclusion():
    assert conclusion(rows()) == ""
    assert conclusion(rows(reference=None, D=(2, 3, 4))) == ""
    apart = [method_result("CE", 0), method_result("D", 1)]
    assert conclusion(summarise(apart, reference="CE")) == ""


def test_a_few_settings_have_a_sentence_each():
    found = summarise_settings(comparison(ratios=(0.2, 0.4), factors=(10.0,), methods=("CE", "D-SINK")), reference="CE")
    first, second = conclusions(found)
    assert first == "noise.ratio=0.2: " + conclusion(found[0].rows)
    assert second.startswith("noise.ratio=0.4")
    (single,) = conclusions(found[:1])
    assert single == first


@pytest.mark.parametrize(("ratios", "is_counted"), [((0.2, 0.3, 0.4), False), ((0.1, 0.2, 0.3, 0.4), True)])
def test_up_to_three_settings_have_a_sentence_each(ratios, is_counted):
    made = comparison(ratios=ratios, factors=(10.0,), methods=("CE", "D-SINK"))
    texts = conclusions(summarise_settings(made, reference="CE"))
    assert len(texts) == (1 if is_counted else 3)
    assert ("at 4 settings" in texts[0]) == is_counted


def test_many_settings_are_counted():
    found = summarise_settings(comparison(), reference="CE")
    # 3 methods at 4 settings: f_N's gain is the same at every seed, f_L's varies by more than its size
    assert conclusions(found) == (
        "Paired 95 % intervals of the differences to CE at 4 settings: above 0: 8, below 0: 0, around 0: 4."
        " Not corrected for 12 comparisons.",
    )
    one_seed = summarise_settings(comparison(seeds=(0,)), reference="CE")
    assert conclusions(one_seed) == ("One pair of seeds a setting: no interval, so nothing is shown.",)
    assert conclusions(summarise_settings(comparison(), reference=None)) == ()
