from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from adsa_small import hashes
from small_world import CHANNELS, MEAN, NAMES, STD, new_network, pictures, quiet_trainer, trained_network

from lt_callbacks.adsa import calibrate
from lt_callbacks.corruption import Imbalance
from lt_callbacks.data import ImageSet, LongTailedDataModule, Source
from lt_callbacks.dataset_distillation import (
    EDC,
    MeanLogits,
    RandomReal,
    RealImages,
    Student,
    StudentLoss,
    ViewLoader,
    distill_dataset,
    recover_images,
    train_student,
)
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, Views, ViewSettings
from lt_callbacks.methods import Optimisation
from lt_callbacks.models.small_cnn import SmallCNN
from lt_callbacks.relabel import RelabelSettings, RelabelTask, find_calibration, network_source

pytestmark = pytest.mark.filterwarnings("ignore:Over-correction", "ignore:Less than", "ignore:tau = ")

VIEWS = ViewSettings(crop="padded", crop_padding=1, mix="cutmix")
RELABELLING = RelabelSettings(views=VIEWS, num_views=4, fit_on="crops", num_fit_views=2)


def data():
    """Twenty images of the first class, four of the last."""
    labels = np.repeat(np.arange(3), 20)
    train = ImageSet(images=pictures(torch.tensor(labels)), labels=labels)
    source = Source(name="bars", train=train, class_names=NAMES, mean=MEAN, std=STD)
    return LongTailedDataModule(source=source, imbalance=Imbalance(factor=5), validation_fraction=0.0)


def student():
    return Student(
        network=SmallCNN(num_classes=3, in_channels=CHANNELS, width=4),
        loss=StudentLoss(temperature=2.0),
        optimisation=Optimisation(optimizer="adamw", learning_rate=0.01, schedule="constant"),
    )


def trainer(max_epochs):
    return quiet_trainer(max_epochs=max_epochs)


def distill(output, **changes):
    values = {
        "squeeze": lambda _: [trained_network(0), trained_network(1)],
        "distiller": RandomReal(),
        "images_per_class": 3,
        "student": student,
        "trainer": trainer,
        "relabelling": RELABELLING,
        "batch_size": 4,
        "num_passes": 6,
        "seed": 5,
    }
    return distill_dataset(data(), output=output, **{**values, **changes})


def weights(module):
    return torch.cat([value.flatten().double() for value in module.state_dict().values()])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distilled") / "out"
    return folder, distill(folder)


def test_the_images_are_those_of_the_distiller(made):
    folder, found = made
    expected = RandomReal().distil(RealImages.of(data()), [], images_per_class=3, seed=5)
    assert torch.equal(found.distilled.images, expected.images)
    assert DistilledSet.load(folder) == found.distilled
    assert found.distilled.provenance["manifest_sha256"] == data().manifest.sha256


def test_tau_is_fitted_to_the_mean_logits_and_the_counts_of_the_given_labels(made):
    folder, found = made
    teacher = MeanLogits([trained_network(0), trained_network(1)]).eval()
    counts = np.bincount(data().given_labels)
    task = RelabelTask(distilled=found.distilled, class_prior=counts, settings=RELABELLING)
    assert counts.max() > counts.min()
    assert found.calibration.fit.tau == find_calibration(task, network_source(teacher)).fit.tau
    assert json.loads((folder / "adsa.json").read_text())["prior_source"] == "datamodule"


def test_the_labels_are_the_mean_logits_calibrated(made):
    folder, found = made
    everything = torch.arange(len(found.distilled))
    labels = SoftLabels.open(folder / "soft_labels", distilled=found.distilled)
    assert labels.facts == found.labels.facts
    for view in range(4):
        images = Views(found.distilled, VIEWS).images(everything, view)
        with torch.no_grad():
            logits = (trained_network(0).eval()(images) + trained_network(1).eval()(images)) / 2
        expected = calibrate(logits, np.bincount(data().given_labels), found.calibration.label_fit.tau)
        assert torch.allclose(labels.logits(everything, view), expected, atol=1e-2, rtol=1e-3)


