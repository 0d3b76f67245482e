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
BUSINESS_RULES = {
    "placeOrder": (_KEY, _WHOLE, _AMOUNT, _SUM),
    "placeUserOrder": (_KEY, _WHOLE, _AMOUNT, _SUM),
    "putStock": (_WHOLE, _AMOUNT),
    "restock": (_KEY, _WHOLE),
    "listSagas": (_CURSOR,),
    "listOrdersOfUser": (_CURSOR,),
    "listPayments": (_CURSOR,),
    "listNotifications": (_CURSOR,),
    "charge": (_WHOLE,),
    "listCalls": (r"no call begins at \d+; pass on what an earlier page gave as next",),
}
BREAKS_ON_PURPOSE = ("charge", "BrokenProvider")
"""The one 5xx there may be: the simulated provider's, for the method by which a customer asks it to break."""


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
