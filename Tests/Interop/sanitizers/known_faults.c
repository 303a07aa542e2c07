// SPDX-License-Identifier: Apache-2.0
/// Three faults on request, each of which one sanitizer must catch: a check of the checkers.

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int shared_counter;

static void *count(void *argument) {
    for (int i = 0; i < 1000; i++) {
        shared_counter++;
    }
    return argument;
}

static void read_past_the_end(int offset) {
    char *bytes = calloc(4, 1);
    if (bytes != NULL) {
        printf("%d\n", bytes[3 + offset]);
        free(bytes);
    }
}

static void race(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, count, NULL) == 0) {
        count(NULL);
        pthread_join(thread, NULL);
    }
    printf("%d\n", shared_counter);
}

int main(int argc, char **argv) {
    const char *fault = argc > 1 ? argv[1] : "";
    if (strcmp(fault, "address") == 0) {
        read_past_the_end(argc - 1);
    } else if (strcmp(fault, "undefined") == 0) {
        printf("%d\n", INT_MAX - 1 + argc);
    } else if (strcmp(fault, "thread") == 0) {
        race();
    }
    return 0;
}