def test_the_student_learns_from_these_labels_alone(made):
    _, found = made
    batches = ViewLoader(
        views=Views(found.distilled, VIEWS),
        classes=found.distilled.intended_class,
        labels=found.labels,
        batch_size=4,
        num_passes=6,
        seed=5,
    )
    # Passes go round the four views that are labelled.
    assert torch.equal(weights(found.student), weights(train_student(student, batches, trainer=trainer, seed=5)))


def test_the_networks_are_those_that_were_squeezed(made):
    _, found = made
    assert [torch.equal(weights(net), weights(trained_network(at))) for at, net in enumerate(found.networks)] == [
        True
    ] * 2


def test_everything_is_a_function_of_the_seed_and_touches_no_other_state(made, tmp_path):
    torch.manual_seed(99)
    state = torch.get_rng_state()
    again = distill(tmp_path / "again")
    assert torch.equal(torch.get_rng_state(), state)
    assert hashes(tmp_path / "again") == hashes(made[0])
    assert torch.equal(weights(again.student), weights(made[1].student))
    other = distill(tmp_path / "other", seed=6)
    assert not torch.equal(weights(other.student), weights(made[1].student))
    assert other.distilled != made[1].distilled


def test_networks_are_trained_from_the_seed_on_the_data_given(tmp_path):
    seen = []

    def squeeze(datamodule):
        seen.append((list(datamodule.class_counts), float(torch.rand(()))))
        return [trained_network()]

    for at in range(2):
        distill(tmp_path / str(at), squeeze=squeeze, num_passes=1)
    assert seen[0] == seen[1]
    assert seen[0][0] == list(data().class_counts)


def test_images_may_be_optimised_through_the_networks(tmp_path):
    steps = []
    found = distill(
        tmp_path / "out", distiller=EDC(num_steps=2), on_step=lambda done, total: steps.append((done, total))
    )
    assert found.distilled.provenance["num_networks"] == 2
    assert steps[-1] == (2, 2)


def test_a_folder_that_cannot_be_written_to_is_refused_before_any_training(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")

    def squeeze(_):
        raise AssertionError("trained")

    with pytest.raises(ValueError, match="^`output` must be new or empty"):
        distill(tmp_path / "out", squeeze=squeeze)


def test_a_run_that_was_stopped_while_it_labelled_goes_on(made, tmp_path, monkeypatch):
    write = SoftLabels.write

    def stop(labels, view, logits):
        if view == 2:
            raise KeyboardInterrupt
        write(labels, view, logits)

    monkeypatch.setattr(SoftLabels, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        distill(tmp_path / "out")
    monkeypatch.undo()
    kept = (tmp_path / "out" / "soft_labels" / "view-00001.safetensors").stat().st_mtime_ns
    distill(tmp_path / "out")
    assert (tmp_path / "out" / "soft_labels" / "view-00001.safetensors").stat().st_mtime_ns == kept
    assert hashes(tmp_path / "out") == hashes(made[0])


def test_recovered_images_do_not_depend_on_what_was_drawn_before():
    sets = []
    for before in (1, 2):
        torch.manual_seed(before)
        sets.append(recover_images(RandomReal(), data(), [], images_per_class=2, seed=3, device="cpu"))
    assert sets[0] == sets[1]


def test_a_student_starts_from_its_seed():
    starts = []

    def start():
        made = student()
        starts.append(weights(made))
        return made

    distilled = recover_images(RandomReal(), data(), [], images_per_class=2, seed=3, device="cpu")
    settings = {"classes": distilled.intended_class, "labels": None, "batch_size": 3, "num_passes": 1}
    for seed in (1, 1, 2):
        batches = ViewLoader(views=Views(distilled, VIEWS), **settings)
        with pytest.raises(ValueError, match="`soft_logits` must be given"):
            train_student(start, batches, trainer=trainer, seed=seed)
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert weights(new_network()).shape == starts[0].shape
