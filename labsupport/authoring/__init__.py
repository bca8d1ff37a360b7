"""For maintainers: notebooks in their stored form, rules of a lesson."""
