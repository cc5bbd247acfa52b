from __future__ import annotations

import struct

import pytest
from comparison_documents import comparison, document, settings, sweep
from made_results import method_result

from lt_callbacks.apps.report.figures import accuracy_pictures, gain_pictures, not_drawn, plane, selected, shot_picture
from lt_callbacks.apps.report.methods import compared_of
from lt_callbacks.evaluation import pool_results

SMALL = {"seeds": (0,), "methods": ("CE", "D-SINK")}
ONE = {"ratios": (0.4,), "factors": (10.0,)}


def alphas(values=(1, 10), **options):
    """The sweep at several values of dsink.alpha."""
    return pool_results(
        {f"{alpha}/{name}": made for alpha in values for name, made in sweep(**options, dsink={"alpha": alpha}).items()}
    )


def names(pictures):
    return [picture.name for picture in pictures]


def drawn(found, group_by=()):
    return names(accuracy_pictures(found, group_by=group_by)), names(
        gain_pictures(found, compared_of(found.methods), group_by=group_by)
    )


def test_noise_and_imbalance_make_maps():
    found = comparison()
    assert drawn(found) == (["accuracy_map"], ["gain_map"])
    (picture,) = accuracy_pictures(found, group_by=())
    assert picture.title == "Test accuracy, over noise.ratio and imbalance.factor, by method"
    assert picture.png.startswith(b"\x89PNG")
    assert struct.unpack(">I", picture.png[16:20])[0] > 1000


@pytest.mark.parametrize("options", [{"ratios": (0.4,)}, {"factors": (10.0,)}])
def test_one_of_them_alone_makes_lines(options):
    assert drawn(comparison(**options)) == (["accuracy_line"], ["gain_line"])


def test_one_setting_makes_bars_only():
    found = comparison(**ONE)
    assert drawn(found) == ([], [])
    assert shot_picture(found, group_by=()).name == "shots"


def test_another_axis_makes_a_map_for_each_of_its_values():
    found = alphas(**SMALL)
    assert drawn(found) == (["accuracy_map-1", "accuracy_map-2"], ["gain_map-1", "gain_map-2"])
    titles = [picture.title.split(", over")[0] for picture in accuracy_pictures(found, group_by=())]
    assert titles == ["Test accuracy, dsink.alpha=1", "Test accuracy, dsink.alpha=10"]


def test_another_axis_alone_makes_lines():
    found = alphas(**ONE)
    assert plane(found, ()) == (None, "dsink.alpha")
    assert drawn(found) == (["accuracy_line"], ["gain_line"])


def test_asked_settings_span_the_figures():
    found = alphas(**SMALL)
    assert plane(found, ("dsink.alpha", "noise.ratio")) == ("dsink.alpha", "noise.ratio")
    assert plane(found, ("dsink.alpha",)) == (None, "dsink.alpha")
    assert names(accuracy_pictures(found, group_by=("dsink.alpha",))) == [
        f"accuracy_line-{number}" for number in (1, 2, 3, 4)
    ]


def test_an_asked_setting_that_does_not_vary_spans_nothing():
    found = pool_results(sweep(), group_by=["dsink.alpha"])
    assert plane(found, ("dsink.alpha",)) == ("noise.ratio", "imbalance.factor")


def test_a_place_by_itself_has_neither_map_nor_line():
    made = {
        name: document(
            {**settings(), "data": {"name": name}, "model": {"name": model}},
            [method_result("CE"), method_result("D-SINK")],
        )
        for name, model in (("a", "x"), ("b", "y"), ("c", "x"))
    }
    found = pool_results(
        {**made, "d": document({**settings(), "data": {"name": "a"}, "model": {"name": "y"}}, [method_result()])}
    )
    assert found.axes == ("data.name", "model.name")
    assert len(accuracy_pictures(found, group_by=("data.name",))) == 2
    assert drawn(pool_results({"a": made["a"]})) == ([], [])


@pytest.mark.slow
def test_too_many_maps_are_cut_and_it_is_said_which():
    found = alphas(range(1, 12), seeds=(0,), methods=("CE",))
    assert len(accuracy_pictures(found, group_by=())) == 9
    assert not_drawn(found, group_by=()) == (
        "Drawn for the first 9 of 11 values of the other settings; not for dsink.alpha=10 to dsink.alpha=11. "
        "The table has all."
    )
    assert not_drawn(comparison(), group_by=()) == ""


def test_bars_of_many_settings_are_those_of_the_ends_and_the_middle():
    found = comparison(ratios=(0.0, 0.1, 0.2, 0.3, 0.4), factors=(1.0, 10.0, 50.0, 100.0), seeds=(0,))
    shown = selected(found, ())
    assert {setting.values["noise.ratio"] for setting in shown} == {0, 0.2, 0.4}
    assert {setting.values["imbalance.factor"] for setting in shown} == {1, 50, 100}
    assert len(shown) == 9
    caption = shot_picture(found, group_by=()).caption
    assert "9 of 20 settings are drawn: noise.ratio=0, imbalance.factor=1; " in caption


def test_nine_settings_are_all_shown():
    found = comparison(ratios=(0.0, 0.2, 0.4), factors=(1.0, 10.0, 100.0), seeds=(0,))
    assert len(selected(found, ())) == 9
    assert "are drawn" not in shot_picture(found, group_by=()).caption


def test_without_shot_groups_there_are_no_bars():
    made = document(settings(), [method_result(many=None, medium=None, few=None)])
    assert shot_picture(pool_results({"a": made}), group_by=()) is None


def test_without_dsink_there_are_no_gains():
    found = comparison(methods=("CE", "f_L alone"))
    assert compared_of(found.methods) is None


def test_gains_are_drawn_only_where_there_are_pairs():
    documents = {f"1/{name}": made for name, made in sweep(**SMALL, dsink={"alpha": 1}).items()}
    documents |= {f"2/{name}": made for name, made in sweep(seeds=(0,), methods=("CE",), dsink={"alpha": 2}).items()}
    found = pool_results(documents)
    assert drawn(found) == (["accuracy_map-1", "accuracy_map-2"], ["gain_map-1"])
