"""What a lesson asks and proves: predictions, claims, exercises."""
