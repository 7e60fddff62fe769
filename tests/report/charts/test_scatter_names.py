import math

from nnunet_mamba.report.charts.label_places import LabelSpace
from nnunet_mamba.report.charts.scatter_names import CLOUD, Lettering, place_names
from nnunet_mamba.report.charts.scatter_points import Point

LETTERING = Lettering(size=12, line=14, gap=11)


def placed(points, *, area=(0.0, 0.0, 500.0, 300.0), **options):
    def at(point):
        return point.x, point.y

    marks = [(point.x - 7, point.y - 7, 14, 14) for point in points]
    return place_names(points, lambda: LabelSpace(area, marks=marks), LETTERING, at=at, **options)


def test_the_order_that_leaves_most_room_is_taken():
    # From the top, or from the right, one of them gets a leader line.
    points = [Point(name="a name", x=x, y=y) for x, y in ((120, 50), (60, 40), (50, 20))]
    names = placed(points, area=(0.0, 0.0, 150.0, 110.0))
    assert names.cost == (False, 0, 0, 0)
    assert len(names.written) == 3


def test_few_leaders_and_no_numbers_are_better_than_the_reverse():
    free = placed([Point(name="a", x=250, y=150)])
    crowded = placed(
        [Point(name="a long name of many", x=250, y=150 + n) for n in range(20)], area=(200, 100, 100, 100)
    )
    assert free.cost < crowded.cost
    assert crowded.numbered


def test_points_that_are_to_have_a_number_get_one():
    points = [Point(name=name, x=x, y=150) for name, x in (("a", 100), ("b", 300))]
    names = placed(points, numbered=[1])
    assert names.numbered == {1: "b"}
    assert {tuple(name.lines) for name in names.written} == {("a",), ("1",)}


def test_a_cloud_gives_way_to_ones_own_names():
    own = Point(name="mine", x=250, y=150)
    cloud = [Point(name=f"m{n}", x=250 + n % 5, y=150 + n // 5, is_published=True) for n in range(CLOUD)]
    names = placed([*cloud, own])
    assert ("mine",) in {tuple(name.lines) for name in names.written}
    assert names.n_unnamed > 0
    assert len(names.written) + names.n_unnamed == len(cloud) + 1
    assert math.isfinite(names.cost[-1])
