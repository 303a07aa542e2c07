// SPDX-License-Identifier: Apache-2.0
/// Gradients of weights in groups that are cut, resumed and suspended.

#include "both.h"

static void test_groups(const part *p, size_t out, size_t in, cairn_precision precision) {
    triple dy = triple_floats(PART_ROWS * out, 1, 221), x = triple_floats(PART_ROWS * in, 1, 222);
    triple sum = triple_floats(out * in, 1, 223);
    triple open = p->partition.resumes ? triple_floats(out * in, 1, 224) : triple_zeros(out * in);
    EACH(matmul_gradient, precision, &p->partition, out, in, F(dy), F(x),
         ((cairn_gradient){F(sum), F(open)}));
    expect_near(sum, out * in, 2e-6, 4, "gradient %zu x %zu, precision %d, %s: sum", out, in,
                precision, p->name);
    // What a finished group leaves in `open` is nobody's: the next one overwrites it.
    if (p->partition.suspends)
        expect_near(open, out * in, 2e-6, 4, "gradient %zu x %zu, precision %d, %s: open", out, in,
                    precision, p->name);
    triple_free(&dy);
    triple_free(&x);
    triple_free(&sum);
    triple_free(&open);
}

/// More groups than a launch takes.
static void test_many(void) {
    enum { GROUPS = 150, ROWS = 2 * GROUPS, OUT = 3, IN = 5 };
    uint32_t offsets[ROWS + 1], groups[GROUPS + 1];
    for (uint32_t i = 0; i <= ROWS; i++) offsets[i] = i;
    for (uint32_t i = 0; i <= GROUPS; i++) groups[i] = 2 * i;
    const cairn_partition partition = {ROWS, offsets, GROUPS, groups, true, true};
    triple dy = triple_floats(ROWS * OUT, 1, 231), x = triple_floats(ROWS * IN, 1, 232);
    triple sum = triple_floats(OUT * IN, 1, 233), open = triple_floats(OUT * IN, 1, 234);
    EACH(matmul_gradient, CAIRN_PRECISION_FP32, &partition, OUT, IN, F(dy), F(x),
         ((cairn_gradient){F(sum), F(open)}));
    expect_near(sum, OUT * IN, 2e-6, 10, "150 groups: sum");
    expect_near(open, OUT * IN, 2e-6, 10, "150 groups: open");
    EACH(bias_gradient, &partition, OUT, F(dy), ((cairn_gradient){F(sum), F(open)}));
    expect_near(sum, OUT, 2e-6, 10, "150 groups, bias: sum");
    expect_near(open, OUT, 2e-6, 10, "150 groups, bias: open");
    triple_free(&dy);
    triple_free(&x);
    triple_free(&sum);
    triple_free(&open);
}

void test_gradient(void) {
    for (cairn_precision p = CAIRN_PRECISION_FP32; p <= CAIRN_PRECISION_BF16; p++)
        for (size_t i = 0; i < part_count; i++) {
            test_groups(&parts[i], 1, 1, p);
            test_groups(&parts[i], 20, 90, p);
            test_groups(&parts[i], 130, 140, p);
            // Large enough that cuBLASLt takes a resumed group of five rows.
            test_groups(&parts[i], 229, 230, p);
        }
    test_many();
}
