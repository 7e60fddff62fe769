"""Reading charts back from their SVG."""

import xml.etree.ElementTree as ET


def elements(chart, name, style=None):
    """Return the elements of a name, with all of the given classes."""
    wanted = set((style or "").split())
    return [
        each
        for each in ET.fromstring(str(chart)).iter()
        if each.tag == name and wanted <= set(each.get("class", "").split())
    ]


def plotted(chart, name, style=None):
    """Return those of them that lie on the axes, not in the legend below."""
    axes = set(map(ET.tostring, ET.fromstring(str(chart))))
    return [each for each in elements(chart, name, style) if ET.tostring(each) in axes]


def texts(chart, style=None):
    """Return the texts of a chart, whose lines are joined."""
    return ["".join(each.itertext()) for each in elements(chart, "text", style)]


def spot(circle):
    return float(circle.get("cx")), float(circle.get("cy"))
