from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from numbered_images import numbers_in
from torch import nn
from torch.nn import functional as F

from lt_callbacks.corruption import Imbalance, Noise, build_manifest
from lt_callbacks.data import DeviceLoader, LongTailedDataModule, Source, WorkerLoader, datamodule, digits
from lt_callbacks.data.fingerprint import data_fingerprint

CORRUPTION = {"imbalance": Imbalance(factor=4), "noise": Noise(kind="symmetric", ratio=0.3)}


class Recorder(L.LightningModule):
    """A linear classifier that keeps which samples it saw."""

    def __init__(self, num_pixels: int, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(num_pixels, num_classes))
        self.trained_on: list[tuple[int, list[int]]] = []
        self.validated_on: list[int] = []

    def training_step(self, batch, batch_idx):
        images, labels, index = batch
        self.trained_on.append((self.current_epoch, index.tolist()))
        return F.cross_entropy(self.layers(images), labels)

    def validation_step(self, batch, batch_idx):
        self.validated_on += batch[2].tolist()

    def test_step(self, batch, batch_idx):
        self.log("accuracy", (self.layers(batch[0]).argmax(dim=1) == batch[1]).float().mean())

    def predict_step(self, batch, batch_idx):
        return batch[2]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    def samples_of(self, epoch: int) -> list[int]:
        return sum((index for at, index in self.trained_on if at == epoch), [])


def trainer(**changes: object) -> L.Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return L.Trainer(**{"max_epochs": 2, "accelerator": "cpu", "num_sanity_val_steps": 0, **quiet, **changes})


def corrupted(source: Source, **changes: object) -> LongTailedDataModule:
    return LongTailedDataModule(source=source, **{**CORRUPTION, "batch_size": 32, "num_workers": 0, **changes})


def test_attributes_say_what_the_manifest_says(numbered_source: Source):
    module = corrupted(numbered_source, corruption_seed=7)
    manifest = build_manifest(numbered_source.train.labels, dataset="numbered", num_classes=4, seed=7, **CORRUPTION)
    assert module.manifest == manifest
    assert (module.num_classes, module.num_samples, module.image_shape) == (4, len(manifest), (2, 4, 4))
    assert module.class_names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(module.given_labels, manifest.given_labels)
    np.testing.assert_array_equal(module.true_labels, manifest.true_labels)
    for counts, labels in ((module.class_counts, module.given_labels), (module.true_class_counts, module.true_labels)):
        expected = [sum(labels[i] == label for i in module.train_indices) for label in range(4)]
        assert counts.tolist() == expected
    assert module.class_counts.tolist() != module.true_class_counts.tolist()


def test_train_and_validation_share_out_the_corrupted_set(numbered_source: Source):
    module = corrupted(numbered_source, validation_fraction=0.2)
    together = np.concatenate([module.train_indices, module.val_indices])
    np.testing.assert_array_equal(np.sort(together), np.arange(module.num_samples))
    assert len(module.val_indices) == round(0.2 * module.num_samples)
    assert (module.class_counts > 0).all()
    given = np.bincount(module.given_labels[module.val_indices], minlength=4)
    assert (np.abs(given - 0.2 * np.bincount(module.given_labels)) < 1).all()


@pytest.mark.parametrize("residence", ["device", "workers"])
@pytest.mark.parametrize("part", ["train", "val", "predict"])
def test_index_image_and_given_label_belong_together(numbered_source: Source, residence: str, part: str):
    module = corrupted(numbered_source, residence=residence)
    loader = getattr(module, f"{part}_dataloader")()
    assert isinstance(loader, DeviceLoader if residence == "device" else WorkerLoader)
    seen = []
    for images, labels, index in loader:
        # the picture says which position of the original set it is
        assert numbers_in(images) == module.manifest.indices[index].tolist()
        assert labels.tolist() == module.given_labels[index].tolist()
        seen += index.tolist()
    expected = module.val_indices if part == "val" else module.train_indices
    assert sorted(seen) == expected.tolist()
    assert (seen == expected.tolist()) == (part != "train")


@pytest.mark.parametrize("residence", ["device", "workers"])
def test_test_batches_are_the_clean_test_set_in_order(numbered_source: Source, residence: str):
    seen = []
    for images, labels, index in corrupted(numbered_source, residence=residence, eval_batch_size=7).test_dataloader():
        assert numbers_in(images) == (1000 + index).tolist()
        assert labels.tolist() == numbered_source.test.labels[index].tolist()
        seen += index.tolist()
    assert seen == list(range(40))


