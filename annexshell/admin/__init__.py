"""What the operator of a gateway does: logic of annexshell-admin, without its output."""
