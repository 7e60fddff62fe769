from nnunet_mamba.training.step_diagnosis import Diagnosis, Suspicion, causes_and_reasons


def diagnosis(suspicion=Suspicion.SHARED, cause="the loss is nan", where=None, cases=("a",)):
    return Diagnosis(cause=cause, where=where, cases=cases, suspicion=suspicion)


def test_one_process_is_not_called_one_of_several():
    cause, reason = causes_and_reasons([diagnosis(where="The first layer is conv.", cases=("a", "b"))])
    assert cause == "the loss is nan"
    assert reason == "the loss is nan. The first layer is conv. Cases of this batch: a, b."


def test_innocent_batches_are_not_named():
    # A Dice over the batches of all processes makes every loss NaN.
    diagnoses = [
        diagnosis(cases=("innocent",)),
        diagnosis(Suspicion.OUTPUT, cases=("guilty",)),
        diagnosis(Suspicion.ELSEWHERE, "the loss is not finite in another process", cases=("innocent too",)),
    ]
    cause, reason = causes_and_reasons(diagnoses)
    assert cause == "the loss is nan in process 1"
    assert reason == "the loss is nan in process 1. Cases of this batch: guilty."


def test_where_only_images_tell_all_that_have_foreign_ones_are_named():
    diagnoses = [
        diagnosis(Suspicion.OUTPUT, cases=("innocent",)),
        diagnosis(Suspicion.IMAGES, where="In x.", cases=("x",)),
        diagnosis(Suspicion.IMAGES, where="In y.", cases=("y",)),
    ]
    _, reason = causes_and_reasons(diagnoses)
    assert reason.splitlines() == [
        "the loss is nan in process 1. In x. Cases of this batch: x.",
        "the loss is nan in process 2. In y. Cases of this batch: y.",
    ]


def test_of_gradients_that_all_share_all_cases_are_suspects():
    diagnoses = [diagnosis(cause="gradients are not finite", cases=(case,)) for case in ("b", "a")]
    assert causes_and_reasons(diagnoses)[1] == "gradients are not finite. Cases of this batch: a, b."
