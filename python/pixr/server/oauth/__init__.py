"""OAuth 2.0 and JSON Web Tokens, with Authlib and joserfc.

`clients.py` and `tokens.py` adapt the records to Authlib, `flows.py` has the grants and endpoints, `jwt.py` the tokens
that carry a user's context, and `consent.py` the page on which a person agrees.
"""
