from dataclasses import replace

import pytest

from nnunet_mamba.models.card import NOTICE, model_card
from nnunet_mamba.models.description import Score
from nnunet_mamba.models.opening import open_model


@pytest.fixture
def description(packed):
    return open_model(packed()).description


def section(card, name):
    return card.split(f"\n## {name}\n")[1].split("\n## ")[0].strip()


def test_what_is_known_is_on_the_card(description):
    card = model_card(description)
    assert card.startswith(f"# {description.name}\n\n**{NOTICE}**\n")
    assert "UltraLight VM-UNet (ultralight_vm_unet), 49466 parameters; Wu et al. 2024" in card
    assert "- Channels: R, G, B" in card
    assert "- Labels, one softmax: disc" in card
    assert "- Mirrored in prediction: along axes 0 and 1" in card
    assert "- Fold 0: 3 epochs, best moving average of pseudo Dice 0.7500" in card
    assert "- Time: 14 s" in card


def test_a_variant_of_a_network_is_not_called_the_network(description):
    card = model_card(replace(description, trainer="nnUNetTrainerUltraLightVM_parallel2_20epochs"))
    assert "- Network: UltraLight VM-UNet, parallel2 (ultralight_vm_unet), " in card
    assert "- Trainer: nnUNetTrainerUltraLightVM_parallel2_20epochs, configuration 2d" in card


def test_what_nobody_has_said_is_not_stated(description):
    card = model_card(description)
    for name in ("Intended use", "Scores", "Limits"):
        assert section(card, name) == "Not stated."
    assert section(card, "Licences") == "- Code: not stated\n- Weights: not stated\n- Data: not stated"
    assert "- Versions: not stated" in card
    assert "- SHA-256 of splits_final.json: not stated" in card


def test_the_authors_words_stand_in_their_sections(description):
    words = "We thank all.\n\n## limits\n\nOnly *discs*.\n\n## Data sheet\n\nAll of it.\n\n## Citation\n\n- Us 2026\n"
    card = model_card(description, words)
    assert section(card, "Limits") == "Only *discs*."
    assert section(card, "From the author") == "We thank all."
    assert section(card, "Data sheet") == "All of it."
    assert section(card, "Citation").startswith("- Network: Wu et al. 2024")
    assert section(card, "Citation").endswith("- Us 2026")
    assert section(card, "Intended use") == "Not stated."


def test_values_break_no_table_and_bring_no_tags(description):
    score = Score(data="a | b\n<script>", protocol="p", metric="Dice", value=0.5)
    table = section(model_card(replace(description, scores=(score,))), "Scores")
    assert table.splitlines()[2] == r"| a \| b &lt;script> | p | Dice | 0.5000 | not stated |  |"
