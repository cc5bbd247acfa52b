from __future__ import annotations

import logging
import warnings

import pytest

from lt_callbacks.apps.shared.quiet import be_quiet

LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning")


@pytest.fixture
def _loud():
    before = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("_loud")
def test_lightnings_talk_is_silenced_and_its_warnings_are_not():
    be_quiet()
    for name in LOGGERS:
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
        assert logging.getLogger(name).isEnabledFor(logging.WARNING)


@pytest.mark.usefixtures("_loud")
@pytest.mark.parametrize(
    "text",
    [
        "The 'train_dataloader' does not have many workers which may be a bottleneck.",
        "The number of training batches (3) is smaller than the logging interval",
        "Total length of `list` across ranks is zero. Please make sure this was your intention.",
        "GPU available but not used. You can set it by doing `Trainer(accelerator='gpu')`.",
    ],
)
def test_what_nobody_can_do_anything_about_is_not_shown(text):
    with warnings.catch_warnings(record=True) as shown:
        be_quiet()
        warnings.warn(text, stacklevel=1)
        warnings.warn("The loss is not finite.", stacklevel=1)
    assert [str(warning.message) for warning in shown] == ["The loss is not finite."]
