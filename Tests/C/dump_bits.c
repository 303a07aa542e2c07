// SPDX-License-Identifier: Apache-2.0
/// One line per operation: a hash of the bits that it computes from fixed inputs.
///
/// Every instruction set of this machine must give the same hash, with 1 and with 3 threads; the
/// lines name none, so that two machines are compared with `diff`.

#include "check.h"

static const cairn_backend *const engine = &cairn_backend_cpu;

/// FNV-1a over the bits of numbers; every NaN counts as the same one.
typedef struct digest {
    uint64_t value;
} digest;

static void add_word(digest *d, uint32_t word) {
    for (int byte = 0; byte < 4; byte++)
        d->value = (d->value ^ (word >> 8 * byte & 0xff)) * 0x100000001b3u;
}

static void add_floats(digest *d, const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        add_word(d, x[i] != x[i] ? 0x7fc00000u : bits);
    }
}

static void add_double(digest *d, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    add_word(d, (uint32_t)bits);
    add_word(d, (uint32_t)(bits >> 32));
}

static void require(cairn_status status, const char *name) {
    check(status == CAIRN_STATUS_OK, "%s gave status %d", name, (int)status);
}

enum { ROWS = 37, WIDTH = 83, SEQUENCES = 5, GROUPS = 3, CLASSES = 29, COUNT = ROWS * WIDTH };

static const uint32_t offsets[SEQUENCES + 1] = {0, 7, 7, 20, 33, ROWS};
static const uint32_t groups[GROUPS + 1] = {0, 2, 4, SEQUENCES};
static const cairn_partition partition = {SEQUENCES, offsets, GROUPS, groups, false, false};

/// Memory that an operation's inputs and outputs are taken from; cleared before each operation.
static float arena[1 << 20];
static size_t used;

static float *zeros(size_t count) {
    float *x = arena + used;
    used += count;
    if (used > sizeof arena / sizeof *arena) abort();
    memset(x, 0, count * sizeof(float));
    return x;
}

static float *numbers(size_t count) {
    float *x = zeros(count);
    for (size_t i = 0; i < count; i++) x[i] = 3 * random_float();
    return x;
}

static float *positive(size_t count) {
    float *x = zeros(count);
    for (size_t i = 0; i < count; i++) x[i] = 1.5f + random_float();
    return x;
}

/// Weights below 2 in a 16-bit type, or fp32.
static void *weights(size_t count, cairn_dtype dtype) {
    if (dtype == CAIRN_DTYPE_F32) return numbers(count);
    uint16_t *words = (uint16_t *)zeros((count + 1) / 2);
    for (size_t i = 0; i < count; i++) words[i] = (uint16_t)(random_word() & 0xbfff);
    return words;
}

static uint32_t *indices(size_t count, size_t bound) {
    uint32_t *x = (uint32_t *)zeros(count);
    for (size_t i = 0; i < count; i++) x[i] = (uint32_t)random_below(bound);
    return x;
}

static cairn_gradient gradient(size_t count) {
    return (cairn_gradient){zeros(count), zeros(count)};
}

static void matmul(cairn_context *context, digest *d) {
    for (int i = 0; i < 24; i++) {
        const cairn_dtype dtype = (cairn_dtype)(i % 3);
        const cairn_matmul_config config = {i / 3 % 2 ? CAIRN_PRECISION_BF16 : CAIRN_PRECISION_FP32,
                                            i % 4 ? 1 : 0.3f, i % 5 == 0};
        const bool a_transposed = i / 6 % 2, b_transposed = i / 12 % 2;
        const size_t m = ROWS, n = WIDTH, k = 345, k2 = 9;
        const cairn_matrix a = {numbers(m * k), CAIRN_DTYPE_F32, a_transposed ? m : k,
                                a_transposed};
        const cairn_matrix b = {weights(k * n, dtype), dtype, b_transposed ? k : n, b_transposed};
        const cairn_matrix a2 = {numbers(m * k2), CAIRN_DTYPE_F32, k2, false};
        const cairn_matrix b2 = {numbers(k2 * n), CAIRN_DTYPE_F32, n, false};
        float *bias = numbers(n), *c = numbers(m * n);
        require(engine->matmul(context, &config, m, n, k, &a, &b, i % 2 ? k2 : 0, &a2, &b2,
                               i % 7 ? bias : NULL, c, n),
                "matmul");
        add_floats(d, c, m * n);
        used = 0;
    }
}

