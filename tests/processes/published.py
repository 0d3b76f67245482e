"""What schemathesis must overlook, and why: loaded into it as hooks, which also write down what it tried.

JSON Schema cannot say what follows here, so data that fit the schema may be refused for it. Whatever is refused must
be refused for exactly these reasons; the same status for any other reason is a finding, as is everything else.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import schemathesis
from schemathesis import Case, HookContext, Response

WRITTEN_TO = "PUBLISHED_TRIED"
"""The environment variable that names the file to write to, one JSON object a line."""

_KEY = r"this Idempotency-Key was used for another (request|delivery); use a new one"
_CURSOR = r"this is no cursor; use the 'next' of the page before, unchanged"
# To JSON Schema 5.0 is an integer; where money is read from its literal, 5.0 is not what a customer writes.
_WHOLE = r"must be a whole number from 1 to 1000000|Input should be a valid integer"
# How many decimals are allowed is a setting (the currency), and so are 1e3 and 1000 the same number to the schema.
_AMOUNT = r"must be more than zero|must have at most 2 decimals, as EUR has|must be a plain decimal of at most ten .*"
# Sums over several fields.
_SUM = r"\d+ x .* is .*, not .*|the total .* and the sum of the lines .* differ by .*|the lines come to .*"
# In the body or in a header: one of two places.
_WHO = "say who does it, here or in the header X-Operator"
# What one field may hold depends on another.
_RESOLVED = r"'step', 'effect' and 'evidence' are for resolve; .*|to resolve, say 'step', 'effect' and 'evidence'"
# As with _WHOLE: to JSON Schema 515.0 is an integer.
_INSTANT = "must be an instant such as 2026-01-31T12:00:00Z, or milliseconds since 1970"
_UNFINISHED = "what is .* has ended and stays as it is"
BUSINESS_RULES = {
    "placeOrder": (_KEY, _WHOLE, _AMOUNT, _SUM),
    "placeUserOrder": (_KEY, _WHOLE, _AMOUNT, _SUM),
    "putStock": (_WHOLE, _AMOUNT),
    "restock": (_KEY, _WHOLE),
    "listSagas": (_CURSOR,),
    "findSagas": (_CURSOR,),
    "compensateSaga": (_WHO,),
    "retrySaga": (_WHO,),
    "resolveStep": (_WHO, _RESOLVED),
    "abortSaga": (_WHO,),
    "stopRepair": (_WHO,),
    "previewRepair": (_WHO, _RESOLVED, _UNFINISHED, _INSTANT),
    "beginRepair": (_WHO, _RESOLVED, _UNFINISHED, _INSTANT, _WHOLE),
    "getSagaStatistics": (r"must be from PT1M to P30D .*",),  # a duration can be written in many ways
    "listOrdersOfUser": (_CURSOR,),
    "listPayments": (_CURSOR,),
    "listNotifications": (_CURSOR,),
    "charge": (_WHOLE,),
    "listCalls": (r"no call begins at \d+; pass on what an earlier page gave as next",),
}
BREAKS_ON_PURPOSE = ("charge", "BrokenProvider")
"""The one 5xx there may be: the simulated provider's, for the method by which a customer asks it to break."""

NEED_SOMETHING_UNDER_WAY = {
    "compensateSaga", "retrySaga", "resolveStep", "abortSaga", "stopRepair",
    "showDeadLetter", "replayDeadLetter", "dropDeadLetter", "showEvent",
}  # fmt: skip
"""What they change or show has ended by the time they are tried, or never was; tests of their own see them succeed."""
ENDLESS = {"followSagas", "followSaga"}
"""Their answers do not end, so whoever tries one waits; tests of their own follow them."""
READ_AS_ANOTHER = "previewRepair"
"""Its path with GET is that of a repair with an impossible name: 422 rather than 405."""


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Write down what was answered."""
    _write(case, status=response.status_code)


@schemathesis.hook
def filter_failure(context: HookContext, failure: Exception, case: Case, response: Response) -> bool:
    """Tell whether a failure counts, and write it down if it does."""
    counts = not _is_expected(type(failure).__name__, case, response)
    if counts:
        _write(case, failure=type(failure).__name__)
    return counts


def _is_expected(failure: str, case: Case, response: Response) -> bool:
    match failure:
        case "RejectedPositiveData":
            return _is_business_rule(_id(case), response)
        case "ServerError":
            method = case.body.get("method") if isinstance(case.body, dict) else None
            return (_id(case), method) == BREAKS_ON_PURPOSE
        case "UnsupportedMethodResponse":
            return _id(case) == READ_AS_ANOTHER
    return False


def _write(case: Case, **tried: object) -> None:
    with Path(os.environ[WRITTEN_TO]).open("a") as file:
        file.write(json.dumps({"operation": _id(case), **tried}) + "\n")


def _id(case: Case) -> str:
    return str(case.operation.definition.raw.get("operationId"))


def _is_business_rule(operation: str, response: Response) -> bool:
    if response.status_code != 422:
        return False
    told = response.json()
    reasons = [error["detail"] for error in told.get("errors", ())] or [told["detail"]]
    allowed = "|".join(BUSINESS_RULES.get(operation, ()))
    return all(re.fullmatch(allowed, reason) for reason in reasons)
