"""Phone symbols to mouth shapes, and alignment files."""

import json
from itertools import pairwise

import numpy as np
import pytest

from letstalk.errors import InputError
from letstalk.synthetic.visemes import CHANNELS, VISEME_NAMES, VISEMES, resistance_matrix, target_matrix
from letstalk.synthetic.voice.alignment import read_alignment, write_alignment
from letstalk.synthetic.voice.phonemes import ALPHABETS, has_sound, seals_lips, segments, visemes_of
from letstalk.synthetic.voice.speech import SILENCE, Phone, Speech, cut, fill_silence, join, silent_speech, trim


@pytest.mark.parametrize(
    ("alphabet", "symbol", "shapes"),
    [
        ("ipa", "aɪ", ("aa", "ih")), ("ipa", "tʃ", ("sh",)), ("ipa", "uː", ("uw",)), ("ipa", "ɔ̃", ("ao",)),
        ("ipa", "mʲ", ("p",)), ("ipa", "ɯᵝ", ("uw",)), ("ipa", "kʷ", ("k",)), ("ipa", "ˈɛ", ("eh",)),
        ("ipa", "", ("sil",)),
        ("arpabet", "AH0", ("ah",)), ("arpabet", "ow", ("ow", "uw")), ("arpabet", "pau", ("sil",)),
        ("sampa", "E1", ("eh",)), ("sampa", "dZ", ("sh",)), ("sampa", "_", ("sil",)),
    ],
)  # fmt: skip
def test_symbols(alphabet, symbol, shapes):
    assert visemes_of(symbol, alphabet) == shapes


def test_unknown_symbols_and_alphabets_are_refused():
    for symbol, alphabet in (("☃a", "klingon"), ("qq", "arpabet"), ("%", "sampa"), ("ǃ", "ipa")):
        with pytest.raises(InputError):
            visemes_of(symbol, alphabet)


def test_tone_and_language_marks_are_no_phones():
    assert not has_sound("5") and not has_sound("(en)") and not has_sound("ˈ")
    assert has_sound("a5") and has_sound("ŋ")


def test_lips_are_sealed_by_m_b_p_in_every_alphabet():
    for alphabet in ALPHABETS:
        for symbol in "mbp":
            assert seals_lips(Phone(0, 1, symbol), alphabet)
        for symbol in "tfs":
            assert not seals_lips(Phone(0, 1, symbol), alphabet)


def test_segments_cover_their_phones():
    phones = fill_silence([Phone(0.1, 0.3, "oʊ"), Phone(0.3, 0.4, "m"), Phone(0.6, 0.7, "a")], 1.0)
    pieces = segments(phones, "ipa")
    assert pieces[0].start_seconds == 0 and pieces[-1].end_seconds == 1.0
    assert all(a.end_seconds == b.start_seconds for a, b in pairwise(pieces))
    assert [VISEME_NAMES[piece.viseme] for piece in pieces] == ["sil", "ow", "uw", "p", "sil", "aa", "sil"]


def test_visemes_are_distinct_and_within_range():
    targets, resistance = target_matrix(), resistance_matrix()
    assert len(VISEMES) == len(set(VISEME_NAMES)) == 24 and VISEME_NAMES[0] == "sil"
    assert targets.shape == (24, len(CHANNELS)) and np.abs(targets).max() <= 1
    assert resistance.min() >= 0 and resistance.max() <= 1
    rows = {tuple(row) for row in np.hstack([targets, resistance])}
    assert len(rows) == 24


def test_speech_can_be_cut_joined_and_trimmed():
    samples = np.linspace(-0.5, 0.5, 16000).astype(np.float32)
    speech = Speech(samples, fill_silence([Phone(0.2, 0.5, "a"), Phone(0.5, 0.8, "m")], 1.0), text="am")
    assert speech.phones[0] == Phone(0, 0.2, SILENCE) and speech.phones[-1] == Phone(0.8, 1.0, SILENCE)
    longer = join([silent_speech(8000), speech])
    assert longer.phones[0] == Phone(0.0, 0.7, SILENCE) and longer.phones[1].symbol == "a"
    piece = cut(longer, 8000, 24000)
    assert len(piece.samples) == 24000 and piece.phones[1].symbol == "a"
    assert piece.phones[1][:2] == pytest.approx((0.2, 0.5))
    assert piece.phones[-1].end_seconds == 1.5
    short = trim(speech, keep_seconds=0.0)
    assert short.duration_seconds == pytest.approx(0.6) and short.phones[0].symbol == "a"
    assert len(trim(silent_speech(16000)).samples) == 0


def test_alignment_survives_its_file(tmp_path):
    speech = Speech(np.zeros(16000, np.float32), fill_silence([Phone(0.1, 0.3, "b"), Phone(0.3, 0.5, "ɑː")], 1.0))
    write_alignment(tmp_path / "a.txt", speech)
    again = read_alignment(tmp_path / "a.txt", speech.samples)
    assert [p.symbol for p in again.phones] == [p.symbol for p in speech.phones]
    assert np.allclose([p[:2] for p in again.phones], [p[:2] for p in speech.phones], atol=1e-4)


def test_alignment_in_json_without_sound(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(
        json.dumps({"alphabet": "arpabet", "language": "en", "phones": [[0.0, 0.2, "HH"], [0.2, 0.5, "AY1"]]})
    )
    speech = read_alignment(path)
    assert speech.alphabet == "arpabet" and len(speech.samples) == 8000 and speech.language == "en"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("0 0.2 b\n0.1 0.3 a", "line 2"), ("0 x b", "not times"), ("0.4 0.2 b", "cannot last"), ("", "no phones"),
        ("0 1 b c d", "line 1"), ("0 0.2 ☃b%ǃ", "line 1"), ("# alphabet: morse\n0 1 b", "morse"), ("{", "JSON"),
        ('{"phones": 3}', "list"), ("0 nan b", "cannot last"), ("0 100 a", "lasts"),
    ],
)  # fmt: skip
def test_bad_alignments_are_refused_with_their_place(tmp_path, content, problem):
    path = tmp_path / "a.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        read_alignment(path, np.zeros(16000, np.float32))


def test_unreadable_alignments_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_alignment(tmp_path / "nothing.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="UTF-8"):
        read_alignment(tmp_path / "b.txt")
