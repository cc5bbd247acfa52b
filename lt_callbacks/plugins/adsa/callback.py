# Legend: N distilled images, C classes, V views.
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, SingleDeviceStrategy, XLAStrategy
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.seed import isolate_rng

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks.adsa import TauEstimator, TauFit
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, ViewSettings
from lt_callbacks.distilled_set.compact_labels import checked_top_k
from lt_callbacks.plugins.adsa.run import Relabelling
from lt_callbacks.relabel.fit import FITTED_ON
from lt_callbacks.relabel.folder import LABELS, RelabelledFolder
from lt_callbacks.relabel.prior import check_length, checked_prior, prior_of_datamodule

#: What tau is fitted on unless asked for otherwise.
DEFAULT_FIT_ON = "strong"
#: Views that are labelled where the input has no soft labels to go by.
DEFAULT_NUM_VIEWS = 300
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
        self.distilled, self.output = _path("distilled", distilled), _path("output", output)
        is_given = not (isinstance(class_prior, str) and class_prior == "datamodule")
        self.class_prior = checked_prior("class_prior", class_prior) if is_given else None
        self.fit_on = one_of("fit_on", fit_on, FITTED_ON)
        self.num_fit_views = integer("num_fit_views", num_fit_views, at_least=1)
        self.views = ViewSettings.from_dict(views) if isinstance(views, Mapping) else views
        if not isinstance(self.views, ViewSettings | None):
            raise TypeError(f"`views` must be ViewSettings, their values or None; got {type(views).__name__}.")
        self.num_views = None if num_views is None else integer("num_views", num_views, at_least=1)
        self.target_prior = None if target_prior is None else checked_prior("target_prior", target_prior)
        self.shrink_to = None if shrink_to is None else real("shrink_to", shrink_to)
        self.top_k = None if top_k is None else integer("top_k", top_k, at_least=1)
        self.batch_size = integer("batch_size", batch_size, at_least=1)
        self.on_degenerate = one_of("on_degenerate", on_degenerate, ("warn", "raise"))
        self.tau_fit: TauFit | None = None
        self._run: Relabelling | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Reads the set and checks it, the prior, the output and the strategy before the first step of a fit."""
        self._run = None
        if stage != "fit":
            return
        _check_trainer(trainer, self)
        folder = RelabelledFolder(self.output)
        folder.check(self.distilled)
        distilled, stored = _load(self.distilled)
        prior = self.class_prior
        if prior is None:
            prior = prior_of_datamodule(getattr(trainer, "datamodule", None), distilled)
        check_length("class_prior", prior, distilled)
        if self.target_prior is not None:
            check_length("target_prior", self.target_prior, distilled)
        if self.top_k is not None:
            checked_top_k(self.top_k, distilled.num_classes)
        # Refuses a prior that is too uneven, or a `shrink_to` outside of the grid.
        TauEstimator(prior, shrink_to=self.shrink_to)
        self._run = Relabelling(
            distilled=distilled,
            class_prior=prior,
            prior_source="datamodule" if self.class_prior is None else "argument",
            folder=folder,
            fit_on=self.fit_on,
            num_fit_views=self.num_fit_views,
            views=self.views or (ViewSettings() if stored is None else stored.views),
            num_views=self.num_views or (DEFAULT_NUM_VIEWS if stored is None else stored.num_views),
            target_prior=self.target_prior,
            shrink_to=self.shrink_to,
            top_k=self.top_k,
            batch_size=self.batch_size,
            on_degenerate=self.on_degenerate,
        )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the logits of a few distilled images, on the device and before the first step."""
        if self._run is not None:
            with isolate_rng():
                self._run.check_network(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fits tau and writes the labels, while the module is still on its device."""
        run, self._run = self._run, None
        if run is None:
            return
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            rank_zero_warn("ADSACallback writes nothing in a `fast_dev_run`; the inputs were checked.")
            return
        with isolate_rng():
            self.tau_fit = run.relabel(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does the same where a resumed fit had no step left and therefore no ``on_train_end``."""
        if self._run is None:
            return
        pl_module.to(trainer.strategy.root_device)
        try:
            self.on_train_end(trainer, pl_module)
        finally:
            pl_module.cpu()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Forgets the set: nothing is written."""
        self._run = None


def _path(name: str, value: object) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise TypeError(f"`{name}` must be the path of a folder; got {value!r}.")
    return Path(value)


def _check_trainer(trainer: Trainer, callback: Callback) -> None:
    strategy = trainer.strategy
    is_plain = isinstance(strategy, SingleDeviceStrategy | DDPStrategy)
    if not is_plain or isinstance(strategy, DeepSpeedStrategy | XLAStrategy):
        raise ValueError(
            f"ADSACallback needs a whole model on each device; got the strategy {type(strategy).__name__}. Train on "
            "one device or with DDP, or relabel from the checkpoint afterwards (`lt_callbacks.adsa.fit_tau`, "
            "`lt_callbacks.distilled_set.write_soft_labels`)."
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
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"`distilled` must be the folder of a whole distilled set. {error}") from error
    return distilled, stored
