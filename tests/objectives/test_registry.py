from __future__ import annotations

import inspect

import pytest

from lt_callbacks.objectives import OBJECTIVES, CrossEntropy, EarlyLearningRegularization, build_objective


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_name_builds_with_its_defaults(name):
    assert type(build_objective(name)) is OBJECTIVES[name]
    parameters = inspect.signature(OBJECTIVES[name]).parameters.values()
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    settings = {parameter.name: parameter.default for parameter in parameters}
    assert type(build_objective(name, settings=settings)) is OBJECTIVES[name]


def test_settings_arrive():
    objective = build_objective("elr", settings={"beta": 0.9})
    assert isinstance(objective, EarlyLearningRegularization)
    assert (objective.beta, objective.regularization) == (0.9, 3.0)
    assert isinstance(build_objective("cross_entropy", settings={}), CrossEntropy)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="`name` must be one of 'cross_entropy', .*; got 'erl'. Did you mean 'elr'?"):
        build_objective("erl")


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(
        ValueError,
        match="`settings` must be 'beta', 'regularization' for objective 'elr'; got 'regularisation'. Did you mean",
    ):
        build_objective("elr", settings={"beta": 0.5, "regularisation": 3})
    with pytest.raises(
        ValueError, match="`settings` must be left out for objective 'cross_entropy', it has none; got 'q'. Remove it."
    ):
        build_objective("cross_entropy", settings={"q": 0.5})
    with pytest.raises(TypeError, match="`settings` must map names of settings to values; got .*. Pass a dict such as"):
        build_objective("gce", settings=[0.5])
