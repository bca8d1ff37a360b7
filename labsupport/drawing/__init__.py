"""Pictures: the shapes, their colours, and how a picture is shown."""
