"""A stack that is deployed, mirrors a project, serves it to pip, and is deleted: `make smoke`."""
