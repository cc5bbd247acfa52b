from __future__ import annotations

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import SOURCES, LongTailedDataModule, add_index
from lt_callbacks.models import build_model
from lt_callbacks.teachers import CachedTeacher, FrozenTeacher, ModuleTeacher, cache

#: The trainer of every test: it says and writes nothing.
QUIET = {"accelerator": "cpu", "enable_progress_bar": False}


@pytest.fixture(scope="module")
def source():
    return SOURCES["digits"]()


def digits(source, **settings) -> LongTailedDataModule:
    settings = {"eval_batch_size": 64, "batch_size": 48, **settings}
    return LongTailedDataModule(
        source=source, imbalance=Imbalance(factor=20), noise=Noise(kind="symmetric", ratio=0.4), **settings
    )


def network(num_classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    net = build_model("small_cnn", num_classes=num_classes, in_channels=1)
    with torch.no_grad():
        # Sharper than at random, so that views differ.
        for parameter in net.parameters():
            parameter.mul_(2)
    return net


@pytest.mark.parametrize("residence", ["device", "workers"])
def test_a_prediction_is_the_live_teachers_of_the_image_as_it_is(source, residence):
    data = digits(source, residence=residence, num_workers=0)
    teacher = ModuleTeacher(network())
    cached = cache(teacher, data, trainer=QUIET)
    assert isinstance(cached, CachedTeacher)
    seen = []
    for images, _, index in data.predict_dataloader():
        assert torch.equal(cached.log_probs(images, index), teacher.log_probs(images))
        # A batch of another size rounds otherwise.
        torch.testing.assert_close(cached.log_probs(images[:5], index[:5]), teacher.log_probs(images[:5]))
        seen += index.tolist()
    assert sorted(seen) == data.train_indices.tolist()
    assert len(cached.table()) == data.num_samples
    missing = cached.table().isnan().all(1).nonzero()[:, 0].tolist()
    assert missing == data.val_indices.tolist()
    assert missing, "held-out samples have none"


@pytest.mark.parametrize("sampling", ["shuffled", "class_balanced"])
def test_with_views_it_is_the_mean_probability_over_those_of_the_first_epochs(source, sampling):
    data = digits(source, sampling=sampling, seed=3)
    teacher = ModuleTeacher(network())
    cached = cache(teacher, data, num_views=3, trainer=QUIET)
    every_sample = digits(source, seed=3)
    loader = every_sample.train_dataloader()
    total = torch.zeros(data.num_samples, 10, dtype=torch.float64)
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        for images, _, index in loader:
            total[index] += teacher.log_probs(images).double().exp()
    rows = torch.tensor(data.train_indices)
    got = cached.table()[rows]
    torch.testing.assert_close(got, (total[rows] / 3).log().float(), atol=1e-5, rtol=1e-4)
    plain = cache(teacher, data, trainer=QUIET).table()[rows]
    assert (got.exp() - plain.exp()).abs().max() > 0.05


def test_the_datamodule_and_the_generators_are_as_before(source):
    data, net = digits(source), network()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    cache(net, data, num_views=1, trainer=QUIET)
    assert torch.equal(torch.rand(3), expected)
    assert data.trainer is None
    assert [len(batch[0]) for batch in data.train_dataloader()][0] == 48


def test_it_runs_in_the_precision_that_it_is_told(source):
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, images):
            logits = self.layer(images.flatten(1))
            seen.append((images.dtype, logits.dtype, torch.is_inference_mode_enabled()))
            return logits

    data = digits(source)
    tables = {}
    for precision in ("32-true", "bf16-mixed", "bf16-true"):
        seen.clear()
        tables[precision] = cache(Spy(), data, trainer={**QUIET, "precision": precision}).table()
        images = torch.bfloat16 if precision == "bf16-true" else torch.float32
        logits = torch.float32 if precision == "32-true" else torch.bfloat16
        assert set(seen) == {(images, logits, True)}
    assert all(table.dtype == torch.float32 for table in tables.values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_table_of_half_the_size(source, dtype):
    data, net = digits(source), network()
    exact, half = cache(net, data, trainer=QUIET).table(), cache(net, data, dtype=dtype, trainer=QUIET).table()
    assert half.nbytes * 2 == exact.nbytes
    assert torch.equal(half.nan_to_num(), exact.to(dtype).nan_to_num())


def test_a_large_table_is_spoken_of_before_it_is_filled(source, monkeypatch):
    said = []
    monkeypatch.setattr("lt_callbacks.teachers.cache_predictions.rank_zero_info", said.append)
    data = digits(source)
    cache(network(), data, trainer=QUIET)
    assert not said
    monkeypatch.setattr("lt_callbacks.teachers.cache_predictions.LARGE_BYTES", 1000)
    cache(network(), data, trainer=QUIET)
    assert len(said) == 1
    assert f"of {data.num_samples} samples and 10 classes take 0.0 GiB on cpu, half of it with dtype" in said[0]


class Counting(ModuleTeacher):
    num_calls = 0

    def log_probs(self, images, index=None, *, dtype=None):
        self.num_calls += 1
        return super().log_probs(images, index, dtype=dtype)


def test_the_store_has_one_table_for_equal_content_and_others_for_others(source, tmp_path):
    data, first, again = digits(source), Counting(network()), Counting(network())
    made = cache(first, data, store=tmp_path, trainer=QUIET)
    found = cache(again, digits(source), store=tmp_path, trainer=QUIET)
    assert (first.num_calls > 0, again.num_calls) == (True, 0)
    assert found.sha256() == made.sha256()

    def num_files():
        return len(list((tmp_path / "predictions").glob("*.safetensors")))

    assert num_files() == 1
    cache(again, data, store=tmp_path, dtype=torch.float16, trainer=QUIET)
    cache(again, data, store=tmp_path, num_views=1, trainer=QUIET)
    cache(again, digits(source, seed=1), store=tmp_path, num_views=1, trainer=QUIET)
    cache(again, digits(source, corruption_seed=1), store=tmp_path, trainer=QUIET)
    cache(again, data, store=tmp_path, trainer={**QUIET, "precision": "bf16-mixed"})
    assert num_files() == 6
    # The augmentation's seed says nothing about images as they are.
    cache(again, digits(source, seed=1), store=tmp_path, trainer=QUIET)
    assert num_files() == 6
    assert not list((tmp_path / "jobs" / "leases").iterdir())


def test_a_table_of_other_data_under_this_ones_name_is_refused(source, tmp_path):
    data, other = digits(source), digits(source, corruption_seed=1)
    cache(network(), data, store=tmp_path / "a", trainer=QUIET)
    cache(network(), other, store=tmp_path / "b", trainer=QUIET)
    (file,), (another,) = ((tmp_path / name / "predictions").iterdir() for name in "ab")
    another.rename(file)
    with pytest.raises(ValueError, match=f"must be of data '{data.fingerprint}'; they are of '{other.fingerprint}'"):
        cache(network(), data, store=tmp_path / "a", trainer=QUIET)


#: The third item of a project's own batches is the index, and is said to be.
NAMED = {"trainer": QUIET, "index_from": 2}


class UserData(LightningDataModule):
    """A project's own: (image, label, index), moved and changed by its own hooks."""

    def __init__(self, num_samples: int = 20, *, with_index: bool = True, **options):
        super().__init__()
        parts = [torch.arange(num_samples * 4.0).view(-1, 4), torch.zeros(num_samples).long()]
        self.dataset = TensorDataset(*parts, *([torch.arange(num_samples)] if with_index else []))
        self.options = {"batch_size": 8, "shuffle": True, **options}

    def train_dataloader(self):
        return DataLoader(self.dataset, **self.options)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return [batch[0] / 100, *batch[1:]]


class WithPrediction(UserData):
    def predict_dataloader(self):
        return DataLoader(self.dataset, batch_size=7)


class Own(FrozenTeacher):
    """A teacher without an identity; says how large the first pixel is."""

    def log_probs(self, images, index=None, *, dtype=None):
        return torch.stack([images[:, 0], -images[:, 0]], dim=1).log_softmax(1)


@pytest.mark.parametrize(("data", "num_views"), [(UserData(), 2), (WithPrediction(), 0), (WithPrediction(), 1)])
def test_a_datamodule_of_ones_own(data, num_views):
    cached = cache(Own(), data, num_views=num_views, trainer=QUIET, index_from=2)
    torch.testing.assert_close(cached.table(), Own().log_probs(data.dataset.tensors[0] / 100))


def test_without_an_identity_nothing_is_stored(tmp_path):
    with pytest.warns(UserWarning, match="not stored: the teacher has no identity. Give it a `sha256`"):
        cache(Own(), WithPrediction(), store=tmp_path, fingerprint="x", **NAMED)
    net = nn.Linear(4, 3)
    with pytest.warns(UserWarning, match="not stored: the data has no identity. Pass `fingerprint=`"):
        cache(net, WithPrediction(), store=tmp_path, **NAMED)
    assert not list(tmp_path.iterdir())
    cache(net, WithPrediction(), store=tmp_path, fingerprint="x", **NAMED)
    assert len(list((tmp_path / "predictions").iterdir())) == 1


class NoLength(UserData):
    def train_dataloader(self):
        return list(super().train_dataloader())


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "text"),
    [
        (
            (Own(), UserData()),
            {},
            ValueError,
            "must give its training samples by `predict_dataloader`; got UserData wi",
        ),
        ((Own(), [1]), {}, TypeError, "`datamodule` must be a LightningDataModule; got list"),
        (("net", WithPrediction()), {}, TypeError, "`teacher` must be a module that gives logits .* got str"),
        ((Own(), WithPrediction()), {"num_views": -1}, ValueError, "`num_views` must be an integer >= 0; got -1"),
        ((Own(), WithPrediction()), {"dtype": torch.int8}, ValueError, "`dtype` must be one of torch.float32, .*int8"),
        ((Own(), WithPrediction()), {"trainer": {"devices": 2}}, ValueError, "`trainer` must leave `devices`"),
        (
            (Own(), WithPrediction(with_index=False)),
            {},
            ValueError,
            r"`index_from` must name the samples' index .* got None and a list of \['Tensor', 'Tensor'\] that no data",
        ),
        (
            (Own(), UserData(drop_last=True)),
            {"num_views": 1},
            ValueError,
            "got a loader that leaves out an incomplete last batch",
        ),
        ((Own(), NoLength()), {"num_views": 1}, ValueError, "`datamodule` must say how many samples it has; got a lo"),
    ],
)
def test_what_cannot_be_cached_is_refused(arguments, settings, error, text):
    with pytest.raises(error, match=text):
        cache(*arguments, **{"trainer": QUIET, **settings})


