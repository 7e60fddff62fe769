"""What an experiment is: a printed table, and how its trainings are run here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nnunet_mamba.data.splits.held_out import held_out_name
from nnunet_mamba.data.writing.dataset_folder import dataset_name

# The only fold of ``held_out_name``'s splits: it validates with what the paper tests with.
FOLD = 0


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """A data set as an experiment has it converted.

    Args:
        dataset: of ``published_results.DATASETS``, by which a user gives its files.
        number: of nnU-Net's data set.
        name: of nnU-Net's data set, behind the number.
        split: whose test cases fold 0 is validated with, see ``held_out_name``; "" where all images are an external
            test.
        n_images: of the paper.
        size: side of the square that whole images are resized to, in pixels; None keeps their size.
        sigmoid: whether the network has a sigmoid output for each label.
        with_validation_part: whether a challenge's validation part is among the images.
    """

    dataset: str
    number: int
    name: str
    split: str
    n_images: int
    size: int | None = 256
    sigmoid: bool = True
    with_validation_part: bool = True

    @property
    def folder_name(self) -> str:
        """The name of nnU-Net's data set."""
        return dataset_name(self.number, self.name)

    @property
    def split_name(self) -> str:
        """The split as a conversion takes it."""
        return held_out_name(self.split)


@dataclass(frozen=True, kw_only=True)
class MethodChange:
    """What one method of a table has that is not in its network.

    Args:
        teacher: trainer of the network that it learns from; "" where it learns from none.
        missing: why it cannot be trained here, a sentence; "" where it can.
        data: other data, by data set.
    """

    teacher: str = ""
    missing: str = ""
    data: Mapping[str, PreparedData] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A printed table, and how its trainings are run here. Methods, numbers and networks are those of its rows.

    Args:
        name: on the command line.
        paper: of ``published_results.PAPERS``.
        table: as printed, with "Table".
        data: that its trainings take, by data set.
        trainer: of the paper's own network: its recipe is that of the table.
        recipe: suffix of the trainers' names.
        repeats: seeds that each training is run with.
        tests: data sets that are an external test, with the data sets whose models are tested.
        methods: those that differ in more than their network.
        differences: what is not as in the paper, in sentences.
    """

    name: str
    paper: str
    table: str
    data: Mapping[str, PreparedData]
    trainer: str
    recipe: str = "paper"
    repeats: int = 1
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    methods: Mapping[str, MethodChange] = field(default_factory=lambda: MappingProxyType({}))
    differences: tuple[str, ...] = ()

    @property
    def all_data(self) -> list[PreparedData]:
        """All data sets, those of single methods too, each once."""
        of_methods = [data for change in self.methods.values() for data in change.data.values()]
        return list(dict.fromkeys([*self.data.values(), *of_methods]))

    def data_of(self, method: str, dataset: str) -> PreparedData:
        """Return the data of a method.

        Args:
            method: as printed.
            dataset: of the experiment's.
        """
        change = self.methods.get(method)
        return change.data[dataset] if change is not None and dataset in change.data else self.data[dataset]
