"""A trained network in a folder: written by `lt-train`, loaded with its preprocessing anywhere."""

from lt_callbacks.trained_model.facts import ModelFacts
from lt_callbacks.trained_model.folder import load_model, read_model_facts, save_model
from lt_callbacks.trained_model.predict_files import Prediction, predict_files
from lt_callbacks.trained_model.trained_model import TrainedModel

__all__ = [
    "ModelFacts",
    "Prediction",
    "TrainedModel",
    "load_model",
    "predict_files",
    "read_model_facts",
    "save_model",
]
