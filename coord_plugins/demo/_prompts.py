"""The prompts of the billing desk's steps, for a real model as for the simulated one."""

from __future__ import annotations

from collections.abc import Mapping

from coord_plugins.demo._database import CATEGORY_KINDS, LINE_KINDS, REGULAR_KINDS, TODAY

_DESK = "You work at the billing desk of a company that sells software by subscription.\n"
_REPLY = "Reply with one JSON object and nothing else:\n"

INSTRUCTIONS: Mapping[str, str] = {
    "triage": f"""{_DESK}
Read the customer's ticket and work out what it is about. Today is {TODAY}. The invoice of a month
goes out on the first day of the month after, so an invoice that came at the start of July is the
one for June. A month without a year is the latest one that has been billed.

category: one of {", ".join(CATEGORY_KINDS)}.
Take a specific one only when the customer asks about exactly that; a customer who wonders why a
total changed asks about higher_total or lower_total, and one who does not recognise a charge about
unknown_charge, whatever they guess the reason to be.
account: the six digits of the customer's account, without spaces or dashes.
period: the month of the invoice in question, as YYYY-MM.

{_REPLY}{{"category": "...", "account": "...", "period": "YYYY-MM"}}
""",
    "retrieve": f"""{_DESK}
Choose what to read from the billing database so that the ticket can be answered: whose invoice, of
which month, and which kinds of lines. The kinds are
{", ".join(LINE_KINDS)}.
The regular kinds {", ".join(REGULAR_KINDS)} are always needed to add the invoice up; ask
besides for every kind that may answer the question, and for all kinds when it asks about a total or
an unknown charge.

{_REPLY}{{"customer_id": "...", "period": "YYYY-MM", "kinds": ["...", "..."]}}
""",
    "reconcile": f"""{_DESK}
Find the one invoice line that answers the ticket. It is a line of this month's invoice (lines) that
the invoice of the month before (earlier_lines) did not have, and of a kind that the question is
about; the same description with another amount is not a new line.

line_id: its id. amount_cents: its amount in cents, negative for money given back.
total_cents: all lines of this month's invoice added up.
usual_cents: the total that most of the earlier_totals have, the latest one if several tie.
explanation: in a few words, what the line is; no ids and no amounts.

{_REPLY}{{"line_id": "L-...", "amount_cents": 0, "total_cents": 0, "usual_cents": 0, \
"explanation": "..."}}
""",
    "draft": f"""{_DESK}
Write the reply to the customer, friendly, plain and short. Say what the invoice of that month comes
to and what is usual, cite the line that explains it by its id (L- and six digits), and state what
that line is and its amount. Write amounts with two decimals, for example 84.00 EUR, and state no
other amounts. Take all facts from the data.

text: the reply. cites: the ids of the lines that it cites.

{_REPLY}{{"text": "...", "cites": ["L-..."]}}
""",
    "review": f"""{_DESK}
Read the drafted reply as an editor would: is it polite, complete and easy to understand? The facts
have been settled: leave line ids, months and amounts exactly as they stand in the draft.

approved: true when the draft can go out as it is. text: the reply to send, improved where needed.

{_REPLY}{{"approved": true, "text": "..."}}
""",
    "send": f"""{_DESK}
Prepare the e-mail that goes to the customer. It goes to the customer's address from triage, the
subject names the month and the ticket id, and the body is the reviewed text, unchanged.

{_REPLY}{{"to": "...", "subject": "...", "body": "..."}}
""",
}
"""What each step asks of the model, with the shape of the reply."""

AT_ONCE = f"""{_DESK}
Answer the customer's ticket: explain what they ask about by the one invoice line that is behind it,
and prepare the e-mail. Today is {TODAY}. The data has the ticket, the customer and all of their
invoices of the last months. The invoice of a month goes out on the first day of the month after, so
an invoice that came at the start of July is the one for June. A month without a year is the latest
one that has been billed.

category: one of {", ".join(CATEGORY_KINDS)}.
account: the six digits of the customer's account. period: the month of the invoice, as YYYY-MM.
line_id: the line of that invoice that the month before did not have and that answers the question;
the same description with another amount is not a new line. amount_cents: its amount in cents,
negative for money given back. total_cents: all lines of that invoice added up. usual_cents: the
total that most of the six invoices before it have, the latest one if several tie.
to: the customer's address. subject: with the month and the ticket id. body: the reply, friendly,
plain and short. It says what the invoice of that month comes to and what is usual, cites the line
by its id (L- and six digits), and states what that line is and its amount. Write amounts with two
decimals, for example 84.00 EUR, and state no other amounts.

{_REPLY}{{"category": "...", "account": "...", "period": "YYYY-MM", "line_id": "L-...", \
"amount_cents": 0, "total_cents": 0, "usual_cents": 0, "to": "...", "subject": "...", \
"body": "..."}}
"""
"""What one call that does the whole job is asked."""

DATA = """
The data:
```json
{data}
```
"""
"""The block that carries the step's data."""

FEEDBACK = """
A reviewer rejected the previous attempt:
<<<
{feedback}
>>>
Do it again and mend what the reviewer names.
"""
"""The block that carries the reason of a rejection."""
