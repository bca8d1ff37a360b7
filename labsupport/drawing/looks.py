"""How a state looks, in every picture: its colour, and a second cue.

Colour is never alone: in a bar each state has a height or a hatch of its
own, in the gauge a letter, in a table a sign.
"""

# Okabe and Ito's colours, which stay apart for colour-blind readers.
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PINK, GREY = "#0072B2", "#D55E00", "#CC79A7", "#999999"

WAITING, PINGING, CONNECTING = "waiting", "pre-ping", "connecting"
CLOSING = "closing"
EXECUTING, ENDING = "executing", "commit or rollback"
IN_TRANSACTION, CHECKED_OUT = "idle in transaction", "checked out"
IN_POOL = "idle in pool"

# What a task or a connection does: colour, share of the row, hatched or not.
BARS = {
    WAITING: {"colour": ORANGE, "share": 0.45, "hatched": True},
    PINGING: {"colour": YELLOW, "share": 0.45},
    CONNECTING: {"colour": PINK, "share": 0.7},
    CLOSING: {"colour": PINK, "share": 0.45, "hatched": True},
    EXECUTING: {"colour": BLUE},
    IN_TRANSACTION: {"colour": SKY, "share": 0.45},
    ENDING: {"colour": GREEN, "hatched": True},
    CHECKED_OUT: {"colour": GREY, "share": 0.25},
    IN_POOL: {"colour": GREY, "share": 0.08},
}
# The pool over time: the connections stacked, the waiting on top of them.
# In use is blue here: what a connection does meanwhile is not told.
LAYERS = {
    CHECKED_OUT: {"colour": BLUE},
    CONNECTING: BARS[CONNECTING],
    IN_POOL: {"colour": GREY, "share": 0.3},
    WAITING: BARS[WAITING],
}
# A square in a row of them: colour, and the letter that says the same. The
# first four are the pool's words, the others are the server's.
SQUARES = {
    CHECKED_OUT: (BLUE, "c"),
    CONNECTING: (PINK, "n"),
    "idle": (GREY, "i"),
    WAITING: (ORANGE, "w"),
    "active": (BLUE, "a"),
    IN_TRANSACTION: (SKY, "t"),
    "idle in transaction (aborted)": (SKY, "t"),
}
# What went wrong, written beside the bar.
BAD = {
    "timeout": "× timeout", "cancelled": "× cancelled",
    "failed": "× failed", "error": "× error", "shared": "× shared",
    "invalidated": "× invalidated", "closed": "× closed",
    "detached": "× detached",
}
# What a card says in short: its sign, and the colour of its edge.
TONES = {
    "good": ("✓", GREEN),
    "bad": ("✗", VERMILION),
    "partly": ("◐", ORANGE),
    "open": ("○", GREY),
    "asked": ("?", BLUE),
}
# How a scenario ends: sign, colour, what it means.
SIGNS = {
    "right": ("✓", GREEN, "right"),
    "raises": ("✗", VERMILION, "raises"),
    "wrong": ("▲", ORANGE, "wrong, and nothing is raised"),
    "hangs": ("∞", PINK, "never ends"),
    "none": ("–", GREY, "does not apply"),
    "seen": ("·", SKY, "seen, and not judged"),
}
