"""Sends webhooks: who wants which events, the queue of deliveries, and the courier that empties it.

    events.record ─▶ outbox: a delivery for each endpoint, in the transaction of the cause
    courier ─▶ queue.claim ─▶ sender: one signed request ─▶ queue.settle: done, later, or never again

What receivers need is in `pixr.webhooks`.
"""
