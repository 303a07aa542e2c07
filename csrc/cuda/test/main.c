// SPDX-License-Identifier: Apache-2.0
/// Runs every test with this library's matmul kernels, then with cuBLASLt where it is to be had.
/// Exit code 77: this machine has no device.

#include "both.h"

#include <time.h>

static int open_engines(bool own_kernels) {
    const cairn_cuda_options options = {.own_kernels = own_kernels};
    engines[0].table = &cairn_backend_cpu;
    if (cairn_context_create(CAIRN_ISA_SCALAR, 1, &engines[0].context) != CAIRN_STATUS_OK) return 1;
    for (int e = 1; e < ENGINES; e++) {
        engines[e].table = cairn_cuda_backend(sizeof(cairn_backend));
        const cairn_cuda_status status = cairn_cuda_open(0, &options, &engines[e].context);
        if (status != CAIRN_CUDA_STATUS_OK) {
            printf("status %d: %s\n", status, cairn_cuda_error_text());
            return status == CAIRN_CUDA_STATUS_NO_DEVICE ? 77 : 1;
        }
    }
    return 0;
}

static void close_engines(void) {
    cairn_context_destroy(engines[0].context);
    for (int e = 1; e < ENGINES; e++) {
        expect(engines[e].table->finish(engines[e].context) == CAIRN_STATUS_OK, "the end: %s",
               engines[e].table->failure(engines[e].context));
        cairn_cuda_close(engines[e].context);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"elementwise", test_elementwise}, {"columns", test_columns},
    {"normalization", test_normalization}, {"rows", test_rows}, {"loss", test_loss},
    {"optimizer", test_optimizer}, {"attention", test_attention}, {"matmul", test_matmul},
    {"gradient", test_gradient}, {"failures", test_failures},
};

/// Whether a test was asked for: by its name, or because none was named.
static bool is_wanted(const char *name, int count, char **arguments) {
    for (int i = 1; i < count; i++)
        if (strcmp(arguments[i], name) == 0) return true;
    return count < 2;
}

/// test [names of tests]
int main(int count, char **arguments) {
    if (cairn_cuda_abi_version() != CAIRN_CUDA_ABI_VERSION
        || !cairn_cuda_backend(sizeof(cairn_backend)) || cairn_cuda_backend(8)) {
        printf("the library was built from other headers\n");
        return 1;
    }
    int32_t devices = -1;
    if (cairn_cuda_device_count(&devices) != CAIRN_CUDA_STATUS_OK && devices != 0) return 1;
    for (int own_kernels = 1; own_kernels >= 0; own_kernels--) {
        const int refused = open_engines(own_kernels);
        if (refused) return refused;
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
            if (!is_wanted(tests[i].name, count, arguments)) continue;
            const clock_t start = clock();
            tests[i].run();
            printf("%-14s %5.2f s\n", tests[i].name, (double)(clock() - start) / CLOCKS_PER_SEC);
            fflush(stdout);
        }
        close_engines();
    }
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
