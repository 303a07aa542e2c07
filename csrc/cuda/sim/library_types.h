// SPDX-License-Identifier: Apache-2.0
/// The types of numbers that a matrix of cuBLASLt may have here.

#pragma once

enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_16BF = 14 };
typedef cudaDataType_t cudaDataType;
