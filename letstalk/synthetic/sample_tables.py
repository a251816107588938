"""Who and what ships as samples: portraits chosen by eye, and words of our own. See samples.py."""

from __future__ import annotations

from letstalk.synthetic.samples import PortraitSample, SpeechSample

PORTRAITS: tuple[PortraitSample, ...] = (
    PortraitSample("amara", 0, {"gender": 0.0, "age": 27, "ancestry": "african", "hair": "braid01"},
                   lighting="window", background="room"),
    PortraitSample("bruno", 1, {"gender": 1.0, "age": 41, "ancestry": "caucasian", "hair": "short02"},
                   background="wall"),
    PortraitSample("chiyo", 2, {"gender": 0.0, "age": 33, "ancestry": "asian", "hair": "bob02"},
                   lighting="overcast", background="outdoor"),
    PortraitSample("dario", 3, {"gender": 1.0, "age": 24, "ancestry": "caucasian", "hair": "short01"},
                   lighting="window", background="bokeh"),
    PortraitSample("edith", 4, {"gender": 0.0, "age": 72, "ancestry": "caucasian", "hair": "short01",
                         "hair_colour": "white"},
                   smile=0.3),
    PortraitSample("farid", 5, {"gender": 1.0, "age": 35, "ancestry": "caucasian", "hair": "short04", "hat": "beanie"},
                   background="room"),
    PortraitSample("grace", 6, {"gender": 0.0, "age": 45, "ancestry": "african", "hair": "short01"},
                   lighting="ring", smile=0.3),
    PortraitSample("haruto", 7, {"gender": 1.0, "age": 29, "ancestry": "asian", "hair": "short02"},
                   lighting="office", background="room"),
    PortraitSample("ines", 8, {"gender": 0.0, "age": 22, "ancestry": "caucasian", "hair": "long01"},
                   lighting="overcast", background="outdoor"),
    PortraitSample("jabari", 9, {"gender": 1.0, "age": 52, "ancestry": "african", "hair": "bald"},
                   lighting="window", background="wall"),
    PortraitSample("keiko", 10, {"gender": 0.0, "age": 61, "ancestry": "asian", "hair": "ponytail01",
                          "hair_colour": "grey"},
                   smile=0.3),
    PortraitSample("liam", 11, {"gender": 1.0, "age": 19, "ancestry": "caucasian", "hair": "short03",
                          "hair_colour": "ginger"},
                   background="bokeh"),
    PortraitSample("mira", 12, {"gender": 0.0, "age": 38, "ancestry": "caucasian", "hair": "ponytail01"},
                   lighting="window", background="room", yaw=0.12),
    PortraitSample("nara-toon", 13, {"gender": 0.0, "age": 26, "ancestry": "asian", "hair": "long01"}, style="toon"),
    PortraitSample("otto-painted", 14, {"gender": 1.0, "age": 66, "ancestry": "caucasian", "hair": "short02"},
                   style="painterly", lighting="window", background="wall"),
    PortraitSample("pia-pencil", 15, {"gender": 0.0, "age": 30, "ancestry": "african", "hair": "bob02"},
                   style="pencil"),
)  # fmt: skip

SPEECH: tuple[SpeechSample, ...] = (
    SpeechSample("en-welcome", "flite:slt", ("Hello, and welcome.", 0.3, "It is good to see your face.")),
    SpeechSample(
        "en-story", "flite:rms",
        ("My grandmother kept a map of the harbour above the kitchen table.", 0.4,
         "Every evening she moved a small brass boat a little further west.", 0.5,
         "When the boat reached the edge of the paper, she laughed and put it back at the beginning."),
    ),
    SpeechSample(
        "en-lips", "espeak:en-us+f3",
        ("Bob and Pam brought many big paper maps.", 0.3, "Five brave wolves moved over the valley wall.", 0.3,
         "You choose whose shoes to use."),
        rate=0.95,
    ),
    SpeechSample(
        "en-long-silences", "flite:slt",
        (1.5, "First, take a deep breath.", 4.0, "Now let it go, slowly.", 5.0, "Look out of the window for a moment.",
         4.5,          "And when you are ready, come back.", 2.0),
        rate=0.92,
    ),
    SpeechSample(
        "de-wetter", "espeak:de+m5",
        ("Guten Morgen.", 0.4, "Heute bleibt es im Norden trocken, und am Nachmittag kommt die Sonne heraus.", 0.4,
         "Im Süden fällt bis zum Abend etwas Regen."),
    ),
    SpeechSample(
        "es-receta", "espeak:es+f3",
        ("Primero lavamos las patatas y las cortamos en trozos pequeños.", 0.5,
         "Después ponemos un poco de aceite en la sartén.", 0.4,
         "En veinte minutos la comida está lista. ¡Buen provecho!"),
    ),
    SpeechSample(
        "es-saludo", "espeak:es-419+m5",
        ("Hola a todos.", 0.3, "Mañana vamos juntos al museo."),
    ),
    SpeechSample(
        "en-lecture", "flite:rms",
        ("Today I would like to talk about the simple things that make a picture seem alive.", 0.6,
         "We notice the mouth first, because it moves with every word.", 0.4,
         "But if only the mouth moved, we would soon feel that something was wrong.", 0.7,
         "A person who speaks also blinks, and looks away, and comes back.", 0.4,
         "The head nods a little on the words that matter.", 0.5,
         "The brows rise when a question is asked, and fall when the answer is heavy.", 0.6,
         "Even when nobody says anything, the face does not stop.", 0.4,
         "The shoulders lift with every breath.", 0.4, "The eyes wander over the room, and rest.", 0.8,
         "None of this is difficult to see.", 0.3, "It is only easy to forget.", 0.6,
         "So the next time you watch someone speak, cover their mouth with your thumb, and look at everything else.",
         0.6,
         "You may be surprised how much they still tell you.", 0.4, "Thank you for listening."),
    ),
)  # fmt: skip
