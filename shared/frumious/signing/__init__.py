"""Keys and signatures in the format of minisign: Ed25519, with a signed comment.

The modules import `cryptography`, which is slow: import them where they are used.
"""