static void matmul_gradient(cairn_context *context, digest *d) {
    for (int bf16 = 0; bf16 < 2; bf16++) {
        const float *dy = numbers(COUNT), *x = numbers(ROWS * CLASSES);
        const cairn_gradient g = gradient(WIDTH * CLASSES);
        require(engine->matmul_gradient(context, (cairn_precision)bf16, &partition, WIDTH, CLASSES,
                                        dy, x, g),
                "matmul_gradient");
        add_floats(d, g.sum, WIDTH * CLASSES);
    }
}

static void attention(cairn_context *context, digest *d) {
    for (int i = 0; i < 4; i++) {
        enum { TOKENS = 190, HEADS = 6, KV_HEADS = 2, DIM = 20 };
        const uint32_t starts[] = {0, 150, 150, TOKENS};
        uint32_t *positions = (uint32_t *)zeros(TOKENS);
        for (uint32_t t = 0; t < TOKENS; t++) positions[t] = t < 150 ? t : t - 150;
        const cairn_attention_config config = {
            HEADS, KV_HEADS, DIM, 0.22f, i % 2 == 1, i == 3 ? 17 : 0, 3, starts, starts, positions};
        const float *q = numbers(TOKENS * HEADS * DIM), *k = numbers(TOKENS * KV_HEADS * DIM);
        const float *v = numbers(TOKENS * KV_HEADS * DIM), *d_o = numbers(TOKENS * HEADS * DIM);
        float *o = zeros(TOKENS * HEADS * DIM), *log_sums = zeros(TOKENS * HEADS);
        float *dq = zeros(TOKENS * HEADS * DIM), *dk = zeros(TOKENS * KV_HEADS * DIM);
        float *dv = zeros(TOKENS * KV_HEADS * DIM);
        require(engine->attention_forward(context, &config, q, k, v, o, log_sums),
                "attention_forward");
        require(engine->attention_backward(context, &config, q, k, v, o, log_sums, d_o, dq, dk, dv),
                "attention_backward");
        add_floats(d, o, TOKENS * HEADS * DIM);
        add_floats(d, log_sums, TOKENS * HEADS);
        add_floats(d, dq, TOKENS * HEADS * DIM);
        add_floats(d, dk, TOKENS * KV_HEADS * DIM);
        add_floats(d, dv, TOKENS * KV_HEADS * DIM);
        used = 0;
    }
}

static void rope(cairn_context *context, digest *d) {
    enum { HALF = 13, HEADS = 3, PLACES = 700 };
    double frequencies[HALF];
    for (int j = 0; j < HALF; j++) {
        frequencies[j] = cairn_power(10000, -(double)j / HALF);
        add_double(d, frequencies[j]);
    }
    float *cosine = zeros(PLACES * HALF), *sine = zeros(PLACES * HALF);
    cairn_rope_table(PLACES, HALF, frequencies, cosine, sine);
    add_floats(d, cosine, PLACES * HALF);
    add_floats(d, sine, PLACES * HALF);
    const uint32_t *positions = indices(ROWS, PLACES);
    const float *x = numbers(ROWS * HEADS * 2 * HALF);
    for (int inverse = 0; inverse < 2; inverse++) {
        float *y = zeros(ROWS * HEADS * 2 * HALF);
        require(engine->rope(context, ROWS, HEADS, HALF, positions, cosine, sine, inverse, x, y),
                "rope");
        add_floats(d, y, ROWS * HEADS * 2 * HALF);
    }
}

