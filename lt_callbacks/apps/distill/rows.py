"""The rows that `lt-distill` compares, by name: which labels a student learns from."""

from __future__ import annotations

from dataclasses import dataclass

from lt_callbacks.apps.config.distill_schemas import DistillConfig

#: The row that the others are compared with: soft labels as the networks give them.
PLAIN = "soft"


@dataclass(frozen=True)
class Recipe:
    """One row of the table.

    Attributes:
        title: How the table calls it.
        meaning: What it is, for the legend.
        tau: Fixed strength of the calibration; None: none is fixed.
        is_fitted: Whether tau is the one that ADSA fits.
        fit_on: Views that it is fitted on; None: as ``adsa.fit_on`` says.
        is_oracle: Whether the row is the best of several fixed taus on the TEST set: a bound, and never used.
        is_hard: Whether the student learns from intended classes alone.
        is_network: Whether the row is the squeezed networks themselves, trained on all real images.
    """

    title: str
    meaning: str
    tau: float | None = None
    is_fitted: bool = False
    fit_on: str | None = None
    is_oracle: bool = False
    is_hard: bool = False
    is_network: bool = False

    @property
    def needs_set(self) -> bool:
        """Whether there must be a distilled set first."""
        return not self.is_network

    @property
    def needs_labels(self) -> bool:
        """Whether the networks must have labelled it."""
        return not (self.is_network or self.is_hard)


RECIPES: dict[str, Recipe] = {
    "networks": Recipe("networks, all real images", "the networks themselves", is_network=True),
    "hard": Recipe("hard labels", "each image with the class that it was made for", is_hard=True),
    "soft": Recipe("soft labels", "each view with what the networks predict for it", tau=0.0),
    "tau_1": Recipe("soft labels, tau = 1", "soft labels with the whole class prior taken off", tau=1.0),
    "adsa": Recipe("ADSA", "soft labels with as much of the class prior taken off as ADSA finds", is_fitted=True),
    "adsa_plain": Recipe(
        "ADSA, tau from plain images", "ADSA that looks at the images as they are", is_fitted=True, fit_on="plain"
    ),
    "adsa_crops": Recipe("ADSA, tau from crops", "ADSA that looks at crops", is_fitted=True, fit_on="crops"),
    "adsa_mixed": Recipe(
        "ADSA, tau from mixed views", "ADSA that looks at mixed views", is_fitted=True, fit_on="mixed"
    ),
    "adsa_strong": Recipe(
        "ADSA, tau from strong views", "ADSA that looks at strongly varied views", is_fitted=True, fit_on="strong"
    ),
    "oracle": Recipe(
        "oracle tau (test set)", "the best tau, chosen on the test set: a bound, no method", is_oracle=True
    ),
}


def meanings(methods: list[str]) -> dict[str, str]:
    """The legend of a run's table: title of each row -> what it is."""
    return {RECIPES[method].title: RECIPES[method].meaning for method in methods}


def num_students(methods: list[str], config: DistillConfig) -> int:
    """Trainings of students behind these rows of one seed; equal taus are trained once."""
    fixed = {RECIPES[method].tau for method in methods} - {None}
    if any(RECIPES[method].is_oracle for method in methods):
        fixed |= set(config.oracle_taus)
    fitted = {RECIPES[method].fit_on or config.adsa.fit_on for method in methods if RECIPES[method].is_fitted}
    return len(fixed) + len(fitted) + ("hard" in methods)
