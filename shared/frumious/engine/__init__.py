"""The verbs: plan, sync, finalize. Each is made of the rooms below it, and decides the order."""