static void rms_norm(cairn_context *context, digest *d) {
    for (int dtype = 0; dtype < 3; dtype++) {
        const float *x = numbers(COUNT), *dy = numbers(COUNT);
        const void *w = weights(WIDTH, (cairn_dtype)dtype);
        float *y = zeros(COUNT), *inverse = zeros(ROWS), *dx = zeros(COUNT);
        const cairn_gradient dw = gradient(WIDTH);
        require(engine->rms_norm_forward(context, ROWS, WIDTH, 1e-6f, x, w, (cairn_dtype)dtype, y,
                                         inverse),
                "rms_norm_forward");
        require(engine->rms_norm_backward(context, ROWS, WIDTH, x, w, (cairn_dtype)dtype, inverse,
                                          dy, dx),
                "rms_norm_backward");
        require(engine->rms_norm_weight_gradient(context, &partition, 1, WIDTH, x, inverse, dy, dw),
                "rms_norm_weight_gradient");
        add_floats(d, y, COUNT);
        add_floats(d, inverse, ROWS);
        add_floats(d, dx, COUNT);
        add_floats(d, dw.sum, WIDTH);
    }
}

static void layer_norm(cairn_context *context, digest *d) {
    for (int dtype = 0; dtype < 3; dtype++) {
        const float *x = numbers(COUNT), *dy = numbers(COUNT);
        const void *w = weights(WIDTH, (cairn_dtype)dtype), *b = weights(WIDTH, (cairn_dtype)dtype);
        float *y = zeros(COUNT), *mean = zeros(ROWS), *inverse = zeros(ROWS), *dx = zeros(COUNT);
        const cairn_gradient dw = gradient(WIDTH), db = gradient(WIDTH);
        require(engine->layer_norm_forward(context, ROWS, WIDTH, 1e-5f, x, w, b, (cairn_dtype)dtype,
                                           y, mean, inverse),
                "layer_norm_forward");
        require(engine->layer_norm_backward(context, ROWS, WIDTH, x, w, (cairn_dtype)dtype, mean,
                                            inverse, dy, dx),
                "layer_norm_backward");
        require(engine->layer_norm_weight_gradient(context, &partition, WIDTH, x, mean, inverse, dy,
                                                   dw, db),
                "layer_norm_weight_gradient");
        add_floats(d, y, COUNT);
        add_floats(d, mean, ROWS);
        add_floats(d, inverse, ROWS);
        add_floats(d, dx, COUNT);
        add_floats(d, dw.sum, WIDTH);
        add_floats(d, db.sum, WIDTH);
    }
}

static void activations(cairn_context *context, digest *d) {
    for (int f = CAIRN_ACTIVATION_SILU; f <= CAIRN_ACTIVATION_TANH; f++) {
        const cairn_activation function = (cairn_activation)f;
        const float *x = numbers(COUNT), *up = numbers(COUNT), *dy = numbers(COUNT);
        float *y = zeros(COUNT), *dx = zeros(COUNT), *d_up = zeros(COUNT);
        require(engine->activation_forward(context, function, COUNT, x, y), "activation_forward");
        require(engine->activation_backward(context, function, COUNT, x, dy, dx),
                "activation_backward");
        add_floats(d, y, COUNT);
        add_floats(d, dx, COUNT);
        require(engine->gated_forward(context, function, COUNT, x, up, y), "gated_forward");
        require(engine->gated_backward(context, function, COUNT, x, up, dy, dx, d_up),
                "gated_backward");
        add_floats(d, y, COUNT);
        add_floats(d, dx, COUNT);
        add_floats(d, d_up, COUNT);
        used = 0;
    }
}

static void arithmetic(cairn_context *context, digest *d) {
    const float *a = numbers(COUNT), *b = numbers(COUNT);
    float *y = zeros(COUNT);
    require(engine->add(context, COUNT, a, 0.7f, b, y), "add");
    add_floats(d, y, COUNT);
    require(engine->multiply(context, COUNT, a, b, y), "multiply");
    add_floats(d, y, COUNT);
    require(engine->scale(context, COUNT, 1.3f, a, y), "scale");
    add_floats(d, y, COUNT);
}

