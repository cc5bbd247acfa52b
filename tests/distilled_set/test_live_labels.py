import pytest
import torch
from small_sets import small_model, small_set
from torch import nn

from lt_callbacks.distilled_set import LiveLabels, Views, ViewSettings
from lt_callbacks.distilled_set.live_labels import in_eval_mode

VIEWS = ViewSettings(crop="padded", crop_padding=2, flip=True, mix="mixup")


@pytest.fixture
def views():
    return Views(small_set(), VIEWS)


def test_labels_are_the_models_logits_of_the_view(views):
    model = small_model(views.distilled)
    samples = torch.tensor([3, 11, 3])
    found = LiveLabels(model, views).logits(samples, 4)
    expected = model.eval()(views.images(samples, 4)).detach()
    assert torch.equal(found, expected)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert torch.equal(LiveLabels(model, views, adjust=lambda z: 2 * z - 1).logits(samples, 4), 2 * expected - 1)


def test_modes_and_statistics_are_left_as_they_were(views):
    model = small_model(views.distilled).train()
    model[1].eval()  # batch statistics frozen by the user, dropout on
    before = {name: value.clone() for name, value in model.state_dict().items()}
    labels = LiveLabels(model, views)
    first, second = labels.logits(torch.arange(12), 0), labels.logits(torch.arange(12), 0)
    assert torch.equal(first, second)
    assert [module.training for module in model] == [True, False, True, True, True, True]
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_modes_come_back_after_an_error(views):
    model = small_model(views.distilled).train()

    def fail(logits):
        assert not model.training
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        LiveLabels(model, views, adjust=fail).logits(torch.arange(3), 0)
    assert all(module.training for module in model.modules())


def test_train_is_not_called_on_the_model():
    class Loud(nn.Linear):
        def train(self, mode=True):
            assert not mode, "train() may be overridden to do something else"
            return super().train(mode)

    model = nn.Sequential(Loud(2, 2))
    with in_eval_mode(model):
        assert not model[0].training
    assert model.training
    assert model[0].training


def test_a_shared_module_is_restored_once():
    shared = nn.Dropout()
    model = nn.ModuleDict({"a": shared, "b": shared})
    with in_eval_mode(model):
        assert not shared.training
    assert shared.training


def test_autocast_of_the_caller_does_not_change_labels(views):
    labels = LiveLabels(small_model(views.distilled), views)
    expected = labels.logits(torch.arange(12), 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(labels.logits(torch.arange(12), 1), expected)


def test_a_model_in_half_precision_is_fed_its_own_dtype(views):
    model = small_model(views.distilled).to(torch.bfloat16)
    found = LiveLabels(model, views, adjust=lambda z: z + 1e-4).logits(torch.arange(12), 1)
    assert found.dtype == torch.float32
    expected = model.eval()(views.images(torch.arange(12), 1).to(torch.bfloat16)).float().detach() + 1e-4
    assert torch.equal(found, expected)


def test_a_model_without_parameters_may_label():
    views = Views(small_set(), VIEWS)
    model = nn.Sequential(nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten(), nn.CircularPad1d((0, 0)))
    model.append(nn.AdaptiveAvgPool1d(4))
    assert LiveLabels(model, views).logits(torch.arange(5), 0).shape == (5, 4)


def test_one_number_of_classes_for_model_and_set(views):
    assert LiveLabels(small_model(views.distilled), views).num_classes == 4
    with pytest.raises(ValueError, match=r"`model` must return logits of shape \(5, 4\).*got \(5, 192\)"):
        LiveLabels(nn.Flatten(), views).logits(torch.arange(5), 0)
    with pytest.raises(ValueError, match=r"`adjust` must return logits of shape \(5, 4\).*got \(4,\)"):
        LiveLabels(small_model(views.distilled), views, adjust=lambda z: z[0]).logits(torch.arange(5), 0)


def test_wrong_arguments_are_named(views):
    model = small_model(views.distilled)
    with pytest.raises(TypeError, match="`model` must be a torch.nn.Module; got function"):
        LiveLabels(lambda x: x, views)
    with pytest.raises(TypeError, match="`views` must be Views; got DistilledSet"):
        LiveLabels(model, views.distilled)
    with pytest.raises(TypeError, match="`adjust` must be a function of logits; got 1.0"):
        LiveLabels(model, views, adjust=1.0)
    with pytest.raises(ValueError, match="`samples` must be positions"):
        LiveLabels(model, views).logits(torch.tensor([12]), 0)
