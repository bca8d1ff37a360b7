"""What a lesson looks at an engine and at the event loop with."""
