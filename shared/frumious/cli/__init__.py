"""The command: the mirror's verbs, on one machine."""
