"""How long the storm of Hypothesis blows: briefly and always the same.

For an hour of other weather: ``python3 -m labsupport test -n 0
tests/trace/test_every_step.py --hypothesis-profile=long``
"""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "storm", deadline=None, database=None, derandomize=True, max_examples=6,
    stateful_step_count=30, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck))
settings.register_profile(
    "long", settings.get_profile("storm"), derandomize=False,
    max_examples=200, stateful_step_count=60,
    phases=[Phase.generate, Phase.shrink])
