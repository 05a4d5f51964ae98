"""Pages, and what they post (`act`). Each asks `access` what the viewer may see; `act` and looks write."""
