"""Exports what is held about a user or an organization as a file, and deletes it with a receipt.

A user is anyone who made videos (`creator.id`), or for whom tokens and searches were made (`sub`). Export and deletion
go through all tables by their columns, so that a table that is added later is not forgotten.
"""
