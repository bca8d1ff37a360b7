"""Simulated and measured latency by the size of the pool."""

import re
from xml.etree import ElementTree

import pytest

from labsupport.measuring.curve import curve
from labsupport.measuring.forecast import Forecast
from labsupport.measuring.load import OpenLoop
from labsupport.measuring.pool_run import OneEach, Pool
from labsupport.measuring.simulation import simulate


def forecast_of(size, factor=1.0, cpu=.1):
    """Two requests of 0.1 s almost at once, and ``factor`` × as slow."""
    run = simulate(Pool(size, 0), OneEach([0.0, 0.01], [.1, .1]))
    rows = [(came, came, came + factor * (left - came), None)
            for came, left in zip(run.came, run.left)]
    return Forecast(Pool(size, 0), .1, 0.0, run, OpenLoop(rows, cpu))


def test_each_size_with_both_numbers_and_the_error_between_them():
    figure = curve([forecast_of(1), forecast_of(2, factor=1.25)])
    assert "1 to 2 connections" in figure.alt
    assert "differ by 20% at most." in figure.alt and "CPU" not in figure.alt
    rows = [line.split() for line in figure.text.splitlines()]
    assert "1 190 ms 190 ms +0%".split() in rows  # the second had to wait
    assert "2 100 ms 125 ms -20%".split() in rows


def heights(svg):
    """The heights (lists of float) of lines, circles and squares."""
    ElementTree.fromstring(svg)
    lines = [[float(point.split(",")[1]) for point in points.split()]
             for points in re.findall(r'<polyline points="([^"]+)"', svg)]
    circles = re.findall(r'cy="([\d.]+)" r="5"', svg)
    squares = re.findall(r'd="M[\d.]+ ([\d.]+)m-5', svg)
    return lines, [*map(float, circles)], [*map(float, squares)]


def test_a_mark_lies_on_its_line_if_the_simulation_is_right():
    (p50, p95), circles, squares = heights(
        curve([forecast_of(1), forecast_of(2)]).svg)
    assert circles[:2] == p50 and squares[:2] == p95  # then the legend's
    assert p95[0] < p95[1]  # later is higher up
    _, off, _ = heights(curve([forecast_of(1), forecast_of(2, 1.25)]).svg)
    assert off[1] < off[0]


@pytest.mark.parametrize("cpu, said", [(.1, False), (.9, True)])
def test_it_says_when_the_cpu_is_the_limit(cpu, said):
    figure = curve([forecast_of(1), forecast_of(2, cpu=cpu)])
    assert ("The CPU is the limit" in figure.alt) == said
