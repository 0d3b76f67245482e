"""The payment service's part in the saga: charge the order, or make sure that no money is kept."""

from __future__ import annotations

from events import PaymentFailed, PaymentProcessed, PaymentRefunded, StockReserved
from payment_service import model, store
from payment_service.gateway import Charged, Gateway
from sagastream import Participant, Transaction

payment = Participant("payment")


@payment.on(StockReserved, outside=True)
async def charge(reserved: StockReserved, tx: Transaction, gateway: Gateway) -> PaymentProcessed | PaymentFailed:
    """Charge the order's total, once, under this step's own key."""
    answer = await gateway.charge(tx.key, reserved.total_cents, reserved.currency, reserved.payment_method)

    if isinstance(answer, Charged) and answer.is_given_back:
        # The store was set back to before this saga's undo (fail-over, older backup); the provider's record was not.
        returned = model.given_back_before(reserved, tx.key, answer, tx.now_ms)
        store.save(tx, returned)
        return model.failed(returned)
    if isinstance(answer, Charged):
        paid = model.charged(reserved, tx.key, answer, tx.now_ms)
        store.save(tx, paid)
        return model.processed(paid)
    unpaid = model.refused(reserved, tx.key, answer, tx.now_ms)
    store.save(tx, unpaid)
    return model.failed(unpaid)


@payment.close(PaymentProcessed)
async def close(reserved: StockReserved, tx: Transaction, gateway: Gateway) -> PaymentProcessed | None:
    """Forbid a charge that was begun, and return the payment if it had landed before."""
    # A worker paused inside `charge` may still make its call: after this it is refused, and a charge
    # that landed before is reported here. Asking without closing would leave a gap between the two.
    answer = await gateway.close(tx.key)

    if answer.taken is None:
        store.save(tx, model.closed(reserved, tx.key, tx.now_ms))
        return None
    paid = model.charged(reserved, tx.key, answer.taken, tx.now_ms)
    store.save(tx, paid)
    return model.processed(paid)


@payment.undo(PaymentProcessed, outside=True)
async def refund(processed: PaymentProcessed, tx: Transaction, gateway: Gateway) -> PaymentRefunded:
    """Refund the charge, under the key it was taken with."""
    paid = await store.load(tx, processed.order_id)
    if paid is None:
        raise LookupError(
            f"the payment of order {processed.order_id} is not stored, so its key is unknown;"
            " restore it, then ask again"
        )
    if not paid.key.startswith(f"{tx.saga_id}."):
        raise LookupError(
            f"the payment of order {processed.order_id} was made under {paid.key}, not by saga {tx.saga_id};"
            " nothing of another saga is given back"
        )

    answer = await gateway.refund(paid.key)

    returned = model.refunded(paid, answer, tx.now_ms)
    store.save(tx, returned)
    return model.given_back(returned)
