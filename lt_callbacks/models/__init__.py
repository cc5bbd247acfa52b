"""The networks of the field's benchmarks, and those of torchvision and timm by name."""

from lt_callbacks.models.build import NETWORKS, build_model
from lt_callbacks.models.cifar_resnet import CifarResNet
from lt_callbacks.models.heads import CosineHead
from lt_callbacks.models.preact_resnet18 import PreActResNet18
from lt_callbacks.models.small_cnn import SmallCNN

__all__ = ["NETWORKS", "CifarResNet", "CosineHead", "PreActResNet18", "SmallCNN", "build_model"]