def test_corruption_and_training_have_seeds_of_their_own(numbered_source: Source):
    def order(module: LongTailedDataModule) -> list[int]:
        return torch.cat([index for _, _, index in module.train_dataloader()]).tolist()

    first, retrained, recorrupted = (
        corrupted(numbered_source, corruption_seed=corruption_seed, seed=seed)
        for corruption_seed, seed in ((0, 0), (0, 1), (1, 0))
    )
    assert retrained.manifest == first.manifest
    assert retrained.fingerprint == first.fingerprint
    np.testing.assert_array_equal(retrained.val_indices, first.val_indices)
    assert order(retrained) != order(first)
    assert recorrupted.manifest != first.manifest
    assert recorrupted.fingerprint != first.fingerprint


def test_global_random_state_does_not_matter_and_is_kept(numbered_source: Source):
    source = replace(numbered_source, crop_padding=1, flip=True)

    def batches(global_seed: int) -> list[tuple[torch.Tensor, ...]]:
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)  # noqa: NPY002
        torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
        result = list(corrupted(source).train_dataloader())
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002
        return result

    for first, second in zip(batches(1), batches(2), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_only_training_batches_are_augmented(numbered_source: Source):
    module = corrupted(replace(numbered_source, crop_padding=2))

    def is_plain(images: torch.Tensor) -> bool:
        return bool((images == images[:, :, 1:2, 1:2]).all())

    assert not all(is_plain(images) for images, _, _ in module.train_dataloader())
    for loader in (module.val_dataloader(), module.predict_dataloader(), module.test_dataloader()):
        assert all(is_plain(images) for images, _, _ in loader)
    plain = corrupted(replace(numbered_source, crop_padding=2), augment=False)
    assert all(is_plain(images) for images, _, _ in plain.train_dataloader())


def test_a_manifest_or_its_file_replaces_the_settings(numbered_source: Source, tmp_path: Path):
    made = corrupted(numbered_source, corruption_seed=3)
    path = made.manifest.save(tmp_path / "manifest.json")
    for manifest in (made.manifest, path, str(path)):
        module = LongTailedDataModule(source=numbered_source, manifest=manifest, corruption_seed=3)
        assert module.manifest == made.manifest
        assert module.fingerprint == made.fingerprint


def test_without_settings_the_data_stay_clean(numbered_source: Source):
    module = LongTailedDataModule(source=numbered_source)
    assert module.num_samples == 300
    np.testing.assert_array_equal(module.given_labels, numbered_source.train.labels)


def test_residence_follows_kind_and_size(numbered_source: Source, file_source: Source, monkeypatch: pytest.MonkeyPatch):
    assert corrupted(numbered_source).residence == "device"
    assert corrupted(numbered_source, residence="workers").residence == "workers"
    files = LongTailedDataModule(source=file_source, num_workers=0)
    assert files.residence == "workers"
    assert next(iter(files.train_dataloader()))[0].shape == (22, 3, 8, 8)
    monkeypatch.setattr(datamodule, "DEVICE_LIMIT_BYTES", numbered_source.train.images.nbytes - 1)
    assert corrupted(numbered_source).residence == "workers"


def test_loaders_share_the_images_in_memory(numbered_source: Source):
    module = corrupted(numbered_source)
    train, val, predict = module.train_dataloader(), module.val_dataloader(), module.predict_dataloader()
    assert train.images is val.images is predict.images


def test_two_epochs_on_digits_see_every_sample_in_new_orders():
    module = LongTailedDataModule(source=digits(), imbalance=Imbalance(factor=20), noise=CORRUPTION["noise"])
    model = Recorder(64, 10)
    fit = trainer()
    fit.fit(model, module)
    for epoch in (0, 1):
        assert sorted(model.samples_of(epoch)) == module.train_indices.tolist()
    assert model.samples_of(0) != model.samples_of(1)
    assert sorted(set(model.validated_on)) == module.val_indices.tolist()
    # an index order per (seed, epoch), whoever runs the loop
    loader = module.train_dataloader()
    loader.sampler.set_epoch(1)
    assert torch.cat([index for _, _, index in loader]).tolist() == model.samples_of(1)

    predicted = torch.cat(fit.predict(model, module))
    assert predicted.tolist() == module.train_indices.tolist()
    assert 0 < fit.test(model, module, verbose=False)[0]["accuracy"] <= 1


@pytest.mark.parametrize(
    ("residence", "sampling"), [("device", "shuffled"), ("workers", "shuffled"), ("device", "class_balanced")]
)
def test_a_run_resumed_from_any_checkpoint_ends_with_the_same_weights(tmp_path: Path, residence: str, sampling: str):
    source = digits()

    def run(ckpt_path: Path | None = None, *callbacks: L.Callback) -> Recorder:
        torch.manual_seed(0)
        model = Recorder(64, 10)
        module = LongTailedDataModule(
            source=source,
            imbalance=Imbalance(factor=20),
            batch_size=100,
            residence=residence,
            num_workers=0,
            sampling=sampling,
        )
        fit = trainer(max_epochs=3, callbacks=list(callbacks), enable_checkpointing=bool(callbacks))
        fit.fit(model, module, ckpt_path=ckpt_path)
        return model

    every_step = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    every_epoch = ModelCheckpoint(tmp_path, filename="after-{epoch}", save_top_k=-1)
    straight = run(None, every_step, every_epoch)
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) == 12 + 3
    for checkpoint in checkpoints:
        resumed = run(checkpoint)
        rest = len(straight.trained_on) - len(resumed.trained_on)
        assert resumed.trained_on == straight.trained_on[rest:]
        for expected, got in zip(straight.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(expected, got), checkpoint.name


@pytest.mark.parametrize("residence", ["device", "workers"])
def test_class_balanced_batches_have_all_given_classes_alike(numbered_source: Source, residence: str):
    settings = {"sampling": "class_balanced", "residence": residence, "num_workers": 0, "validation_fraction": 0.1}
    module = corrupted(numbered_source, **settings)
    plain = corrupted(numbered_source, validation_fraction=0.1)
    model = Recorder(32, 4)
    fit = trainer(max_epochs=30)
    fit.fit(model, module)
    seen = np.concatenate([model.samples_of(epoch) for epoch in range(30)])
    assert len(seen) == 30 * len(module.train_indices)
    assert set(seen) <= set(module.train_indices.tolist())
    share = np.bincount(module.given_labels[seen], minlength=4) / len(seen)
    assert module.class_counts.max() > 2 * module.class_counts.min()
    assert np.abs(share - 0.25).max() < 4 * (0.25 * 0.75 / len(seen)) ** 0.5
    assert model.samples_of(0) != model.samples_of(1)
    # Everything that is not trained on comes once and in order.
    assert torch.cat(fit.predict(model, module)).tolist() == plain.train_indices.tolist()
    assert sorted(set(model.validated_on)) == plain.val_indices.tolist()
    assert module.class_counts.tolist() == plain.class_counts.tolist()


def test_sampling_is_part_of_what_a_teacher_is_trained_on(numbered_source: Source):
    plain, balanced = corrupted(numbered_source), corrupted(numbered_source, sampling="class_balanced")
    assert plain.fingerprint == corrupted(numbered_source, sampling="shuffled").fingerprint
    assert plain.fingerprint == data_fingerprint(
        numbered_source,
        plain.manifest.indices,
        manifest_sha256=plain.manifest.sha256,
        split={"validation_fraction": plain.validation_fraction, "seed": plain.corruption_seed},
        augment=plain.augment,
    )
    assert balanced.fingerprint != plain.fingerprint
    assert len(balanced.fingerprint) == 64


def test_overfitting_sees_the_same_batches_in_each_epoch(numbered_source: Source):
    model = Recorder(32, 4)
    trainer(overfit_batches=2).fit(model, corrupted(numbered_source))
    assert model.samples_of(0) == model.samples_of(1)
    assert len(model.samples_of(0)) == 64


def test_without_validation_there_is_nothing_to_validate_on(numbered_source: Source):
    module, model = corrupted(numbered_source, validation_fraction=0), Recorder(32, 4)
    trainer(max_epochs=1).fit(model, module)
    assert model.validated_on == []
    assert sorted(model.samples_of(0)) == list(range(module.num_samples))
    assert len(module.val_indices) == 0


@pytest.mark.ddp
@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
def test_ranks_share_out_every_sample_once(numbered_source: Source, tmp_path: Path):
    class Sharing(Recorder):
        def on_train_end(self):
            content = [self.samples_of(0), self.samples_of(1), self.validated_on]
            (tmp_path / f"{self.global_rank}.json").write_text(json.dumps(content))

    module = corrupted(numbered_source, batch_size=10, eval_batch_size=3)
    trainer(devices=2, strategy="ddp_fork").fit(Sharing(32, 4), module)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    for epoch in (0, 1):
        assert sorted(ranks[0][epoch] + ranks[1][epoch]) == module.train_indices.tolist()
    assert sorted(ranks[0][2] + ranks[1][2]) == sorted([*module.val_indices, *module.val_indices])


def test_setup_can_be_called_again(numbered_source: Source):
    module = corrupted(numbered_source)
    before = module.manifest
    module.setup("fit")
    module.setup("fit")
    module.setup("test")
    assert module.manifest is before


def test_a_test_without_a_test_set_is_refused_before_it_starts(numbered_source: Source):
    module = corrupted(replace(numbered_source, test=None))
    message = "`source` must have a test set to be tested on; got 'numbered', which has none. Add one"
    with pytest.raises(ValueError, match=message):
        module.setup("test")
    with pytest.raises(ValueError, match=message):
        module.test_dataloader()
    module.setup("fit")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"corruption_seed": -1}, ValueError, "`corruption_seed` must be an integer >= 0; got -1"),
        ({"seed": 0.5}, TypeError, "`seed` must be an integer >= 0; got 0.5"),
        (
            {"validation_fraction": 1.0},
            ValueError,
            "`validation_fraction` must be a finite number >= 0 and < 1; got 1.0",
        ),
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer >= 1; got 0"),
        ({"eval_batch_size": 0}, ValueError, "`eval_batch_size` must be an integer >= 1; got 0"),
        ({"num_workers": -1}, ValueError, "`num_workers` must be an integer >= 0; got -1"),
        ({"augment": "flip"}, TypeError, "`augment` must be True or False; got 'flip'. The source says how"),
        (
            {"sampling": "balanced"},
            ValueError,
            "`sampling` must be one of 'shuffled', 'class_balanced'; got 'balanced'",
        ),
        ({"residence": "gpu"}, ValueError, "`residence` must be one of 'auto', 'device', 'workers'; got 'gpu'"),
    ],
)
def test_settings_out_of_range_are_refused(
    numbered_source: Source, changes: dict[str, object], error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        corrupted(numbered_source, **changes)


def test_image_files_do_not_live_on_the_device(file_source: Source):
    with pytest.raises(
        ValueError, match="`residence` must be 'workers' or 'auto' for image files, .*; got 'device'. Change"
    ):
        LongTailedDataModule(source=file_source, residence="device")


def test_a_manifest_of_other_data_is_refused(numbered_source: Source):
    module = corrupted(digits())
    with pytest.raises(
        ValueError, match="`manifest` must have the source's 4 classes; got 10. It was made from 'digits'"
    ):
        LongTailedDataModule(source=numbered_source, manifest=module.manifest)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_made_on_the_trainer_s_device():
    class OnDevice(Recorder):
        def training_step(self, batch, batch_idx):
            assert all(part.is_cuda for part in batch)
            return super().training_step(batch, batch_idx)

    module = LongTailedDataModule(source=digits(), imbalance=Imbalance(factor=20))
    trainer(accelerator="gpu", devices=1).fit(OnDevice(64, 10), module)
    assert module.train_dataloader().images.is_cuda


def test_the_next_training_loader_goes_on_where_the_saved_one_was(numbered_source: Source):
    saved = corrupted(numbered_source, batch_size=4)
    assert saved.state_dict() == {}
    loader = saved.train_dataloader()
    loader.sampler.set_epoch(1)
    batches = iter(loader)
    first = [next(batches)[2] for _ in range(2)]
    state = saved.state_dict()
    rest = [index for _, _, index in batches]
    assert rest

    resumed = corrupted(numbered_source, batch_size=4)
    resumed.load_state_dict(state)
    loader = resumed.train_dataloader()
    loader.sampler.set_epoch(1)
    assert torch.equal(torch.cat([index for _, _, index in loader]), torch.cat(rest))
    # Once: what is made after it is a loader like any other.
    again = resumed.train_dataloader()
    again.sampler.set_epoch(1)
    assert torch.equal(torch.cat([index for _, _, index in again]), torch.cat([*first, *rest]))
