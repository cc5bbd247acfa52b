"""No line that runs once a step makes the host wait for the GPU."""

from __future__ import annotations

import adsa_small
import gpu_steps
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from no_host_reads import FakeCuda
from torch import nn

from lt_callbacks import DSink, DSinkMixin, ProxyLabelMonitor, ShotAccuracy
from lt_callbacks.adsa import TauEstimator
from lt_callbacks.data.augment import BatchView
from lt_callbacks.data.class_balance import ClassBalance
from lt_callbacks.data.device_loader import DeviceLoader
from lt_callbacks.data.order import EpochOrder
from lt_callbacks.distilled_set import ViewSettings
from lt_callbacks.methods import Classifier
from lt_callbacks.objectives import OBJECTIVES, build_objective
from lt_callbacks.plugins import NaiveDistillation
from lt_callbacks.plugins.dsink.capture import Capture
from lt_callbacks.relabel import LogitSource
from lt_callbacks.relabel.fit import FITTED_ON, add_observations, plain_logits
from lt_callbacks.relabel.source import logits_of
from lt_callbacks.teachers import CachedTeacher, ModuleTeacher
from lt_callbacks.transport import fused

BATCH, CLASSES, SAMPLES = 12, 5, 40


@pytest.fixture
def cuda():
    return FakeCuda()


@pytest.fixture
def _torch_road(monkeypatch):
    # A GPU kernel cannot be started on tensors without values.
    monkeypatch.setattr(fused, "FORCED", False)


class Net(LightningModule):
    """What a user has."""

    def __init__(self) -> None:
        super().__init__()
        self.body = network()

    def forward(self, images):
        return self.body(images)

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0]), batch[1])


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, CLASSES))


def batch():
    return torch.randn(BATCH, 3, 8, 8), torch.arange(BATCH) % CLASSES, torch.arange(BATCH)


def teacher(kind: str):
    if kind == "cached":
        return CachedTeacher(torch.randn(SAMPLES, CLASSES).log_softmax(1))
    return ModuleTeacher(network())


SETTINGS = {
    "as it is": {},
    "running": {"class_marginal": "running"},
    "uniform": {"class_marginal": "uniform"},
    "student": {"class_marginal": "student"},
    "none": {"class_marginal": "none"},
    "queue": {"queue_batches": 2},
    "warmup": {"warmup_epochs": 3},
    "student alone": {"student_weight": 1.0},
}


