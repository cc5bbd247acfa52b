"""Distilled images and their soft labels: views that everybody sees alike, and files that anybody can read."""

from lt_callbacks.distilled_set.compact_labels import compact_error
from lt_callbacks.distilled_set.distilled_set import DistilledSet
from lt_callbacks.distilled_set.image_folder import from_image_folder, to_image_folder
from lt_callbacks.distilled_set.live_labels import LiveLabels
from lt_callbacks.distilled_set.soft_labels import SoftLabels
from lt_callbacks.distilled_set.view_settings import CROPS, MIXES, PLAIN_VIEW, ViewSettings
from lt_callbacks.distilled_set.views import Mixing, Views
from lt_callbacks.distilled_set.write_soft_labels import write_soft_labels

__all__ = [
    "CROPS",
    "MIXES",
    "PLAIN_VIEW",
    "DistilledSet",
    "LiveLabels",
    "Mixing",
    "SoftLabels",
    "ViewSettings",
    "Views",
    "compact_error",
    "from_image_folder",
    "to_image_folder",
    "write_soft_labels",
]
