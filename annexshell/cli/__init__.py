"""Programs: the restricted shell and the administration command."""
