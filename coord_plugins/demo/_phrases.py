"""The words in which customers of the demo write to the billing desk.

``{bill}`` stands for the invoice and its month, ``{thing}`` for what the line is about,
``{total}``, ``{usual}`` and ``{gap}`` for amounts.
"""

from __future__ import annotations

from collections.abc import Mapping

BILLS = (
    *("my {month} bill", "the invoice for {month}", "my bill for {month} {year}"),
    *("our {month} invoice", "the {number}/{year} invoice", "our bill for {number}/{year}"),
    *("the {year}-{number} invoice", "my {month} statement", "the {month} {year} invoice"),
    *("our statement for {month}", "my invoice for {short} {year}"),
)
"""Ways to name an invoice by its month."""

RELATIVE_BILLS = (
    "the bill I got at the start of {next_month}",
    "the invoice that came on the first of {next_month}",
    "the statement you sent us at the beginning of {next_month}",
)
"""Ways to name an invoice by the day on which it came, which is in the month after."""

LAST_BILLS = ("last month's bill", "last month's invoice")
"""Ways to name the latest invoice."""

OPENINGS = (
    *("", "", "Hello,", "Hi there,", "Good morning,", "Dear billing team,", "Hi,"),
    *("Hello billing desk,", "Good afternoon,"),
)
"""How a ticket begins."""

CLOSINGS = (
    *("", "", "Thanks!", "Please have a look.", "Can you explain, please?", "Kind regards"),
    *("Please get back to me soon.", "Thank you for your help.", "We would like to understand it."),
    *("I am waiting with the payment until I hear from you.", "No rush, I am just curious."),
    "This is the second time I have to ask, so please answer properly.",
)
"""How a ticket ends."""

ACCOUNTS = (
    *("Our account is {a}{b}{c}.", "Account {a}{b}{c}.", "Customer number {a}-{b}-{c}."),
    *("Account no. {a}{b}-{c}.", "Acct #{a}{b}{c}.", "We are customer {a} {b} {c}."),
    *("(account {a}{b}{c})", "You have us as {a}{b}{c}.", "Our number with you: {a}{b} {c}."),
)
"""Ways to write the six digits of an account."""

TYPOS: Mapping[str, str] = {
    "because": "becuase",
    "usual": "usaul",
    "invoice": "invocie",
    "please": "plese",
    "statement": "statment",
    "received": "recieved",
    "account": "acount",
    "amount": "ammount",
    "explain": "explian",
    "charged": "chraged",
    "normally": "normaly",
}
"""Slips of the keyboard, the right word first."""

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "higher_total": (
        "{bill} shows {total} instead of the usual {usual}. Why?",
        "{bill} is {gap} more than we normally pay.",
        "Why is {bill} so much higher than the ones before?",
        "We did not change anything, and still {bill} went up to {total}.",
        "I nearly fell off my chair: {bill} says {total}. Normally it is {usual}.",
        "{bill} is too high. We always pay {usual}.",
        "I do not understand the amount of {bill}. It used to be {usual}, now it is {total}.",
        "{bill} has jumped by {gap}. Is that a late fee, or what happened?",
        "{bill} is higher than usual. Did the tax change, or is it a mistake?",
    ),
    "double_total": (
        "{bill} shows double the usual amount.",
        "{bill} is twice what we pay otherwise.",
        "You charged us double on {bill}!",
        "Is it possible that you billed us twice? {bill} is {total}, exactly double.",
    ),
    "lower_total": (
        "{bill} is lower than usual. I want to be sure that this is right.",
        "{bill} shows only {total}, normally it is {usual}. What happened?",
        "We paid {gap} less than normally on {bill}. Is something missing?",
        "Why did {bill} go down? We use the same as ever.",
        "Our bookkeeping does not match: {bill} is {gap} short of the usual {usual}.",
        "{bill} is smaller than the others. Will you charge the rest later?",
    ),
    "unknown_charge": (
        "There is something on {bill} that I do not recognise.",
        "I see a charge on {bill} that was not there before. What is it?",
        "{bill} has one line more than the ones before. What are we paying for?",
        "What is the new item on {bill}? Nobody here ordered anything.",
        "Somebody put an extra item on {bill}. Please tell me what it is.",
        "I went through {bill} and one charge makes no sense to me. Is it a renewal of something?",
    ),
    "renewal": (
        "{bill} has a renewal of {thing} on it. How much of the bill is that?",
        "Did {thing} renew on {bill}? I thought we pay for it once a year.",
        "We were charged for another year of {thing} on {bill}. What did you charge exactly?",
        "I believe the annual fee for {thing} is on {bill}. Please show me where.",
        "Which part of {bill} is the yearly price of {thing}?",
        "Nobody told us that {thing} renews. What did it add to {bill}?",
    ),
    "plan_change": (
        "We changed our plan in the middle of the month. How did that end up on {bill}?",
        "Since we switched plans, {bill} looks odd. What did you work out for the change?",
        "How did you prorate our change of plan on {bill}?",
        "We moved to another plan and {bill} is not what I expected. Which amount is the switch?",
        "I do not follow the part of a month that you put on {bill} for our new plan.",
        "{bill}: please explain the amount for the days after the plan switch.",
    ),
    "addon": (
        "What does the add-on {thing} cost us on {bill}?",
        "I find {thing} on {bill}. Since when do we have that add-on?",
        "We ordered an add-on, {thing}. What did you put on {bill} for it?",
        "{bill} has gone up. Is that the extra we booked, {thing}?",
        "A colleague booked the {thing} add-on, I think. Where do I see it on {bill}?",
    ),
    "credit": (
        "You promised us a credit for the outage. I cannot find it on {bill}.",
        "Where is the service credit on {bill}? You were down for hours.",
        "We were to be credited for {thing}. Is it on {bill}, and how much is it?",
        "I expected compensation for {thing}, and {bill} does not seem to have it.",
        "How much did you credit us on {bill} for the downtime?",
        "The outage was to be made good on {bill}. What did we get?",
    ),
    "refund": (
        "The refund for our unused seats has not arrived. Is it on {bill}?",
        "You said we would get money back for seats we do not use. I see nothing on {bill}.",
        "Where on {bill} is our refund?",
        "We gave seats back and were promised a refund. How much of it is in {bill}?",
        "Have you refunded the empty seats? I am looking at {bill} and cannot tell.",
        "Please confirm the refund on {bill}, our bank has nothing yet.",
    ),
    "late_fee": (
        "Why is there a late fee on {bill}? We always pay.",
        "You charged us for paying late on {bill}. How much is that and what for?",
        "I do not accept the late charge on {bill}. Which invoice was overdue?",
        "{bill} has a penalty for late payment on it. Please explain the amount.",
        "We paid only a few days late, and {bill} has a fee for it!",
        "Is the overdue fee on {bill} really ours?",
    ),
    "tax": (
        "Why do we pay VAT on {bill}? We never did before.",
        "{bill} suddenly has tax on it. How much, and why?",
        "We are exempt, as far as I know, and yet {bill} shows VAT.",
        "Since when do you add tax? {bill} is the first one that has it.",
        "How much of {bill} is VAT? The bill before had none.",
    ),
}
"""What customers ask, by category; ``double_total`` is a way to ask about a higher total."""
