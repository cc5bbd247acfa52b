# Legend: N distilled images, C classes, V views.
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, SingleDeviceStrategy, XLAStrategy
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from lightning.pytorch.utilities.seed import isolate_rng

from lt_callbacks._checks import as_path
from lt_callbacks._errors import ArgumentError, ArgumentValueError
from lt_callbacks.adsa import TauFit
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, ViewSettings
from lt_callbacks.distilled_set.live_labels import in_eval_mode
from lt_callbacks.plugins.adsa.network import TrainedNetwork, share_buffers, trained_source
from lt_callbacks.plugins.adsa.ranks import TrainerRanks
from lt_callbacks.plugins.adsa.report import ViewLines, log_report, metrics_of
from lt_callbacks.plugins.rank_agreement import watch_ranks
from lt_callbacks.relabel import RelabelledFolder, RelabelSettings, RelabelTask, relabel
from lt_callbacks.relabel.folder import LABELS
from lt_callbacks.relabel.network import check_network
from lt_callbacks.relabel.prior import checked_prior, prior_of_datamodule
from lt_callbacks.relabel.settings import DEFAULT_FIT_ON, DEFAULT_NUM_VIEWS

#: They put averaged weights into the module at `on_train_end`, each in its turn.
_AVERAGING = {"StochasticWeightAveraging", "WeightAveraging"}


