"""How convolutions and filter gradients are computed, and which way is the fastest.

`theory.convolution` and `theory.gradients` say what is computed, and check what they are given. The
methods behind them are here: sums (`direct_convolution`, `gradient_sums`), transforms
(`fast_convolution`, `fast_gradients`), and how much each one rounds. A plan (`convolution_plan`,
`gradient_plan`) takes one of them for given shapes and types; for ``method="auto"`` it asks
`choice`, a model of the seconds, whose `costs` were measured on some machine by `calibration`.
"""