def test_a_teacher_that_is_not_finite_is_refused_with_the_samples():
    class Broken(Own):
        def log_probs(self, images, index=None, *, dtype=None):
            return super().log_probs(images).masked_fill((index == 13)[:, None], torch.nan)

    with pytest.raises(ValueError, match=r"`teacher` must give finite outputs; got others for 1 samples, .* \[13\]"):
        cache(Broken(), WithPrediction(), **NAMED)


def test_a_third_item_is_no_index_unless_it_is_named_or_added_by_this_package():
    data = WithPrediction()
    with pytest.raises(
        ValueError, match=r"`index_from` must name the samples' index .* or wrap the dataset in `lt_call"
    ):
        cache(Own(), data, trainer=QUIET)
    expected = cache(Own(), data, **NAMED).table()
    data.dataset = add_index(TensorDataset(*data.dataset.tensors[:2]))
    assert torch.equal(cache(Own(), data, trainer=QUIET).table(), expected)


def test_a_teacher_sees_what_its_own_hooks_make_of_a_batch():
    class Net(LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, images):
            return self.layer(images)

        def on_before_batch_transfer(self, batch, dataloader_idx):
            return [batch[0] + 1, *batch[1:]]

        def on_after_batch_transfer(self, batch, dataloader_idx):
            raise AssertionError("the datamodule has one, which comes first")

    teacher, data = ModuleTeacher(Net()), WithPrediction()
    expected = teacher.log_probs((data.dataset.tensors[0] + 1) / 100)
    torch.testing.assert_close(cache(teacher, data, **NAMED).table(), expected)