@pytest.mark.usefixtures("_torch_road")
@pytest.mark.parametrize("kind", ["live", "cached"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_dsink_step(cuda, kind, settings):
    module = type("Robust", (DSinkMixin, Net), {})()
    # Fake tensors are slow: a few sweeps are as good as a hundred.
    fast = {"max_iterations": 3, "on_nonfinite": "ignore", "index_from": 2, **SETTINGS[settings]}
    add = DSink(noise_teacher=teacher(kind), imbalance_teacher=teacher(kind), **fast)
    module.attach_dsink(add)
    # The first step of a fit is looked at on the host, for what D-SINK cannot work with.
    module._dsink_capture._is_checked = True
    cuda.placed(module)
    for _ in range(2):
        given = cuda.placed(batch())
        with cuda.step():
            loss = module.training_step(given, 0)
    assert loss.device == cuda.device
    assert loss.requires_grad
    assert add.last_step.proxy.labels.shape == (BATCH, CLASSES)


@pytest.mark.usefixtures("_torch_road")
def test_naive_distillation(cuda):
    add = NaiveDistillation(noise_teacher=teacher("cached"), imbalance_teacher=teacher("live"))
    add._nonfinite.action = "ignore"
    images, _, index = cuda.placed(batch())
    logits = cuda.placed(torch.randn(BATCH, CLASSES))
    cuda.placed(add)
    with cuda.step():
        add.loss(logits, images, index=index)


class Recorded:
    """In the place of a CUDA event, which needs the device."""

    def record(self):
        pass


@pytest.mark.usefixtures("_torch_road")
def test_what_is_noted_of_a_step_and_the_monitors_sums(cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Recorded)
    add = DSink(noise_teacher=teacher("cached"), imbalance_teacher=teacher("cached"), max_iterations=3)
    module = Net()
    module._dsink_capture = Capture(dsink=add)
    monitor = ProxyLabelMonitor()
    monitor._truth = torch.arange(SAMPLES) % CLASSES
    # The sums are made at the first step, and then moved.
    logits = torch.randn(BATCH, CLASSES)
    images, _, index = given = batch()
    add.loss(logits, images, index=index)
    monitor.on_train_batch_end(None, module, None, given, 0)
    add._nonfinite.check()

    cuda.placed([add, monitor])
    images, _, index = given = cuda.placed(given)
    logits = cuda.placed(logits)
    with cuda.step():
        add.loss(logits, images, index=index)
        monitor.on_train_batch_end(None, module, None, given, 0)
    assert monitor._statistics.num_known.device == cuda.device
    assert add._nonfinite._pending[0].device.type == "cpu", "the count is on its way to the host"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives(cuda, name):
    objective = build_objective(name, settings={})
    objective.prepare(class_counts=torch.arange(CLASSES) + 1, num_samples=SAMPLES, max_epochs=4)
    cuda.placed(objective)
    _, label, index = cuda.placed(batch())
    logits = cuda.placed(torch.randn(BATCH, CLASSES, requires_grad=True))
    for epoch in (0, 3):
        objective.train().set_epoch(epoch)
        with cuda.step():
            loss = objective(logits, label, index)
            objective.weights(label)
            objective.eval()(logits, label, index)
        assert loss.device == cuda.device


def test_a_classifiers_step(cuda):
    classifier = cuda.placed(Classifier(network=network()))
    given = cuda.placed(batch())
    with cuda.step():
        classifier.training_step(given, 0)


@pytest.mark.parametrize(("crop_padding", "flip"), [(0, False), (2, False), (0, True), (2, True)])
@pytest.mark.parametrize("is_class_balanced", [False, True])
def test_batches_that_live_on_the_device(cuda, crop_padding, flip, is_class_balanced):
    labels = torch.arange(SAMPLES) % CLASSES
    loader = DeviceLoader(
        images=torch.zeros(SAMPLES, 3, 8, 8, dtype=torch.uint8),
        labels=labels,
        sampler=EpochOrder(
            indices=torch.arange(SAMPLES),
            batch_size=BATCH,
            shuffle=True,
            class_balance=ClassBalance(labels=labels) if is_class_balanced else None,
        ),
        view=BatchView(mean=(0.5,) * 3, std=(0.2,) * 3, crop_padding=crop_padding, flip=flip),
    )
    cuda.placed(loader)
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        with cuda.step():
            parts = list(loader)
    assert [len(images) for images, *_ in parts] == [12, 12, 12, 4]
    assert {part.device for given in parts for part in given} == {cuda.device}


@pytest.mark.parametrize("kind", ["plain", "views", "weights", "index"])
def test_the_estimator_of_tau(cuda, kind):
    estimator = cuda.placed(TauEstimator(list(range(CLASSES, 0, -1))))
    logits, weight = cuda.placed((torch.randn(BATCH, CLASSES), torch.rand(BATCH)))
    _, intended, index = cuda.placed(batch())
    more = {"weights": {"weight": weight}, "index": {"index": index}}.get(kind, {})
    for _ in range(3):
        with cuda.step():
            estimator.update(logits.expand(3, -1, -1) if kind == "views" else logits, intended, **more)


def test_shot_accuracy(cuda):
    metric = cuda.placed(ShotAccuracy(class_counts=[5, 4, 3, 2, 1]))
    logits = cuda.placed(torch.randn(BATCH, CLASSES))
    _, label, index = cuda.placed(batch())
    with cuda.step():
        metric.update(logits, label)
        metric.update(label, label, index=index)


@pytest.mark.parametrize("fit_on", FITTED_ON)
@pytest.mark.parametrize("mix", ["none", "cutmix"])
def test_what_adsa_copies_does_not_depend_on_the_number_of_batches(cuda, fit_on, mix):
    """Pixels and classes go to the device once; a batch more is not a copy more."""
    distilled = adsa_small.distilled_set()
    samples = torch.arange(len(distilled))
    network = cuda.placed(adsa_small.Net().eval())
    source = LogitSource(of=logits_of(network), device=cuda.device)
    estimators = [cuda.placed(TauEstimator(list(adsa_small.COUNTS))) for _ in range(2)]
    cuda.held(distilled)
    samples = cuda.held(samples)
    found = []
    for estimator, batch_size in zip(estimators, (24, 12), strict=True):
        with cuda.copies() as copies:
            plain = plain_logits(source, distilled, samples, batch_size=batch_size)
            add_observations(
                estimator,
                source,
                distilled,
                samples,
                fit_on=fit_on,
                plain=plain,
                views=ViewSettings(mix=mix),
                num_views=2,
                batch_size=batch_size,
            )
        found.append(copies)
    assert found[0] == found[1]
    assert plain.device == cuda.device


@pytest.mark.parametrize("teachers", ["live", "cached"])
def test_the_watched_training_runs_where_nothing_can_be_watched(teachers):
    """What the next tests do on a GPU, so that they do not rot where there is none."""
    assert gpu_steps.fit("cpu", teachers=teachers, precision="32-true").num_watched == gpu_steps.NUM_WATCHED + 1


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("teachers", ["live", "cached"])
def test_steps_on_a_gpu_do_not_synchronise(teachers, precision):
    watch = gpu_steps.fit("gpu", teachers=teachers, precision=precision)
    assert watch.num_watched == gpu_steps.NUM_WATCHED + 1


@pytest.mark.gpu
@needs_gpu
@pytest.mark.usefixtures("_torch_road")
def test_steps_on_a_gpu_without_the_fused_kernel_do_not_either():
    assert gpu_steps.fit("gpu", teachers="cached", precision="32-true").num_watched == gpu_steps.NUM_WATCHED + 1


@pytest.mark.gpu
@needs_gpu
def test_the_watch_sees_a_loss_that_is_read():
    with pytest.raises(RuntimeError, match="synchronizing CUDA operation"):
        gpu_steps.fit("gpu", teachers="cached", precision="32-true", more=(gpu_steps.ReadsTheLoss(),))
