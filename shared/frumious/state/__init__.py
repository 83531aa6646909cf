"""The mirror's memory in its own storage: cursor, runs, results, lagging projects, pages."""
