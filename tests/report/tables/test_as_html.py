from test_render import Page

from nnunet_mamba.report.tables.as_html import as_html


def test_html_escapes_and_marks(awkward_table):
    html = str(as_html(awkward_table))
    page = Page(html)
    assert "i" not in page.tags
    assert "<caption><span>Scores &amp; costs</span></caption>" in html
    assert '<tr class="published"><th scope="row">A-Net<sup>c</sup></th>' in html
    assert "<td><b>0.812 ± 0.013</b></td>" in html
    assert html.count("<td>") == 5 * 4
    assert "Scores" in "".join(page.text)


def test_groups_have_a_line_of_their_own_across_all_columns(awkward_table):
    html = str(as_html(awkward_table))
    line = '<th scope="rowgroup" class="rows" colspan="6"><span>Published, by other hands: A, Table 1<sup>a,b</sup>'
    assert line in html
    assert html.count('class="rows"') == 2
    assert html.count("<tbody>") == 3


def test_long_names_may_break(awkward_table):
    assert "nnUNetTrainerUltraLightVM_<wbr>robust_<wbr>20epochs" in as_html(awkward_table)
