"""A report of a comparison, section by section, in the order in which people ask."""

from __future__ import annotations

from collections.abc import Sequence

from lt_callbacks.apps.report.figures import accuracy_pictures, gain_pictures, not_drawn, shot_picture
from lt_callbacks.apps.report.glance import at_a_glance
from lt_callbacks.apps.report.jobs import about_jobs
from lt_callbacks.apps.report.material import Material
from lt_callbacks.apps.report.origin import about_origin, about_settings
from lt_callbacks.evaluation import Comparison
from lt_callbacks.evaluation.comparison.conclusion import conclusions
from lt_callbacks.evaluation.comparison.training_costs import teacher_totals
from lt_callbacks.evaluation.pages.report_blocks import Block, Paragraph, Section
from lt_callbacks.evaluation.pages.setting_tables import accuracy_table, costs_table, gains_table, shares_table


def sections_of(material: Material) -> list[Section]:
    """All sections of the report; those about nothing are left out."""
    found = [
        Section(title="At a glance", blocks=_told_as_list(at_a_glance(material))),
        Section(title="Accuracy", blocks=_accuracy(material)),
        *_gain(material),
        _shares(material),
        Section(title="Time", blocks=[*_teachers(material.comparison), costs_table(material.comparison)]),
        Section(title="Jobs", blocks=about_jobs(material)),
        Section(title="Settings", blocks=about_settings(material.comparison)),
        Section(title="Origin", blocks=about_origin(material)),
    ]
    return [section for section in found if section.blocks]


def about_unaffected(found: Comparison) -> list[str]:
    """Sentences about methods whose results are the same at all values of an axis."""
    return [f"The same at every {axis}: {', '.join(methods)}." for axis, methods in found.unaffected().items()]


def _accuracy(material: Material) -> list[Block]:
    found, group_by = material.comparison, material.group_by
    note = not_drawn(found, group_by=group_by)
    return [
        accuracy_table(found, material.rows),
        *_told(conclusions(material.rows)),
        *_told(about_unaffected(found)),
        *accuracy_pictures(found, group_by=group_by),
        *_told([note] if note else []),
    ]


def _gain(material: Material) -> list[Section]:
    found, compared = material.comparison, material.compared
    if compared is None:
        return []
    table = gains_table(found, method=compared.method, against=compared.against)
    if table is None:
        return []
    pictures = gain_pictures(found, compared, group_by=material.group_by)
    return [Section(title=f"Gain of {compared.method}", blocks=[table, *pictures])]


def _shares(material: Material) -> Section:
    found = material.comparison
    bars = shot_picture(found, group_by=material.group_by)
    table = shares_table(found, material.rows)
    if bars is None:
        return Section(title="All shares", blocks=[table])
    return Section(title="Many, medium and few", blocks=[bars, table])


def _teachers(found: Comparison) -> list[Block]:
    trained, reused = teacher_totals(found)
    if not trained + reused:
        return []
    return _told([f"Teachers: {trained} trained, {reused} taken from the store. Each counts once a file and seed."])


def _told(sentences: Sequence[str]) -> list[Block]:
    return [Paragraph(text=sentence) for sentence in sentences]


def _told_as_list(sentences: Sequence[str]) -> list[Block]:
    return [Paragraph(items=tuple(sentences))] if sentences else []
