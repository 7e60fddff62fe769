import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from nnunet_mamba.web.runtime_files import read_runtime
from nnunet_mamba.web.single_file import single_file

MODEL = {"name": "a-model", "note": "</script><!-- <b>"}
NETWORK = b"an ONNX file" * 100


class Elements(HTMLParser):
    """Collects the elements of a page, with their text."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.is_open = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])
        self.is_open = True

    def handle_data(self, data):
        if self.is_open:
            self.found[-1][2] += data

    def handle_endtag(self, tag):
        self.is_open = False

    def of(self, tag):
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


@pytest.fixture(scope="module")
def page():
    return single_file(NETWORK, MODEL)


@pytest.fixture(scope="module")
def elements(page):
    return Elements(page)


def policy_of(elements):
    (content,) = [
        attributes["content"]
        for attributes, _ in elements.of("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    return dict(rule.split(" ", 1) for rule in content.split("; "))


def sha256(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_forbids_every_connection(elements):
    policy = policy_of(elements)
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'none'"
    assert policy["form-action"] == "'none'"
    assert policy["worker-src"] == "blob:"
    assert set(policy["img-src"].split()) == {"blob:", "data:"}
    for sources in policy.values():
        assert not re.search(r"https?:|\*|'unsafe-inline'|'unsafe-eval'|'self'", sources)


def test_the_policy_comes_before_all_that_it_governs(page):
    assert page.index("Content-Security-Policy") < min(page.index("<style"), page.index("<script"))


def test_only_the_script_and_the_style_of_the_page_may_run(elements):
    policy = policy_of(elements)
    (script,) = [text for attributes, text in elements.of("script") if attributes["type"] == "module"]
    ((_, style),) = elements.of("style")
    assert policy["script-src"] == f"{sha256(script)} 'wasm-unsafe-eval' blob:"
    assert policy["style-src"] == sha256(style)
    assert not [attributes for _, attributes, _ in elements.found if "style" in attributes or "onclick" in attributes]


def test_runtime_model_and_facts_are_inside(elements):
    blocks = {attributes["id"]: text for attributes, text in elements.of("script") if "id" in attributes}
    runtime = read_runtime()
    packed = [base64.b64decode(blocks[f"packed-{name}"]) for name in ("module", "loader", "wasm")]
    assert packed == list(runtime.packed.values())
    assert gzip.decompress(base64.b64decode(blocks["packed-model"])) == NETWORK
    assert json.loads(blocks["facts"]) == MODEL


def test_nothing_outside_is_named(elements):
    for tag, attributes, _ in elements.found:
        for name in ("src", "href", "action", "srcset"):
            assert attributes.get(name, "data:,") == "data:,", tag


def test_every_place_of_the_page_is_filled(page):
    assert "{{" not in page


def test_equal_parts_make_equal_pages(page):
    assert single_file(NETWORK, MODEL) == page


def test_every_control_has_a_label(elements):
    labelled = {attributes.get("for") for attributes, _ in elements.of("label")}
    for attributes, _ in elements.of("input"):
        # The others stand inside of their labels.
        assert attributes["id"] in labelled or attributes["type"] in ("file", "checkbox")
