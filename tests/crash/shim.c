/* Loaded before the C library: makes the k-th change of one database fail, or ends the process there, or notes every
 * change in a file, so that a test can make any state a power cut may leave.
 *
 * The files of the database are `file` and whatever has a name that begins so. Built by tests/crash/shim.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { QUIET, DIE, EIO_ONCE, EIO_ALWAYS, ENOSPC_ONCE, ENOSPC_ALWAYS };

static char file[4096];
static int mode;
static long at, calls;
static int notes = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* From now on the `k`-th change of the database at `path` meets `how`. */
void shim_arm(const char *path, int how, long k) {
    snprintf(file, sizeof file, "%s", path);
    mode = how;
    at = k;
    calls = 0;
}

/* A process that cannot call shim_arm is told by CRASH_SHIM=how:k:path. */
__attribute__((constructor)) static void arm_by_environment(void) {
    const char *wish = getenv("CRASH_SHIM");
    int how, skipped = 0;
    long k;
    if (wish && sscanf(wish, "%d:%ld:%n", &how, &k, &skipped) == 2 && skipped) shim_arm(wish + skipped, how, k);
}

/* Changes since shim_arm. */
long shim_calls(void) { return calls; }

/* From now on every change of the database at `path` is noted in `to`. */
void shim_note(const char *path, const char *to) {
    shim_arm(path, QUIET, 0);
    notes = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
}

static ssize_t put(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(fd, data, size);
}

static void note(char kind, const char *suffix, int64_t offset, int64_t size, const void *data) {
    if (notes < 0 || !strcmp(suffix, "-shm")) return;
    char head[40] = {kind};
    strncpy(head + 1, suffix, 15);
    memcpy(head + 16, &offset, 8);
    memcpy(head + 24, &size, 8);
    put(notes, head, 32);
    if (data) put(notes, data, size);
}

/* Something the program promised, between two changes. */
void shim_promise(const char *text) { note('p', "", 0, strlen(text), text); }

/* What `path` has after the database's name; NULL when it is none of its files. */
static const char *suffix_of(const char *path) {
    size_t length = strlen(file);
    if (!length || strncmp(path, file, length)) return NULL;
    return strcmp(path + length, ".lock") ? path + length : NULL;
}

static const char *suffix_at(int fd, char *path, size_t room) {
    char link[32];
    if (!file[0]) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, room - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return suffix_of(path);
}

/* 0, or the error this change of the database meets. */
static int fault(void) {
    int error = 0;
    calls++;
    if (mode == DIE && calls == at) _exit(137);
    if ((mode == EIO_ONCE && calls == at) || (mode == EIO_ALWAYS && calls >= at)) error = EIO;
    if ((mode == ENOSPC_ONCE && calls == at) || (mode == ENOSPC_ALWAYS && calls >= at)) error = ENOSPC;
    return error;
}

#define CHANGE(suffix, kind, offset, size, data, call) \
    do { \
        pthread_mutex_lock(&lock); \
        int error = fault(); \
        ssize_t done = -1; \
        if (!error) { \
            done = call; \
            if (done >= 0) note(kind, suffix, offset, size, data); \
        } \
        pthread_mutex_unlock(&lock); \
        if (error) errno = error; \
        return done; \
    } while (0)

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    char path[4096];
    const char *suffix = suffix_at(fd, path, sizeof path);
    if (!suffix) return real(fd, data, size, offset);
    CHANGE(suffix, 'w', offset, size, data, real(fd, data, size, offset));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    char path[4096];
    const char *suffix = suffix_at(fd, path, sizeof path);
    if (!suffix) return real(fd, size);
    CHANGE(suffix, 't', size, 0, NULL, real(fd, size));
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    char path[4096];
    const char *suffix = suffix_at(fd, path, sizeof path);
    if (!suffix) return real(fd);
    CHANGE(suffix, 's', 0, 0, NULL, real(fd));
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    char path[4096];
    const char *suffix = suffix_at(fd, path, sizeof path);
    if (!suffix) return real(fd);
    CHANGE(suffix, 's', 0, 0, NULL, real(fd));
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    const char *suffix = suffix_of(path);
    if (!suffix) return real(path);
    CHANGE(suffix, 'u', 0, 0, NULL, real(path));
}
