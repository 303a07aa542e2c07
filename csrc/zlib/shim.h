// SPDX-License-Identifier: Apache-2.0
/// The system's zlib, which a Swift toolchain on Linux needs anyway and Apple's SDKs ship.

#include <zlib.h>
