from nnunet_mamba.report.contents.training_classes import ClassShare, class_shares
from nnunet_mamba.results.confusion import Confusion


def test_shares_are_those_of_the_references_whatever_was_predicted(make_model):
    model = make_model("A", {"a": 0, "b": 20, "c": Confusion(tp=0, fp=50, fn=0, tn=50)})
    assert class_shares(model.cases) == [ClassShare(label="lesion", n_cases=2, of_cases=3, share=40 / 300)]
    assert class_shares([]) == []
