"""Made-up customer lines that differ by little and mean the opposite: negation, idiom, sarcasm, thanks.

Written by us. They teach what GoEmotions hardly holds and n-grams cannot know: "not worried" is no worry.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

States = Mapping[str, float]

FEELING: dict[str, tuple[str, ...]] = {
    "anxiety": (
        "worried",
        "scared",
        "nervous",
        "anxious",
        "panicking",
        "frightened",
        "concerned",
        "terrified",
    ),
    "frustration": (
        "angry",
        "annoyed",
        "frustrated",
        "upset with you",
        "fed up",
        "furious",
        "irritated",
        "cross",
    ),
    "confusion": ("confused", "lost", "baffled", "puzzled", "mixed up", "unsure what that means"),
    "sadness": ("sad", "heartbroken", "devastated", "in tears", "down", "grieving"),
    "satisfaction": ("happy", "pleased", "delighted", "relieved", "grateful", "thrilled", "impressed"),
}
ABOUT = (
    "about the bill",
    "about the delay",
    "about this",
    "about the appointment",
    "with the service",
    "about my account",
    "about the delivery",
    "about what you told me",
    "with how this went",
    "about tomorrow",
    "",
    "",
)
HOW = ("really", "so", "very", "quite", "just", "honestly", "", "", "a bit")
OPEN = ("", "", "no", "well", "look", "okay", "yeah", "to be honest", "i mean", "oh", "right")
CLOSE = (
    "",
    "",
    "",
    "i just need the number",
    "can you check it for me",
    "it's for a friend of mine",
    "i only want to know when it comes",
    "that's all i'm asking",
    "carry on",
    "you can go ahead",
)
DENIED = (
    "i'm not {how} {word} {about}",
    "i am not {word} {about}",
    "it's not that i'm {word} {about}",
    "i wasn't {word} {about}",
    "nobody is {word} {about}",
    "i'm not at all {word} {about}",
    "don't get me wrong i'm not {word} {about}",
    "i never said i was {word} {about}",
    "no need to be {word} {about}",
    "i'm no longer {word} {about}",
)
FELT = (
    "i'm {how} {word} {about}",
    "i am {how} {word} {about}",
    "it's making me {how} {word}",
    "i have been {word} all day {about}",
    "you can tell i'm {how} {word} {about}",
    "i can't help being {word} {about}",
    "i'm not just {word} {about} i'm {how} {word}",
)
DENIED_PLEASURE = (
    "i'm not {how} {word} {about}",
    "i can't say i'm {word} {about}",
    "i'd be {word} if somebody had called me back",
    "i would be {word} if it worked for once",
    "how am i supposed to be {word} {about}",
)
PLAIN: tuple[tuple[str, States], ...] = (
    ("great just great {thing}", {"frustration": 0.75}),
    ("oh brilliant {thing}", {"frustration": 0.75}),
    ("well that's just wonderful isn't it {thing}", {"frustration": 0.75}),
    ("fantastic {thing}", {"frustration": 0.75}),
    ("thanks for nothing {thing}", {"frustration": 0.75}),
    ("lovely so {thing}", {"frustration": 0.75}),
    ("thank you so much for wasting my morning {thing}", {"frustration": 0.75}),
    ("what a great service {thing}", {"frustration": 0.75}),
    ("yeah right {thing}", {"frustration": 0.5}),
    ("okay thanks bye", {}),
    ("thank you bye bye", {}),
    ("thanks have a good day", {}),
    ("alright thank you goodbye", {}),
    ("no that's all thank you", {}),
    ("that's everything thanks", {}),
    ("okay thank you", {}),
    ("cheers bye", {}),
    ("oh that's brilliant thank you so much {good}", {"satisfaction": 0.75}),
    ("great that's sorted then {good}", {"satisfaction": 0.75}),
    ("oh thank goodness {good}", {"satisfaction": 0.75}),
    ("you've been so helpful {good}", {"satisfaction": 0.75}),
    ("brilliant {good}", {"satisfaction": 0.75}),
    ("that's a weight off my mind {good}", {"satisfaction": 0.75}),
    ("i'm afraid i don't have the number with me", {}),
    ("i'm afraid i can't find the letter", {}),
    ("sorry i'm afraid i missed that", {}),
    ("sadly i don't have it to hand", {}),
    ("unfortunately i threw the receipt away", {}),
    ("could you tell me when it will arrive", {}),
    ("what time do you close today", {}),
    ("which form do i need for that", {}),
    ("how do i change my address", {}),
    ("what's the next step then", {}),
    ("just out of interest how does that work", {}),
    ("my neighbour was furious but i don't mind", {}),
    ("my wife gets worried about these things i don't", {}),
    ("i was really angry last week but it's fine now", {}),
    ("i used to be scared of these forms not any more", {}),
    ("the film was terrifying but i want to rent it again", {}),
    ("i'm dying to try the new one", {}),
    ("my phone is dead so i'm using hers", {}),
    ("that's insane value i'll take two", {"satisfaction": 0.5}),
    ("i don't get it you said one thing and the letter says another", {"confusion": 0.75}),
    ("hang on which one do i press i'm looking at two of them", {"confusion": 0.5}),
    ("sorry what does that mean", {"confusion": 0.5}),
    ("you've lost me", {"confusion": 0.75}),
    ("so do i pay it or not you have told me both", {"confusion": 0.75, "frustration": 0.25}),
    ("i understand it now thank you", {"satisfaction": 0.25}),
    ("no i get it that makes sense", {}),
    ("i completely understand that's clear", {}),
    ("what if they cut us off over the weekend i have a baby here", {"anxiety": 0.75}),
    ("i can't afford to lose that money please what do i do", {"anxiety": 0.75}),
    ("somebody has been in my account what if they take everything", {"anxiety": 1.0}),
    ("i keep checking it i can't sleep over this", {"anxiety": 0.75}),
    ("will i still get my medicine in time i'm down to two tablets", {"anxiety": 0.75}),
    ("it's urgent i need it by three for a meeting", {}),
    ("my husband passed away in march and his name is still on it", {"sadness": 0.75}),
    ("since mum died i can't bring myself to open the post", {"sadness": 0.75}),
    ("i've lost my job and there's nothing left i give up", {"sadness": 0.75, "anxiety": 0.25}),
    ("it was her favourite and now it's just me", {"sadness": 0.5}),
)
THINGS = (
    "another week without a line",
    "cut off again",
    "so nobody wrote any of it down",
    "you've charged me twice",
    "now it's my turn to start over",
    "an hour on hold for that",
    "the third engineer who doesn't turn up",
    "it broke on the first day",
    "you sent the wrong one again",
    "it's gone up again",
)
GOODS = (
    "",
    "it works now",
    "you have made my day",
    "i can see it on my screen",
    "i didn't expect that",
    "that's so quick",
    "it's all come through",
    "i was dreading this call",
)


def contrast(rng: random.Random) -> tuple[str, States]:
    """One made-up line and its states."""
    kind = rng.random()
    if kind < 0.45:
        text, states = rng.choice(PLAIN)
        text = text.format(thing=rng.choice(THINGS), good=rng.choice(GOODS))
        return text, states
    state = rng.choice(list(FEELING))
    if kind < 0.75:
        if state == "satisfaction":
            form, states = rng.choice(DENIED_PLEASURE), {"frustration": 0.5}
        else:
            form, states = rng.choice(DENIED), {}
    else:
        form, states = rng.choice(FELT), {state: 0.75}
    line = form.format(how=rng.choice(HOW), word=rng.choice(FEELING[state]), about=rng.choice(ABOUT))
    return " ".join(f"{rng.choice(OPEN)} {line} {rng.choice(CLOSE)}".split()), states
