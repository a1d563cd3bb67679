/* Preloaded into a process: kills or stops it at the n-th call that changes a file whose path holds a text.
 *
 * AT_CALL_PATH   the text
 * AT_CALL        n, from 1; 0: never, each call is told
 * AT_CALL_PART   0: before the call; 1: in it (of a write one half is done, of others nothing); 2: after it
 * AT_CALL_SIGNAL what it is then sent: 9 to kill it, 19 to stop it, until another process lets it go on
 * AT_CALL_NAMES  the calls that count; without it all but those that open a file
 * AT_CALL_LOG    the file in which the calls are told: one line each, name and path
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static void tell(const char *call, const char *path) {
    FILE *log = fopen(getenv("AT_CALL_LOG"), "ae");
    if (!log) abort();
    fprintf(log, "%s %s\n", call, path);
    fclose(log);
}

/* Whether this is the call. */
static int is_it(const char *call, const char *path) {
    const char *part = getenv("AT_CALL_PATH");
    const char *names = getenv("AT_CALL_NAMES");
    if (!part || !strstr(path, part)) return 0;
    if (names ? !strstr(names, call) : !strncmp(call, "open", 4)) return 0;
    long at = number("AT_CALL");
    if (at != 0 && atomic_fetch_add(&calls, 1) + 1 != at) return 0;
    tell(call, path);
    return at != 0;
}

static int is_it_fd(const char *call, int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_it(call, path);
}

/* This thread gets the signal itself, and so does nothing more before it takes effect. */
static void end(void) {
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), (int)number("AT_CALL_SIGNAL"));
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
/* The call, with the process's end before or after it where it is the one. */
#define AROUND(name, found, ...)                     \
    int it = found;                                  \
    if (it && number("AT_CALL_PART") < 2) end();     \
    __typeof__(NEXT(name)(__VA_ARGS__)) done = NEXT(name)(__VA_ARGS__); \
    if (it && number("AT_CALL_PART") == 2) end();                                   \
    return done
#define WRITE(name, half, ...)                       \
    int it = is_it_fd(#name, fd);                    \
    long part = number("AT_CALL_PART");              \
    if (it && part == 1) half;                       \
    if (it && part < 2) end();                       \
    ssize_t done = NEXT(name)(__VA_ARGS__);          \
    if (it && part == 2) end();                      \
    return done

ssize_t write(int fd, const void *b, size_t n) { WRITE(write, NEXT(write)(fd, b, n / 2), fd, b, n); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) { WRITE(pwrite, NEXT(pwrite)(fd, b, n / 2, o), fd, b, n, o); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { WRITE(pwrite64, NEXT(pwrite64)(fd, b, n / 2, o), fd, b, n, o); }
ssize_t writev(int fd, const struct iovec *v, int n) { WRITE(writev, NEXT(writev)(fd, v, n / 2), fd, v, n); }
int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    AROUND(open, is_it("open", path), path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    AROUND(open64, is_it("open64", path), path, flags, mode);
}
int fsync(int fd) { AROUND(fsync, is_it_fd("fsync", fd), fd); }
int fdatasync(int fd) { AROUND(fdatasync, is_it_fd("fdatasync", fd), fd); }
int ftruncate(int fd, off_t n) { AROUND(ftruncate, is_it_fd("ftruncate", fd), fd, n); }
int ftruncate64(int fd, off64_t n) { AROUND(ftruncate64, is_it_fd("ftruncate64", fd), fd, n); }
int rename(const char *from, const char *to) { AROUND(rename, is_it("rename", to), from, to); }
int link(const char *from, const char *to) { AROUND(link, is_it("link", to), from, to); }
int linkat(int a, const char *from, int b, const char *to, int f) { AROUND(linkat, is_it("linkat", to), a, from, b, to, f); }
int unlink(const char *path) { AROUND(unlink, is_it("unlink", path), path); }
int mkdir(const char *path, mode_t mode) { AROUND(mkdir, is_it("mkdir", path), path, mode); }
