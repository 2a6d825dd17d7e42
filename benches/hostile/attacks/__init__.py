"""The attacks, and the bounds that a server has to keep.

An attack is a function that is given an `Attempt` and tells it facts (`attempt.fact("sockets left", 3)`). `@attack` names it, the settings
of the server, and the bound of each fact that has one. What is told for every attack is in `run.py`: memory, the quiet client's longest
stall, whether it was kept, bytes of log, whether the server survived. Bounds are on memory, counts and survival; a stall's is generous,
for the machine may be busy.
"""

import importlib
import pkgutil
from dataclasses import dataclass, field

ATTACKS = {}

# Facts of every attack.
SENT = "sent by the attacker, MB"
BEFORE = "memory before, MB"
GROWN = "memory grown at the peak, MB"
PER_BYTE = "grown per byte sent"
AFTER = "memory grown, attacker gone, MB"
STALL = "longest stall of a quiet client, ms"
QUIET = "quiet client kept"
SURVIVED = "server survived"
LOG = "log, bytes"


@dataclass
class Bound:
    sign: str
    limit: float

    def holds(self, value):
        return value <= self.limit if self.sign == "<=" else value == self.limit

    def __str__(self):
        return f"{self.sign} {self.limit:g}"


def at_most(limit):
    return Bound("<=", limit)


def exactly(value):
    return Bound("=", value)


# Every attack has these, unless it says otherwise.
COMMON = {STALL: at_most(3000), QUIET: exactly(1), SURVIVED: exactly(1)}


@dataclass
class Attack:
    name: str
    run: object
    bounds: dict
    settings: dict = field(default_factory=dict)
    # Which of our programs is attacked: `echo`, or the one with a log and slow handlers.
    program: str = "echo"

    @property
    def text(self):
        return " ".join((self.run.__doc__ or "").split())


def attack(name, bounds, settings=None, program="echo"):
    def register(run):
        ATTACKS[name] = Attack(name, run, {**COMMON, **bounds}, settings or {}, program)
        return run

    return register


def load():
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return ATTACKS
