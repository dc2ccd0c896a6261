"""What is offered for copying."""
