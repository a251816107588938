"""Sentences: from the grammar, the same for the same seed, and never in two splits."""

import pytest

from letstalk.errors import SettingsError
from letstalk.runtime import numpy_generator
from letstalk.synthetic.split import SPLITS, split_of_text
from letstalk.synthetic.voice.grammars import GRAMMARS
from letstalk.synthetic.voice.sentences import LANGUAGES, draw_sentence, draw_sentences


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_split_has_sentences_and_shares_none(language):
    by_split = {split: set(draw_sentences(language, split, 3, 30)) for split in SPLITS}
    for split, sentences in by_split.items():
        assert len(sentences) == 30
        assert all(split_of_text(sentence) == split for sentence in sentences)
    plain = [{"".join(filter(str.isalnum, text.casefold())) for text in texts} for texts in by_split.values()]
    assert not (plain[0] & plain[1] | plain[1] & plain[2] | plain[0] & plain[2])


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_slot_is_left_and_all_slots_are_known(language):
    random = numpy_generator(1, "test")
    for _ in range(300):
        sentence = draw_sentence(language, random)
        assert sentence and "{" not in sentence and "|" not in sentence and sentence == sentence.strip()


def test_seed_decides():
    assert draw_sentences("en", "train", 7, 20) == draw_sentences("en", "train", 7, 20)
    assert draw_sentences("en", "train", 7, 20) != draw_sentences("en", "train", 8, 20)


def test_english_is_rich_in_lip_sounds_and_kinds_of_sentences():
    sentences = draw_sentences("en", "train", 0, 400)
    text = " ".join(sentences).lower()
    letters = [c for c in text if c.isalpha()]
    assert sum(c in "mbpfvw" for c in letters) / len(letters) > 0.1
    assert {"?", "!", "."} <= {sentence[-1] for sentence in sentences}
    assert any(c.isdigit() for c in text)
    assert " a apple" not in text and " a umbrella" not in text and " an unusual" not in text


def test_what_is_impossible_is_refused():
    with pytest.raises(SettingsError, match="no grammar"):
        draw_sentences("xx", "train", 0, 1)
    assert set(LANGUAGES) == set(GRAMMARS)
