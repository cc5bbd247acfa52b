import json

import pytest

from lt_callbacks.dataset_distillation import DISTILLERS, EDC, Herding, RandomReal, SRe2L, build_distiller


def test_every_distiller_is_built_by_its_own_name_with_its_defaults():
    kinds = {"random_real": RandomReal, "herding": Herding, "sre2l": SRe2L, "edc": EDC}
    assert kinds == DISTILLERS
    for name, kind in DISTILLERS.items():
        assert build_distiller(name) == build_distiller(name, settings={}) == kind()
        assert build_distiller(name).name == name


@pytest.mark.parametrize("name", DISTILLERS)
def test_settings_are_json_and_build_the_same_distiller(name):
    settings = build_distiller(name).settings()
    kept = json.loads(json.dumps(settings))
    assert kept == settings
    assert build_distiller(name, settings=kept) == build_distiller(name)


def test_settings_reach_the_distiller():
    settings = {"num_steps": 7, "crop_area": [0.5, 1], "flip": True}
    distiller = build_distiller("edc", settings=settings)
    assert distiller == EDC(num_steps=7, crop_area=(0.5, 1), flip=True)
    # As they were typed: stored sets are found by them.
    assert json.dumps({name: distiller.settings()[name] for name in settings}) == json.dumps(settings)


def test_unknown_names_are_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="`name` must be one of .*'sre2l'.*got 'srel2'. Did you mean 'sre2l'?"):
        build_distiller("srel2")
    with pytest.raises(
        ValueError, match="`settings of edc` must be one of .*got 'num_step'. Did you mean 'num_steps'?"
    ):
        build_distiller("edc", settings={"num_step": 3})
    with pytest.raises(ValueError, match="`settings of random_real` must be empty, it has none; got 'seed'"):
        build_distiller("random_real", settings={"seed": 3})


def test_values_out_of_range_are_refused():
    with pytest.raises(ValueError, match="`num_steps` must be an integer >= 1; got 0"):
        build_distiller("sre2l", settings={"num_steps": 0})
