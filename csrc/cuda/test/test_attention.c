// SPDX-License-Identifier: Apache-2.0
/// Attention over packed sequences, forward and backward.

#include "both.h"

/// Sequences of 1, 0, 33, 70 tokens; with `some`, only every third query of each.
static void test_case(size_t heads, size_t kv_heads, size_t head_dim, bool causal, size_t window,
                      bool some) {
    static const uint32_t lengths[] = {1, 0, 33, 70};
    enum { SEQUENCES = 4 };
    uint32_t query_offsets[SEQUENCES + 1] = {0}, key_offsets[SEQUENCES + 1] = {0};
    uint32_t places[128];
    for (size_t s = 0; s < SEQUENCES; s++) {
        key_offsets[s + 1] = key_offsets[s] + lengths[s];
        query_offsets[s + 1] = query_offsets[s];
        for (uint32_t i = 0; i < lengths[s]; i += some ? 3 : 1)
            places[query_offsets[s + 1]++] = i;
    }
    const size_t queries = query_offsets[SEQUENCES], keys = key_offsets[SEQUENCES];
    const size_t q_count = queries * heads * head_dim, k_count = keys * kv_heads * head_dim;
    triple positions = triple_of(places, queries * sizeof *places);
    triple q = triple_floats(q_count, 2, 201), k = triple_floats(k_count, 2, 202);
    triple v = triple_floats(k_count, 1, 203), o = triple_zeros(q_count);
    triple sums = triple_zeros(queries * heads), d_o = triple_floats(q_count, 1, 204);
    triple dq = triple_zeros(q_count), dk = triple_zeros(k_count), dv = triple_zeros(k_count);
    for (int e = 0; e < ENGINES; e++) {
        const cairn_attention_config config = {
            heads, kv_heads, head_dim, 0.3f, causal, window, SEQUENCES, query_offsets, key_offsets,
            U(positions)};
        const cairn_backend *table = engines[e].table;
        cairn_status status = table->attention_forward(engines[e].context, &config, F(q), F(k),
                                                       F(v), F(o), F(sums));
        expect(status == CAIRN_STATUS_OK, "attention forward: %d", status);
        status = table->attention_backward(engines[e].context, &config, F(q), F(k), F(v), F(o),
                                           F(sums), F(d_o), F(dq), F(dk), F(dv));
        expect(status == CAIRN_STATUS_OK, "attention backward: %d", status);
    }
    char name[96];
    snprintf(name, sizeof name, "%zu heads on %zu of %zu, causal %d, window %zu, some %d", heads,
             kv_heads, head_dim, causal, window, some);
    expect_near(o, q_count, 3e-6, 1, "attention, %s", name);
    expect_near(sums, queries * heads, 3e-6, 1, "log sums, %s", name);
    expect_near(dq, q_count, 1e-5, 1, "dq, %s", name);
    expect_near(dk, k_count, 1e-5, 1, "dk, %s", name);
    expect_near(dv, k_count, 1e-5, 1, "dv, %s", name);
    triple *all[] = {&positions, &q, &k, &v, &o, &sums, &d_o, &dq, &dk, &dv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) triple_free(all[i]);
}

void test_attention(void) {
    test_case(1, 1, 1, false, 0, false);
    test_case(2, 2, 16, false, 0, false);
    test_case(4, 2, 32, true, 0, false);
    test_case(3, 1, 40, true, 0, true);
    test_case(2, 1, 64, true, 9, false);
    test_case(1, 1, 96, true, 33, true);
    test_case(1, 1, 200, true, 0, false);
}
