// SPDX-License-Identifier: Apache-2.0
/// The header that pkg-config's `cairncuda` finds.

#include <cairn_cuda.h>
