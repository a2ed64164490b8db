"""What the claims ask: each file answers the questions of one kind, with the networks and the loop that all share."""
