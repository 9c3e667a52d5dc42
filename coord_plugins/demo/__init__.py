"""The demo's job: a billing desk that answers tickets in plain words, in six steps.

The job itself knows no host and nothing of the rest of the library: a billing database with its
tickets and their true answers, the six steps with their prompts, a simulated model that goes wrong
in 3 % of each step's executions, a validator per step, and the goal. `Desk` puts the library's
policy on it, and `run_demo` sends the tickets through a framework's pipeline, bare and attached,
and through one model call that does the whole job (`single_call`). A run of the bare job::

    conn = open_billing()
    tickets, answers = load_tickets(conn)
    model = SimulatedModel(conn, seed=7)
    state = {"ticket_id": tickets[0].id, "ticket": tickets[0].text}
    with working(tickets[0].id, trial=0):
        for step in STEPS:
            reply = model.reply(prompt_for(step, state), step)
            state[step] = finish(step, reply.text, state, conn)
    passed, explanation = goal(state, answers[tickets[0].id])
"""

from coord_plugins.demo._campaign import Wiring, run_demo
from coord_plugins.demo._checks import Check, checks
from coord_plugins.demo._database import CATEGORY_KINDS, LINE_KINDS, open_billing
from coord_plugins.demo._desk import Desk
from coord_plugins.demo._faults import (
    CONTENT_FAULTS,
    FAULT_RATE,
    FAULT_SHARES,
    STICKY_SHARE,
    Fault,
    planned_fault,
)
from coord_plugins.demo._found import Demo, SingleCall
from coord_plugins.demo._job import STEPS, finish, prompt_for
from coord_plugins.demo._prompts import INSTRUCTIONS
from coord_plugins.demo._simulated import RateLimited, Reply, SimulatedModel, Work, working
from coord_plugins.demo._single import prompt_at_once, single_call
from coord_plugins.demo._tickets import Answer, Ticket, load_tickets
from coord_plugins.demo._truth import goal, label

__all__ = [
    "CATEGORY_KINDS",
    "CONTENT_FAULTS",
    "FAULT_RATE",
    "FAULT_SHARES",
    "INSTRUCTIONS",
    "LINE_KINDS",
    "STEPS",
    "STICKY_SHARE",
    "Answer",
    "Check",
    "Demo",
    "Desk",
    "Fault",
    "RateLimited",
    "Reply",
    "SimulatedModel",
    "SingleCall",
    "Ticket",
    "Wiring",
    "Work",
    "checks",
    "finish",
    "goal",
    "label",
    "load_tickets",
    "open_billing",
    "planned_fault",
    "prompt_at_once",
    "prompt_for",
    "run_demo",
    "single_call",
    "working",
]
