from nnunet_mamba.report.contents.chosen_cases import extreme_cases, missed_cases
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.results.confusion import Confusion

EMPTY = Confusion(tp=0, fp=0, fn=0, tn=100)


def models(make_model, *found):
    return [ReportedModel(name=str(place), repeats=[make_model(str(place), each)]) for place, each in enumerate(found)]


def test_best_median_and_worst_by_the_mean_of_all_models(make_model):
    shown = extreme_cases(
        models(make_model, {"a": 20, "b": 2, "c": 10, "d": EMPTY}, {"a": 18, "b": 20, "c": 12, "d": EMPTY})
    )
    assert [(case.why, case.identifier) for case in shown] == [("best", "a"), ("median", "c"), ("worst", "b")]
    assert [round(dice, 3) for dice in shown[0].dice] == [1.0, 0.947]


def test_fewer_cases_are_shown_once(make_model):
    assert [case.why for case in extreme_cases(models(make_model, {"a": 20}))] == ["best"]
    assert extreme_cases(models(make_model, {"a": EMPTY})) == []


def test_a_case_is_missed_if_no_model_finds_it(make_model):
    found = models(make_model, {"a": 2, "b": 2, "c": 0}, {"a": 20, "b": 3, "c": 0})
    assert [case.identifier for case in missed_cases(found)] == ["c", "b"]
    assert missed_cases(found, below=0.1)[0].identifier == "c"
