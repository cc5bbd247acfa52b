from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from corrupted_data import CORRUPTION, corrupted
from numbered_images import numbers_in

from lt_callbacks.corruption import build_manifest
from lt_callbacks.data import DeviceLoader, LongTailedDataModule, Source, WorkerLoader, datamodule, digits
from lt_callbacks.data.fingerprint import data_fingerprint


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"noise": {"kind": "symmetric", "ratio": 0.4}},
            r"`noise` must be a Noise; got \{.* Pass `Noise\(kind='symmetric'",
        ),
        ({"imbalance": {"factor": 10}}, r"`imbalance` must be an Imbalance; got \{.* Pass `Imbalance\(factor=10\)`"),
        ({"noise": {}}, r"`noise` must be a Noise; got \{\}"),
        ({"noise": ""}, r"`noise` must be a Noise; got ''"),
        ({"manifest": {"noise": 1}}, "`manifest` must be a path: .*; got dict. Or pass what `build_manifest` returned"),
        ({"source": "digits"}, r"`source` must be a Source; got 'digits'. Pass one of lt_callbacks.data"),
        ({"source": {"name": "digits"}}, "`source` must be a Source; got dict"),
    ],
)
def test_dictionaries_and_names_are_refused_with_the_way_out(numbered_source: Source, changes: dict, message: str):
    with pytest.raises(TypeError, match=f"^{message}"):
        LongTailedDataModule(**{"source": numbered_source, **changes})