static void columns(cairn_context *context, digest *d) {
    const float *z = numbers(COUNT), *dy = numbers(COUNT), *bias = numbers(WIDTH);
    const float *numerator = positive(WIDTH), *denominator = positive(WIDTH);
    float *y = zeros(COUNT), *dz = zeros(COUNT);
    const cairn_gradient dn = gradient(WIDTH), db = gradient(WIDTH);
    require(engine->scale_columns_forward(context, ROWS, WIDTH, z, numerator, denominator, bias, y),
            "scale_columns_forward");
    require(engine->scale_columns_backward(context, ROWS, WIDTH, dy, numerator, denominator, dz),
            "scale_columns_backward");
    require(engine->scale_columns_gradient(context, &partition, WIDTH, dy, z, denominator, dn),
            "scale_columns_gradient");
    require(engine->bias_gradient(context, &partition, WIDTH, dy, db), "bias_gradient");
    add_floats(d, y, COUNT);
    add_floats(d, dz, COUNT);
    add_floats(d, dn.sum, WIDTH);
    add_floats(d, db.sum, WIDTH);
}

static void stored_weights(cairn_context *context, digest *d) {
    for (int dtype = 0; dtype < 3; dtype++) {
        enum { RANK = 5 };
        const void *w = weights(COUNT, (cairn_dtype)dtype);
        const float *a = numbers(RANK * WIDTH), *b = numbers(ROWS * RANK);
        float *norm = zeros(ROWS), *wide = zeros(COUNT);
        require(engine->dora_norm(context, ROWS, WIDTH, RANK, 0.4f, w, (cairn_dtype)dtype, a, b,
                                  norm),
                "dora_norm");
        require(engine->widen(context, COUNT, w, (cairn_dtype)dtype, wide), "widen");
        add_floats(d, norm, ROWS);
        add_floats(d, wide, COUNT);
    }
}

static void embedding(cairn_context *context, digest *d) {
    for (int dtype = 0; dtype < 3; dtype++) {
        const void *table = weights(CLASSES * WIDTH, (cairn_dtype)dtype);
        const int32_t *ids = (const int32_t *)indices(ROWS, CLASSES);
        const float *dy = numbers(COUNT);
        float *y = zeros(COUNT);
        const cairn_gradient g = gradient(CLASSES * WIDTH);
        require(engine->embedding_forward(context, ROWS, WIDTH, CLASSES, ids, table,
                                          (cairn_dtype)dtype, y),
                "embedding_forward");
        require(engine->embedding_gradient(context, &partition, WIDTH, CLASSES, ids, dy, g),
                "embedding_gradient");
        add_floats(d, y, COUNT);
        add_floats(d, g.sum, CLASSES * WIDTH);
    }
}

static void rows(cairn_context *context, digest *d) {
    enum { PICKED = 23 };
    const uint32_t *picked = indices(PICKED, ROWS);
    const float *x = numbers(COUNT), *dy = numbers(COUNT);
    float *gathered = zeros(PICKED * WIDTH), *scattered = zeros(COUNT);
    float *means = zeros(SEQUENCES * WIDTH), *dx = zeros(COUNT);
    require(engine->gather_rows(context, PICKED, ROWS, WIDTH, picked, x, gathered), "gather_rows");
    require(engine->scatter_rows(context, PICKED, ROWS, WIDTH, picked, dy, scattered),
            "scatter_rows");
    require(engine->mean_rows_forward(context, SEQUENCES, WIDTH, offsets, x, means),
            "mean_rows_forward");
    require(engine->mean_rows_backward(context, SEQUENCES, WIDTH, offsets, dy, dx),
            "mean_rows_backward");
    add_floats(d, gathered, PICKED * WIDTH);
    add_floats(d, scattered, COUNT);
    add_floats(d, means, SEQUENCES * WIDTH);
    add_floats(d, dx, COUNT);
}

