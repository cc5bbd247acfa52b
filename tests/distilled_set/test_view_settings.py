import json

import pytest

from lt_callbacks.distilled_set import PLAIN_VIEW, ViewSettings


def test_settings_survive_json():
    settings = ViewSettings(
        seed=-3, crop="padded", crop_padding=2, crop_area=(0.25, 0.5), flip=True, mix="mixup", mix_alpha=0.8
    )
    assert ViewSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert settings.to_dict()["crop_area"] == [0.25, 0.5]
    assert set(settings.to_dict()) == {"seed", "crop", "crop_padding", "crop_area", "flip", "mix", "mix_alpha"}


def test_defaults_are_the_imagenet_crop_without_flip_or_mixing():
    assert ViewSettings().to_dict() == {
        "seed": 0,
        "crop": "resized",
        "crop_padding": 4,
        "crop_area": [0.08, 1.0],
        "flip": False,
        "mix": "none",
        "mix_alpha": 1.0,
    }


def test_the_plain_view_varies_nothing():
    assert (PLAIN_VIEW.crop, PLAIN_VIEW.flip, PLAIN_VIEW.mix) == ("none", False, "none")


def test_settings_of_equal_value_are_equal_whatever_their_types():
    assert ViewSettings(crop_area=[0.5, 1], mix_alpha=1) == ViewSettings(crop_area=(0.5, 1.0), mix_alpha=1.0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"seed": 1.5}, TypeError, "`seed` must be an integer; got 1.5"),
        ({"crop": "resize"}, ValueError, "`crop` must be one of .*; got 'resize'. Did you mean 'resized'?"),
        ({"crop_padding": -1}, ValueError, "`crop_padding` must be an integer >= 0; got -1"),
        ({"crop_area": 0.5}, TypeError, "`crop_area` must be a pair"),
        ({"crop_area": (0.1, 0.5, 1.0)}, TypeError, "`crop_area` must be a pair"),
        ({"crop_area": (0.0, 1.0)}, ValueError, "`crop_area` must be a finite number > 0 and <= 1; got 0"),
        ({"crop_area": (0.5, 1.1)}, ValueError, "`crop_area` must be .* <= 1; got 1.1"),
        ({"crop_area": (0.8, 0.2)}, ValueError, r"`crop_area` must be \(smallest, largest\)"),
        ({"flip": 1}, TypeError, "`flip` must be True or False; got 1"),
        ({"mix": "cutmixup"}, ValueError, "`mix` must be one of 'none', 'cutmix', 'mixup'; got 'cutmixup'"),
        ({"mix_alpha": 0.0}, ValueError, "`mix_alpha` must be a finite number > 0; got 0"),
    ],
)
def test_a_setting_out_of_range_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        ViewSettings(**changes)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="got 'crop_pading'. Did you mean 'crop_padding'?"):
        ViewSettings.from_dict({"crop_pading": 2})
