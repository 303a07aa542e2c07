// SPDX-License-Identifier: Apache-2.0
/// Exponential, logarithm, power, sine and cosine of doubles: one definition for every system.

#ifndef CAIRN_MATH_DOUBLE_H
#define CAIRN_MATH_DOUBLE_H

/// exp(x + tail), where |tail| is far below |x| (0 as a rule).
double cairn_exp_double(double x, double tail);

/// The logarithm of a positive finite number as the sum of a double and a small rest.
double cairn_log_double(double x, double *rest);

/// Sine and cosine of an angle of at most 1e6 in absolute value.
void cairn_sincos_double(double angle, double *sine, double *cosine);

#endif
