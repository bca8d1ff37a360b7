"""Simulated and measured latency by the size of the pool."""

import pytest

from labsupport.measuring.curve import curve
from labsupport.measuring.forecast import Forecast
from labsupport.measuring.load import OpenLoop
from labsupport.measuring.pool_run import OneEach, Pool
from labsupport.measuring.simulation import simulate


def forecast_of(size, factor=1.0, cpu=.1):
    """Two requests of 0.1 s at once, measured as ``factor`` × simulated."""
    run = simulate(Pool(size, 0), OneEach([0.0, 0.01], [.1, .1]))
    rows = [(came, came, came + factor * (left - came), None)
            for came, left in zip(run.came, run.left)]
    return Forecast(Pool(size, 0), .1, 0.0, run, OpenLoop(rows, cpu))


def test_each_size_with_both_numbers_and_the_error_between_them():
    figure = curve([forecast_of(1), forecast_of(2, factor=1.25)])
    assert "1 to 2 connections" in figure.alt
    assert "differ by 20% at most." in figure.alt and "CPU" not in figure.alt
    rows = [line.split() for line in figure.text.splitlines()]
    assert ["1", "190", "190", "+0%"] in rows  # the second had to wait
    assert ["2", "100", "125", "-20%"] in rows
    assert figure.svg.count("<polyline") >= 4


@pytest.mark.parametrize("cpu, said", [(.1, False), (.9, True)])
def test_it_says_when_the_cpu_is_the_limit(cpu, said):
    figure = curve([forecast_of(1), forecast_of(2, cpu=cpu)])
    assert ("The CPU is the limit" in figure.alt) == said
