"""Examples of the coordinator's answers for its OpenAPI document. Data; decides nothing.

The saga waits for its payment. Null fields are left out here, and restored by `published`.
"""

from __future__ import annotations

from pydantic.config import JsonDict

from sagastream.pages import EXAMPLE_CURSOR

_AT = "2026-01-31T12:00:00.541Z"
_LATER = "2026-01-31T12:00:30.575Z"
SAGA_ID = "08d2ff4e32273c7fd87def91dfbbc7ee"
_EVENT_ID = "9875ada24959509786963e93cd2b4098"

SAGA: JsonDict = {
    "sagaId": SAGA_ID,
    "businessProcess": "order",
    "version": 1,
    "initiatorId": "customer-1",
    "status": "InProgress",
    "startedAt": _AT,
    "remainingSteps": ["charge payment", "confirm order", "notify customer"],
    "waitingFor": {
        "who": "payment",
        "step": "charge payment",
        "what": "PaymentProcessed or PaymentFailed",
        "why": "reserve stock is done",
        "since": _AT,
        "until": _LATER,
        "asked": 0,
    },
}
PAGE: JsonDict = {"sagas": [SAGA], "next": EXAMPLE_CURSOR}
_NOTE: JsonDict = {
    "at": _AT,
    "type": "StockReserved",
    "source": "stock",
    "id": _EVENT_ID,
    "cause": "c659a5d127c7d995a997e55e7a7c0837",
    "step": "reserve stock",
    "kind": "done",
}
STATE: JsonDict = {
    **SAGA,
    "failing": [
        {
            "service": "payment",
            "handler": "charge",
            "failed": 2,
            "reason": "the card company does not answer",
            "again": _LATER,
        }
    ],
    "open": [],
    "leftOpen": [],
    "steps": [
        {
            "name": "reserve stock",
            "service": "stock",
            "status": "Done",
            "startedAt": _AT,
            "endedAt": _AT,
            "durationMs": 5,
            "eventIds": {"done": _EVENT_ID},
        },
        {"name": "charge payment", "service": "payment", "status": "Waiting", "startedAt": _AT, "eventIds": {}},
    ],
    "history": [_NOTE],
}
_DURATION: JsonDict = {"count": 95, "averageMs": 23.8, "p50Ms": 20.4, "p95Ms": 60.0, "p99Ms": 92.0}
_TOTALS: JsonDict = {
    "started": 100,
    "active": 5,
    "ended": 95,
    "turnedBack": 4,
    "byStatus": {"InProgress": 5, "Completed": 90, "Compensated": 4, "Failed": 1},
    "successRate": 0.947,
    "compensationRate": 0.04,
    "duration": _DURATION,
}
STATISTICS: JsonDict = {
    **_TOTALS,
    "from": _AT,
    "to": "2026-01-31T13:00:00.602Z",
    "lateEvents": 0,
    "processes": [
        {
            **_TOTALS,
            "businessProcess": "order",
            "steps": [
                {
                    "name": "reserve stock",
                    "done": 99,
                    "refused": 1,
                    "undone": 4,
                    "barred": 0,
                    "gaveUp": 0,
                    "timeouts": 0,
                    "undoFailures": 0,
                    "duration": _DURATION,
                }
            ],
        }
    ],
}
FAMILY: JsonDict = {
    "type": "counter",
    "help": "Sagas begun",
    "samples": [{"labels": {"business_process": "order"}, "value": 100.0}],
}
REPAIRED: JsonDict = {
    "sagaId": SAGA_ID,
    "action": "retry",
    "actor": "ann",
    "id": "0f5be4ef24c35fd2c78e5b9b0f1e7d3a",
    "changed": True,
    "told": "charge payment is asked for again",
    "saga": SAGA,
}
TRAIL: JsonDict = {
    "entries": [
        {
            "at": _AT,
            "id": "0f5be4ef24c35fd2c78e5b9b0f1e7d3a",
            "action": "retry",
            "actor": "ann",
            "reason": "the card company is reachable again",
            "told": "charge payment is asked for again",
            "sagaId": SAGA_ID,
            "businessProcess": "order",
            "before": "InProgress",
            "after": "InProgress",
        }
    ],
    "next": "1769860800541-0",
}
PREVIEW: JsonDict = {
    "action": "retry",
    "count": 15000,
    "exact": True,
    "sample": [
        {
            "sagaId": SAGA_ID,
            "waitsFor": "payment: charge payment",
            "would": "changed",
            "told": "charge payment is asked for again",
        }
    ],
}
CAMPAIGN: JsonDict = {
    "id": "00f1c2d3a4b5c6d7",
    "action": "retry",
    "actor": "ann",
    "reason": "the card company is reachable again",
    "state": "running",
    "atMost": 15000,
    "perSecond": 20.0,
    "stopAtErrorRate": 0.1,
    "createdAt": _AT,
    "visited": 600,
    "changed": 597,
    "unchanged": 2,
    "refused": 1,
    "failed": 0,
    "problem": "it has ended and stays as it is",
}
LETTER: JsonDict = {
    "id": "1769860830575-0",
    "owner": "payment",
    "at": _LATER,
    "type": "StockReserved",
    "sagaId": SAGA_ID,
    "sagaStatus": "NeedsAttention",
    "reason": "the card company does not answer",
    "attempts": 5,
    "fate": "open",
}
_MESSAGE: JsonDict = {
    "id": _EVENT_ID,
    "source": "stock",
    "type": "StockReserved",
    "time": _AT,
    "correlationid": SAGA_ID,
    "data": '{"orderId": "388292668e9a475180f2f4ab76ae0a0a"}',
}
WHOLE_LETTER: JsonDict = {
    **LETTER,
    "stream": "saga:{stock}:events:StockReserved",
    "entry": "1769860800541-0",
    "message": _MESSAGE,
}
LETTERS: JsonDict = {"letters": [LETTER], "next": "1769860830575-0.payment"}
MESSAGE: JsonDict = {"entry": "1769860800541-0", "message": _MESSAGE}
STREAMS: JsonDict = {
    "at": _LATER,
    "streams": [
        {
            "name": "saga:{stock}:events:StockReserved",
            "owner": "stock",
            "length": 100,
            "groups": [
                {
                    "name": "payment",
                    "lag": 0,
                    "pending": 1,
                    "oldestPendingAgeMs": 30034,
                    "consumers": [{"name": "1", "pending": 1, "askedAgeMs": 120, "givenAgeMs": 30034}],
                    "missing": False,
                }
            ],
        }
    ],
}
DEFINITION: JsonDict = {
    "businessProcess": "order",
    "version": 1,
    "begunBy": "order",
    "beginsWith": "OrderCreated",
    "cancelledBy": "OrderCancelled",
    "cancellation": "OrderCancellationRequested",
    "steps": [
        {
            "name": "reserve stock",
            "service": "stock",
            "done": "StockReserved",
            "refused": "StockReservationFailed",
            "undone": "StockReleased",
            "pivot": False,
            "withinMs": 30000,
        }
    ],
}
CONSOLE: JsonDict = {
    "version": "0.1.0",
    "trial": {
        "title": "Place an order",
        "path": "/api/orders/choreographed-saga",
        "recipes": [{"name": "All goes well", "told": "stock, payment, notice", "body": {"customerId": "customer-1"}}],
    },
}
