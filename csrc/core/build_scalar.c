// SPDX-License-Identifier: Apache-2.0
/// The kernels for any machine: the definition that every other build must equal.

#include "core/core.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CAIRN_ROW cairn_kernels_scalar
#define CAIRN_BUILD_SCALAR 1
#include "core/build.h"
