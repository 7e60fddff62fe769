import pytest

from nnunet_mamba.results.plans import data_identifier, inherited


def test_entries_come_from_the_nearest_configuration_that_has_them():
    configurations = {
        "base": {"patch_size": [8, 8], "batch_size": 2},
        "2d": {"inherits_from": "base", "batch_size": 5},
        "large": {"inherits_from": "2d", "patch_size": [16, 16]},
    }
    assert inherited(configurations, "large") == {"inherits_from": "2d", "patch_size": [16, 16], "batch_size": 5}


@pytest.mark.parametrize(
    ("name", "configurations"),
    [("3d", {"2d": {}}), ("a", {"a": {"inherits_from": "b"}}), ("c", {"c": {"inherits_from": 3}}), ("d", {"d": "2d"})],
)
def test_a_configuration_that_is_not_there_is_told(name, configurations):
    with pytest.raises(ValueError, match="there is no configuration"):
        inherited(configurations, name)


def test_configurations_that_inherit_in_a_circle_are_told():
    circle = {"a": {"inherits_from": "b"}, "b": {"inherits_from": "a"}}
    with pytest.raises(ValueError, match="a, b inherit from each other in a circle"):
        inherited(circle, "a")


def test_the_folder_of_preprocessed_data_is_named_by_its_configuration():
    assert data_identifier({"data_identifier": "nnUNetPlans_2d"}, where="plans.json") == "nnUNetPlans_2d"


@pytest.mark.parametrize("configuration", [{}, {"data_identifier": None}, {"data_identifier": ""}])
def test_a_configuration_without_a_folder_is_told(configuration):
    with pytest.raises(ValueError, match=r"^plans\.json has the data_identifier .*, expected the name of a folder$"):
        data_identifier(configuration, where="plans.json")
