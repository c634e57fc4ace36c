"""Recurrent layers. Gates in MIL's order: input, forget, output, cell; of `gru`: reset, output, update.

coremltools' documentation of `gru` contradicts its own test, which Apple runs against Core ML
(ops/tests/iOS14/test_recurrent.py of apple/coremltools): the reset gate comes before the product. What `reset_after`
does (iOS 18) is documented only. Of a layer that goes backwards alone, outputs come in the order in which they are
computed, as that file has it; those of both directions come in the order of the input.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from anelab.export.mil.activation import sigmoid_hard
from anelab.export.mil.operators import operator

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(2 / 3 * x),
    "sigmoid": torch.sigmoid,
    "sigmoid_hard": lambda x: sigmoid_hard(x, 0.2, 0.5),
    "tanh": torch.tanh,
}
Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def _over_time(x: Tensor, state: tuple[Tensor, ...], step: Step, backwards: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Hidden states (time, batch, features) in the order in which they are computed, and the last state."""
    times = range(x.shape[0])
    hidden: list[Tensor] = []
    for time in reversed(times) if backwards else times:
        state = step(x[time], state)
        hidden.append(state[0])
    return torch.stack(hidden), state


def _last(states: Tensor, state: Tensor, output_sequence: bool) -> Tensor:
    return states if output_sequence else state.unsqueeze(0)


def _lstm_way(
    x: Tensor,
    state: tuple[Tensor, ...],
    weights: tuple[Tensor, Tensor, Tensor | None, Tensor | None],
    activations: tuple[str, str, str],
    clip: float | None,
    backwards: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    weight_ih, weight_hh, bias, peephole = weights
    gate, cell, output = (ACTIVATIONS[name] for name in activations)
    peeps = peephole.chunk(3) if peephole is not None else None
    scores = x @ weight_ih.T if bias is None else x @ weight_ih.T + bias

    def step(now: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h, c = state
        i, f, o, z = (now + h @ weight_hh.T).chunk(4, -1)
        if peeps:
            i, f = i + peeps[0] * c, f + peeps[1] * c
        if clip is not None:
            i, f, z = (value.clamp(-clip, clip) for value in (i, f, z))
        c = gate(f) * c + gate(i) * cell(z)
        o = o + peeps[2] * c if peeps else o
        return gate(o if clip is None else o.clamp(-clip, clip)) * output(c), c

    return _over_time(scores, state, step, backwards)


@operator()
def lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    peephole: Tensor | None = None,
    weight_ih_back: Tensor | None = None,
    weight_hh_back: Tensor | None = None,
    bias_back: Tensor | None = None,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """x (time, batch, features); both directions' states lie side by side in initial_h and initial_c."""
    names = (recurrent_activation, cell_activation, activation)
    ahead = (weight_ih, weight_hh, bias, peephole)
    if direction != "bidirectional":
        states, (h, c) = _lstm_way(x, (initial_h, initial_c), ahead, names, clip, direction == "reverse")
        return _last(states, h, output_sequence), h, c
    assert weight_ih_back is not None and weight_hh_back is not None
    back = (weight_ih_back, weight_hh_back, bias_back, peephole_back)
    starts = zip(initial_h.chunk(2, -1), initial_c.chunk(2, -1), strict=True)
    (first, (h, c)), (second, (hb, cb)) = (
        _lstm_way(x, start, weights, names, clip, backwards)
        for start, weights, backwards in zip(starts, (ahead, back), (False, True), strict=True)
    )
    h, c = torch.cat([h, hb], -1), torch.cat([c, cb], -1)
    return _last(torch.cat([first, second.flip(0)], -1), h, output_sequence), h, c


@operator()
def rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    output = ACTIVATIONS[activation]
    scores = x @ weight_ih.T if bias is None else x @ weight_ih.T + bias
    states, (h,) = _over_time(
        scores, (initial_h,), lambda now, state: (output(now + state[0] @ weight_hh.T),), direction == "reverse"
    )
    return _last(states, h, output_sequence), h


@operator()
def gru(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: bool = False,
    input_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """x (time, batch, features)"""
    gate, output = ACTIVATIONS[recurrent_activation], ACTIVATIONS[activation]
    scores = x @ weight_ih.T if input_bias is None else x @ weight_ih.T + input_bias
    weight_r, weight_o, weight_z = weight_hh.chunk(3)
    bias_r, bias_o, bias_z = (bias if bias is not None else weight_hh.new_zeros(len(weight_hh))).chunk(3)

    def step(now: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = state
        r, o, z = now.chunk(3, -1)
        r, z = gate(r + h @ weight_r.T + bias_r), gate(z + h @ weight_z.T + bias_z)
        o = o + (r * (h @ weight_o.T + bias_o) if reset_after else (r * h) @ weight_o.T + bias_o)
        return ((1 - z) * output(o) + z * h,)

    states, (h,) = _over_time(scores, (initial_h,), step, direction == "reverse")
    return _last(states, h, output_sequence), h
