"""The access tokens of a private mirror: what clients send, and the store that the edge reads."""
