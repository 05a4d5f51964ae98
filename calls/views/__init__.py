"""Pages. Each asks `access` what the viewer may see; none writes."""
