"""Controls that set a Scenario: its options, who comes, and presets."""

from ipywidgets import (
    Button,
    Checkbox,
    Dropdown,
    FloatSlider,
    HBox,
    IntSlider,
    SelectionSlider,
    VBox,
)

from ..measuring.scenario import CLIENTS, PRESETS, WHO, Scenario

USUAL = Scenario()
WIDE = {"layout": {"width": "27em"}, "style": {"description_width": "9em"}}
WRAPPED = {"flex_flow": "row wrap", "max_width": "880px"}


class PoolControls(VBox):
    """A control for each field of a Scenario, and a button for each preset.

    ``moved`` is called after a change: once for a preset.
    """

    def __init__(self, moved):
        self._moved, self._several = moved, False
        def slider(name, least, most, words=None):
            return IntSlider(getattr(USUAL, name), least, most,
                             description=words or name, **WIDE)

        def choice(name, values, words=None):
            return SelectionSlider(options=values, value=getattr(USUAL, name),
                                   description=words or name, **WIDE)

        self.controls = {
            "who": Dropdown(options=WHO, description="who comes", **WIDE),
            "rate": slider("rate", 1, 200, "requests/s"),
            "clients": slider("clients", 1, 60),
            "hold": FloatSlider(
                USUAL.hold, min=.01, max=.5, step=.01, readout_format=".2f",
                description="a hold, in s", **WIDE),
            "speed": choice("speed", [("a quarter", .25), ("half", .5),
                                      ("as it is", 1), ("double", 2)],
                            "server's speed"),
            "pool_size": slider("pool_size", 1, 30),
            "max_overflow": slider("max_overflow", 0, 30),
            "pool_timeout": choice("pool_timeout", [
                (f"{one:g} s", one)
                for one in (.1, .25, .5, 1, 2, 5, 10, 30)]),
            "pool_recycle": choice("pool_recycle", [
                ("never", -1), *((f"{one:g} s", one)
                                 for one in (10, 5, 2, 1, .5))]),
            "pool_pre_ping": Checkbox(description="pool_pre_ping", **WIDE),
            "pool_use_lifo": Checkbox(description="pool_use_lifo", **WIDE),
        }
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self.presets = [self._preset(*one) for one in PRESETS.items()]
        super().__init__([HBox(self.presets, layout=WRAPPED),
                          HBox([*self.controls.values()], layout=WRAPPED)])
        self._enable()

    @property
    def scenario(self):
        """The Scenario that is set."""
        return Scenario(**{name: control.value for name, control
                           in self.controls.items()})

    def _changed(self, _change=None):
        if not self._several:
            self._enable()
            self._moved()

    def _enable(self):
        clients = self.scenario.who == CLIENTS
        self.controls["clients"].disabled = not clients
        self.controls["rate"].disabled = clients

    def _preset(self, name, scenario):
        button = Button(description=name, layout={"width": "auto"},
                        tooltip=f"set what stands for: {name}")

        def press(_button):
            self._several = True
            for control, value in scenario._asdict().items():
                self.controls[control].value = value
            self._several = False
            self._changed()

        button.on_click(press)
        return button
