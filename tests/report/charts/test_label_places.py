import pytest

from nnunet_mamba.report.charts.label_places import Crossing, LabelSpace, Reach, beside

AREA = (0.0, 0.0, 100.0, 100.0)
FAR = Reach(line=10)


def mark(x, y, radius=4.0):
    return x - radius, y - radius, 2 * radius, 2 * radius


def test_a_name_beside_the_edge_goes_to_the_other_side():
    place = LabelSpace(AREA, marks=[]).place((90, 50), (40, 10), gap=5)
    assert (place.box, place.anchor, place.x, place.leader) == ((45, 45, 40, 10), "end", 85, None)
    assert LabelSpace(AREA, marks=[]).place((50, 50), (200, 10), gap=5, reach=FAR) is None


@pytest.mark.parametrize(
    "taken", [{"marks": [(55.0, 45.0, 40.0, 10.0)]}, {"marks": [], "bars": [(60.0, 0.0, 2.0, 99.0)]}]
)
def test_marks_and_bars_are_not_covered(taken):
    assert LabelSpace(AREA, **taken).place((50, 50), (40, 10), gap=5).box == (5, 45, 40, 10)


def test_eight_names_fit_around_a_point():
    space = LabelSpace(AREA, marks=[mark(50, 50)])
    places = [space.place((50, 50), (6, 6), gap=10) for _ in range(9)]
    assert None not in places[:8]
    assert places[8] is None
    assert len({place.box for place in places[:8]}) == 8


def test_a_name_without_room_beside_its_point_gets_a_line_to_it():
    around = [place.box for place in beside((50, 50), (20, 10), gap=6)]
    place = LabelSpace(AREA, marks=[mark(50, 50), *around[2:4]], bars=around[:2]).place(
        (50, 50), (20, 10), gap=6, reach=FAR, crossing=Crossing.BARS
    )
    (x0, y0), (x1, y1) = place.leader
    assert 4 < ((x0 - 50) ** 2 + (y0 - 50) ** 2) ** 0.5 < 6
    left, top, width, height = place.box
    assert left - 1e-6 <= x1 <= left + width + 1e-6
    assert top - 1e-6 <= y1 <= top + height + 1e-6


def test_lines_cross_marks_or_bars_only_where_they_may():
    # A wall, and the point between it and the edge; names fit only beyond it.
    wall = (20.0, -50.0, 4.0, 200.0)
    for taken, least in (({"marks": [wall]}, Crossing.ANY_MARK), ({"marks": [], "bars": [wall]}, Crossing.BARS)):
        for crossing in Crossing:
            place = LabelSpace(AREA, **taken).place((10, 50), (30, 10), gap=5, reach=FAR, crossing=crossing)
            assert (place is not None) == (crossing >= least)


def test_no_name_lies_on_a_line_and_no_line_on_a_name():
    points = [(50, 40 + 4 * n) for n in range(6)]
    space = LabelSpace((-100.0, -100.0, 300.0, 300.0), marks=[mark(*point, 1) for point in points])
    places = [space.place(point, (30, 10), gap=6, reach=FAR) for point in points]
    found = [place for place in places if place is not None]
    assert sum(place.leader is not None for place in found) >= 2
    for place in found:
        for other in found:
            if other.leader is not None and other is not place:
                (x0, y0), (x1, y1) = other.leader
                steps = [(x0 + (x1 - x0) * i / 50, y0 + (y1 - y0) * i / 50) for i in range(51)]
                left, top, width, height = place.box
                assert not any(left < x < left + width and top < y < top + height for x, y in steps)
