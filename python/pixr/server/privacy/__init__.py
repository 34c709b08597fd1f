"""What is held about a user or an organization: given out as a file, and deleted with a receipt.

A user is who made videos (`creator.id`) or for whom tokens and searches were made (`sub`). Both walk all tables by
their columns, so that a table added later is not forgotten.
"""
