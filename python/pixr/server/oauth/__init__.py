"""OAuth 2.0 and JSON Web Tokens, with Authlib and joserfc.

`clients.py` and `tokens.py` are the records as Authlib sees them, `flows.py` the grants and endpoints, `jwt.py` tokens
that carry a user's context, `consent.py` the page on which a person agrees.
"""
