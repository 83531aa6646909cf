"""The closure: what selected projects need is mirrored too."""
