"""Where call audio comes in: one protocol per module, one clock per call (`session`)."""
