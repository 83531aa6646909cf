"""One job: a project is brought in step with upstream."""
