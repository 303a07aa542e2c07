// SPDX-License-Identifier: Apache-2.0
/// Memory that was freed, and that the allocator holds for the next one who asks.

internal import CCairn

package enum FreedMemory {
    /// Gives it back to the system, before something large is put in another place.
    package static func release() { cairn_release_freed_memory() }
}
