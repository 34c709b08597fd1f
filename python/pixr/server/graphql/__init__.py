"""GraphQL (extra `pixr[graphql]`): another face of the REST routes, with their services, scopes, limits and codes.

Answers are the dictionaries that the REST routes give; a field is read by its name (`schema.py`), so nothing is
written twice. Each field that stands for a REST call is a call: it needs its scope, and counts (`guard.py`).
"""
