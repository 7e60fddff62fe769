"""Networks that tell what an image shows: reading labelled images, training, predicting, and weights to begin with."""

from nnunet_mamba.classification.cifar_files import read_cifar
from nnunet_mamba.classification.classifier import Classifier
from nnunet_mamba.classification.image_folders import read_class_folders, read_label_table, read_labelled_images
from nnunet_mamba.classification.labelled_images import LabelledImages
from nnunet_mamba.classification.settings import ClassifierSettings
from nnunet_mamba.classification.training import ClassifierTraining, train_classifier

__all__ = [
    "Classifier",
    "ClassifierSettings",
    "ClassifierTraining",
    "LabelledImages",
    "read_cifar",
    "read_class_folders",
    "read_label_table",
    "read_labelled_images",
    "train_classifier",
]
