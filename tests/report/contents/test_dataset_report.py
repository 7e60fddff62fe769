import pytest

from nnunet_mamba.report.contents.dataset_report import report_of
from nnunet_mamba.report.contents.gathering import ReportRequest, gather

FOLDS = {"0": {"a": 10, "b": 20}, "1": {"c": 5}}


def report_on(**options):
    return report_of(gather(ReportRequest(dataset="1", **options)), costs={})


@pytest.mark.parametrize("trainers", [("A", "B"), ("B", "A")])
def test_models_on_other_cases_are_refused_in_either_order(write_training, trainers):
    write_training("A", FOLDS)
    write_training("B", {"0": {"a": 10}, "1": {"c": 5}})
    with pytest.raises(ValueError, match=r"were scored on other cases, 1 only in A \(b\)"):
        report_on(trainers=trainers)


def test_a_training_without_a_seed_is_told_among_its_seeds(write_training):
    for trainer in ("A_2epochs", "A_2epochs_seed2"):
        write_training(trainer, FOLDS)
    assert dict(report_on().facts)["Seeds"] == "A_2epochs: none was set, 2"
