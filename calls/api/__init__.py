"""/api/v1/: what programs read, by token; nothing that its owner could not see on a page."""
