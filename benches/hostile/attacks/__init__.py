"""The attacks, and the bounds that a server must keep.

An attack is a function that receives an `Attempt` and reports facts to it (`attempt.fact("sockets left", 3)`). `@attack` defines its name,
the settings of the server, and the bounds of facts. `run.py` reports the facts of all attacks: memory, the longest wait of the honest
client, whether it stayed connected, bytes of log, whether the server survived. Bounds are on memory, counts and survival. The bound on
the wait is generous, because the machine may be busy.
"""

import importlib
import pkgutil
from dataclasses import dataclass, field

ATTACKS = {}

# The facts of every attack.
SENT = "sent by the attacker, MB"
BEFORE = "memory before, MB"
GROWN = "peak memory growth, MB"
PER_BYTE = "memory growth per byte sent"
AFTER = "memory growth after the attack, MB"
STALL = "longest wait of the honest client, ms"
QUIET = "honest client stayed connected"
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


# The bounds of every attack, which it can override.
COMMON = {STALL: at_most(3000), QUIET: exactly(1), SURVIVED: exactly(1)}


@dataclass
class Attack:
    name: str
    run: object
    bounds: dict
    settings: dict = field(default_factory=dict)
    # The attacked program of ours: `echo`, or the one with a log and slow handlers.
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