class ADSACallback(Callback):
    """Relabels a distilled set with the model when its training ends, without the bias to the head classes.

    The strength tau of the logit adjustment is fitted to the distilled images; calibrated soft labels of V views, the
    same images and a report go to a new folder. The input is not touched. Inputs are checked before the first step.

    The labels are those of the weights that the module holds at ``on_train_end``: put this callback behind one that
    averages weights. A fit that was resumed after its last step relabels too. ``fast_dev_run`` checks and writes
    nothing; a fit that is interrupted writes nothing. A run that is killed while it writes goes on when run again,
    as far as model and tau are the same; views of others are replaced. All ranks must see the same folders.

    Args:
        distilled: Folder of a distilled set.
        output: Folder that the relabelled set goes to: new, or left by a run that was stopped. One a run.
        class_prior: ``"datamodule"``: the counts of the datamodule's ``given_labels`` at its ``train_indices``; or (C,)
            counts or frequencies > 0.
        fit_on: What tau is fitted on. ``"plain"``: the images as they are; ``"crops"``: ``num_fit_views`` unmixed views
            an image; ``"mixed"``: so many views as they are labelled, own and mixed-in class each with its share;
            ``"strong"``: so many hard views, resized crops with CutMix, whatever is labelled. Mixed views count as
            images of their own, so that their interval is on the narrow side.
        num_fit_views: Views that tau is fitted on, >= 1; not read for ``"plain"``.
        views: How images are varied, as `ViewSettings` or its values; None: as in the input's soft labels, without any
            resized crops.
        num_views: V; None: as many as the input's soft labels have, without any 300.
        target_prior: (C,) prior that the labels are wanted under; None: uniform. tau is fitted without it.
        shrink_to: Draw tau to this value as far as the images leave it open; None: no.
        top_k: Keep that many classes a label in 8 bits; None: all, as float16.
        batch_size: Images in a forward pass.
        on_degenerate: What follows alarms: ``"warn"``, or ``"raise"`` before anything is written.

    Attributes:
        tau_fit: The fit, after the training; None before.
        output: The folder.

    Writes ``distilled.json`` and ``images.safetensors`` (the set), ``soft_labels/`` (calibrated logits), ``tau.png``,
    ``confidence.png``, ``images.png`` and ``adsa.json``, which comes last. Logs once: ``adsa/tau``, ``adsa/tau_low``,
    ``adsa/tau_high``, ``adsa/identified``, ``adsa/spread_before``, ``adsa/spread_after`` (standard deviation over
    classes of the mean confidence), ``adsa/num_alarms``; figures where the logger takes images.

    State in the checkpoint: none.

    Reference: ADSA (arXiv 2511.17914).

    Example:
        Two distilled images of each of three classes, and a network that trains for one step:

        >>> import torch
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from lightning.pytorch import LightningModule, Trainer
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from lt_callbacks import ADSACallback
        >>> from lt_callbacks.distilled_set import DistilledSet
        >>> class MyNet(LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = torch.nn.Linear(4, 3)
        ...     def forward(self, images):
        ...         return self.layer(images.flatten(1))
        ...     def training_step(self, batch, batch_idx):
        ...         return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=0.1)
        >>> distilled = DistilledSet(
        ...     images=torch.randint(256, (6, 1, 2, 2), dtype=torch.uint8),
        ...     intended_class=torch.tensor([0, 0, 1, 1, 2, 2]),
        ...     class_names=["ant", "bee", "cat"],
        ...     mean=[0.5],
        ...     std=[0.3],
        ... )
        >>> data = DataLoader(TensorDataset(torch.randn(8, 1, 2, 2), torch.randint(3, (8,))), batch_size=4)
        >>> with TemporaryDirectory() as folder:
        ...     path = distilled.save(Path(folder) / "distilled")
        ...     adsa = ADSACallback(path, output=Path(folder) / "adsa", class_prior=[50, 20, 5], num_views=2)
        ...     Trainer(barebones=True, accelerator="cpu", max_epochs=1, callbacks=[adsa]).fit(MyNet(), data)
        ...     (adsa.output / "adsa.json").is_file()
        True
        >>> -1 <= adsa.tau_fit.tau <= 4
        True
    """

    def __init__(
        self,
        distilled: str | os.PathLike[str],
        *,
        output: str | os.PathLike[str],
        class_prior: Any = "datamodule",
        fit_on: str = DEFAULT_FIT_ON,
        num_fit_views: int = 8,
        views: ViewSettings | Mapping[str, Any] | None = None,
        num_views: int | None = None,
        target_prior: Any = None,
        shrink_to: float | None = None,
        top_k: int | None = None,
        batch_size: int = 256,
        on_degenerate: str = "warn",
    ) -> None:
        self.distilled, self.output = as_path("distilled", distilled), as_path("output", output)
        is_given = not (isinstance(class_prior, str) and class_prior == "datamodule")
        self.class_prior = checked_prior("class_prior", class_prior) if is_given else None
        # Labelled as the input is, where that has labels.
        self._as_before = [name for name, value in (("views", views), ("num_views", num_views)) if value is None]
        self.settings = RelabelSettings(
            fit_on=fit_on,
            num_fit_views=num_fit_views,
            views=ViewSettings() if views is None else views,  # type: ignore[arg-type]  # or their values
            num_views=DEFAULT_NUM_VIEWS if num_views is None else num_views,
            target_prior=target_prior,
            shrink_to=shrink_to,
            top_k=top_k,
            batch_size=batch_size,
            on_degenerate=on_degenerate,
        )
        self.tau_fit: TauFit | None = None
        self._task: RelabelTask | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Reads the set and checks it, the prior, the output and the strategy before the first step of a fit."""
        self._task = None
        if stage != "fit":
            return
        _check_trainer(trainer, self)
        watch_ranks(trainer)
        RelabelledFolder(self.output).check(self.distilled)
        distilled, stored = _load(self.distilled)
        prior = self.class_prior
        if prior is None:
            prior = prior_of_datamodule(getattr(trainer, "datamodule", None), distilled)
        self._task = RelabelTask(
            distilled=distilled,
            class_prior=prior,
            prior_source="datamodule" if self.class_prior is None else "argument",
            settings=self.settings if stored is None else self._filled(stored),
        )

    def _filled(self, stored: SoftLabels) -> RelabelSettings:
        """The settings, with those of the input's labels where nothing else was said."""
        taken: dict[str, Any] = {name: getattr(stored, name) for name in self._as_before}
        return replace(self.settings, **taken)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the logits of a few distilled images, on the device and before the first step."""
        if self._task is not None:
            network = TrainedNetwork(pl_module, precision=trainer.precision_plugin)
            name = type(pl_module).__name__
            with isolate_rng():
                check_network(network, self._task.distilled, device=trainer.strategy.root_device, name=name)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fits tau and writes the labels, while the module is still on its device."""
        task, self._task = self._task, None
        if task is None:
            return
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            rank_zero_warn("ADSACallback writes nothing in a `fast_dev_run`; the inputs were checked.")
            return
        with isolate_rng():
            self.tau_fit = self._relabel(task, trainer, pl_module)

    def _relabel(self, task: RelabelTask, trainer: Trainer, module: LightningModule) -> TauFit:
        """Relabel with all ranks together, and log what was written on rank 0."""
        if trainer.world_size > 1:
            share_buffers(module)
        network, num_views = TrainedNetwork(module, precision=trainer.precision_plugin), task.settings.num_views
        # Once for all batches; each part is left in the mode that it was in.
        with in_eval_mode(network):
            done = relabel(
                task,
                trained_source(network, trainer),
                RelabelledFolder(self.output),
                ranks=TrainerRanks(trainer),
                on_view=ViewLines(num_views),
            )
        fit = done.calibration.label_fit
        if done.report is not None:
            log_report(trainer, metrics_of(done.calibration), done.report)
            rank_zero_info(f"ADSA: tau = {fit.tau:.3f}, {num_views} views labelled, see {str(self.output)!r}")
        return fit

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Relabels where a resumed fit had no step left and therefore no ``on_train_end``."""
        if self._task is None:
            return
        pl_module.to(trainer.strategy.root_device)
        try:
            self.on_train_end(trainer, pl_module)
        finally:
            pl_module.cpu()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Forgets the set: nothing is written."""
        self._task = None


def _check_trainer(trainer: Trainer, callback: Callback) -> None:
    strategy = trainer.strategy
    is_plain = isinstance(strategy, SingleDeviceStrategy | DDPStrategy)
    if not is_plain or isinstance(strategy, DeepSpeedStrategy | XLAStrategy):
        raise ArgumentValueError(
            "strategy",
            rule="leave a whole model on each device for ADSACallback",
            got=type(strategy).__name__,
            way_out="Train on one device or with DDP, or relabel from the checkpoint afterwards "
            "(`lt_callbacks.relabel.relabel`).",
        )
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for other in callbacks[callbacks.index(callback) + 1 :]:
        if _AVERAGING & {kind.__name__ for kind in type(other).__mro__}:
            rank_zero_warn(
                f"ADSACallback must come behind {type(other).__name__} in `callbacks` to label with the averaged "
                "weights; it comes before, and labels with those of the last step. Swap the two."
            )


def _load(folder: Path) -> tuple[DistilledSet, SoftLabels | None]:
    try:
        distilled = DistilledSet.load(folder)
        stored = SoftLabels.open(folder / LABELS, distilled=distilled) if (folder / LABELS).exists() else None
    except ArgumentError as error:
        if error.argument != "folder":
            raise
        raise error.renamed("distilled") from error
    return distilled, stored
