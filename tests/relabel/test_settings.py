from __future__ import annotations

import pytest

from lt_callbacks.distilled_set import ViewSettings
from lt_callbacks.relabel import RelabelSettings
from lt_callbacks.relabel.fit import FITTED_ON


def test_nothing_has_to_be_said():
    settings = RelabelSettings()
    assert settings.fit_on in FITTED_ON
    assert (settings.views, settings.num_views, settings.on_degenerate) == (ViewSettings(), 300, "warn")
    assert (settings.target_prior, settings.shrink_to, settings.top_k) == (None, None, None)


def test_values_may_come_as_a_config_file_has_them():
    settings = RelabelSettings(views={"crop": "none", "seed": 3}, target_prior=[3, 1], shrink_to=1)
    assert settings.views == ViewSettings(crop="none", seed=3)
    assert settings.target_prior.tolist() == [3.0, 1.0]
    assert isinstance(settings.shrink_to, float)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"fit_on": "crop"}, ValueError, "`fit_on` must be one of .*; got 'crop'. Did you mean 'crops'?"),
        ({"num_fit_views": 0}, ValueError, "`num_fit_views` must be an integer >= 1; got 0."),
        ({"views": None}, TypeError, "`views` must be ViewSettings, their values or None; got NoneType."),
        ({"num_views": True}, TypeError, "`num_views` must be an integer >= 1; got True."),
        ({"target_prior": [1, 0]}, ValueError, "`target_prior` must be finite and > 0; got 0"),
        ({"shrink_to": float("nan")}, ValueError, "`shrink_to` must be a finite number; got nan."),
        ({"top_k": 0}, ValueError, "`top_k` must be an integer >= 1; got 0."),
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer >= 1; got 0."),
        ({"on_degenerate": "stop"}, ValueError, "`on_degenerate` must be one of 'warn', 'raise'; got 'stop'."),
    ],
)
def test_a_setting_out_of_range_is_refused(changes, error, text):
    with pytest.raises(error, match=f"^{text}"):
        RelabelSettings(**changes)