static void losses(cairn_context *context, digest *d) {
    const float *logits = numbers(ROWS * CLASSES), *w = positive(CLASSES);
    const int32_t *ids = (const int32_t *)indices(ROWS, CLASSES);
    const float *targets = positive(ROWS * CLASSES);
    float *p = zeros(ROWS * CLASSES), *loss = zeros(ROWS), *dx = zeros(ROWS * CLASSES);
    require(engine->softmax(context, ROWS, CLASSES, logits, p), "softmax");
    add_floats(d, p, ROWS * CLASSES);
    for (int weighted = 0; weighted < 2; weighted++) {
        const cairn_cross_entropy_config config = {weighted ? w : NULL, weighted ? 0.1f : 0, 3,
                                                   0.25f};
        require(engine->cross_entropy(context, &config, ROWS, CLASSES, logits, ids, loss, dx),
                "cross_entropy");
        add_floats(d, loss, ROWS);
        add_floats(d, dx, ROWS * CLASSES);
    }
    require(engine->binary_cross_entropy(context, ROWS, CLASSES, 0.5f, logits, targets, loss, dx),
            "binary_cross_entropy");
    add_floats(d, loss, ROWS);
    add_floats(d, dx, ROWS * CLASSES);
    require(engine->squared_error(context, ROWS, CLASSES, 0.5f, logits, targets, loss, dx),
            "squared_error");
    add_floats(d, loss, ROWS);
    add_floats(d, dx, ROWS * CLASSES);
}

static void optimizers(cairn_context *context, digest *d) {
    enum { MANY = 13001 };
    const float *g = numbers(MANY);
    float *p = numbers(MANY), *m = zeros(MANY), *v = zeros(MANY), *u = zeros(MANY);
    double sum = 0;
    require(engine->sum_of_squares(context, MANY, g, &sum), "sum_of_squares");
    add_double(d, sum);
    const cairn_adamw_config adamw = {1e-3, 0.9, 0.999, 1e-8, 0.01, 0.7};
    for (uint64_t t = 1; t <= 5; t++)
        require(engine->adamw_step(context, &adamw, t, MANY, p, g, m, v), "adamw_step");
    add_floats(d, p, MANY);
    add_floats(d, m, MANY);
    add_floats(d, v, MANY);
    const cairn_sgd_config sgd = {0.01, 0.9, 0.01, 0.7};
    for (int t = 0; t < 3; t++) require(engine->sgd_step(context, &sgd, MANY, p, g, u), "sgd_step");
    add_floats(d, p, MANY);
    add_floats(d, u, MANY);
}

static void dropout(cairn_context *context, digest *d) {
    const cairn_dropout_config config = {0.3f, 0x123456789abcdefu, 42};
    const uint32_t *row_ids = indices(ROWS, 1000), *positions = indices(ROWS, 1000);
    const float *x = numbers(COUNT);
    float *y = zeros(COUNT);
    require(engine->dropout(context, &config, ROWS, WIDTH, row_ids, positions, x, y), "dropout");
    add_floats(d, y, COUNT);
    uint32_t counter[4] = {1, 2, 3, 4};
    const uint32_t key[2] = {5, 6};
    cairn_philox(counter, key);
    for (int i = 0; i < 4; i++) add_word(d, counter[i]);
}

static const struct {
    const char *name;
    void (*run)(cairn_context *context, digest *d);
} operations[] = {
    {"matmul", matmul},
    {"matmul_gradient", matmul_gradient},
    {"attention", attention},
    {"rope", rope},
    {"rms_norm", rms_norm},
    {"layer_norm", layer_norm},
    {"activations", activations},
    {"arithmetic", arithmetic},
    {"columns", columns},
    {"stored_weights", stored_weights},
    {"embedding", embedding},
    {"rows", rows},
    {"losses", losses},
    {"optimizers", optimizers},
    {"dropout", dropout},
};

int main(void) {
    cairn_isa isas[4];
    const size_t count = supported_isas(isas);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        uint64_t first = 0;
        for (size_t j = 0; j < 2 * count; j++) {
            const size_t threads = j % 2 ? 3 : 1;
            cairn_context *context = make_context(isas[j / 2], threads);
            digest d = {0xcbf29ce484222325u};
            used = 0;
            random_state = i + 1;
            operations[i].run(context, &d);
            cairn_context_destroy(context);
            if (j == 0) first = d.value;
            check(d.value == first, "%s: instruction set %d with %zu threads gives %016llx",
                  operations[i].name, (int)isas[j / 2], threads, (unsigned long long)d.value);
        }
        printf("%-16s %016llx\n", operations[i].name, (unsigned long long)first);
    }
    return summary();
}
