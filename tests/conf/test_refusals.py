"""Seeds are taken as given; misspelt keys, wrong types and unknown choices are refused by name."""

from __future__ import annotations

import pytest
from conf_files import composed
from hydra.errors import ConfigCompositionException, MissingConfigException

from lt_callbacks.apps.config.build import build_datamodule, build_source
from lt_callbacks.apps.config.distill_schemas import DISTILL_GROUPS
from lt_callbacks.apps.config.train_schemas import GROUPS
from lt_callbacks.apps.config.typed import typed


@pytest.mark.parametrize("seed", [0, 7])
def test_seeds_are_taken_as_given(seed):
    config = typed(composed(f"seed={seed}", f"corruption_seed={seed}"))
    assert (config.seed, config.corruption_seed) == (seed, seed)
    datamodule = build_datamodule(config, build_source(config.data), seed=config.seed)
    assert (datamodule.seed, datamodule.corruption_seed) == (seed, seed)


@pytest.mark.parametrize(
    ("group", "root"), [*((group, "train") for group in GROUPS), *((group, "distill") for group in DISTILL_GROUPS)]
)
def test_a_misspelt_key_is_refused_by_name(group, root):
    with pytest.raises(ConfigCompositionException, match=f"Could not override '{group}.misspelt'"):
        composed(f"{group}.misspelt=1", root=root)
    with pytest.raises(ValueError, match=f"^`settings of {group}` must be one of .*; got 'misspelt'."):
        typed(composed(f"+{group}.misspelt=1", root=root))


@pytest.mark.parametrize(
    "override",
    ["seed=a", "seed=1.5", "num_seeds=null", "noise.ratio=high", "imbalance.class_order=3", "data.augment=perhaps", "methods=ce",
     "model.width=wide", "optimisation.milestones=half", "dsink.alpha=[1]", "trainer.max_epochs=many"],
)  # fmt: skip
def test_a_wrong_type_is_refused_when_composing(override):
    with pytest.raises((ConfigCompositionException, MissingConfigException)):
        composed(override)


@pytest.mark.parametrize(
    "override",
    ["networks=small_cnn", "distiller.images_per_class=many", "distiller.settings=3", "views.crop_area=half",
     "views.flip=perhaps", "views.num_views=1.5", "adsa.shrink_to=one", "student.temperature=hot", "oracle_taus=[high]",
     "oracle_taus=1"],
)  # fmt: skip
def test_a_wrong_type_is_refused_when_composing_a_distillation(override):
    with pytest.raises((ConfigCompositionException, MissingConfigException)):
        composed(override, root="distill")


@pytest.mark.parametrize(
    ("group", "root"),
    [
        *((group, "train") for group in (*GROUPS, "callbacks", "logger", "experiment")),
        *((group, "distill") for group in (*DISTILL_GROUPS, "experiment")),
    ],
)
def test_a_misspelt_choice_is_refused(group, root):
    with pytest.raises(MissingConfigException, match=f"Could not find '{group}/misspelt'"):
        composed(f"{group}=misspelt", root=root)
