// SPDX-License-Identifier: Apache-2.0
/// The header that pkg-config finds for the MPI that was asked for.

#include <mpi.h>
