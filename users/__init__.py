"""People, workspaces, roles and connections."""
